/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "cli/show/show.h"
#include "image/format.h"
#include "image/image.h"
#include "images/bpfmap-data.pb-c.h"
#include "images/ghost-file.pb-c.h"
#include "images/ipc-msg.pb-c.h"
#include "images/ipc-sem.pb-c.h"
#include "images/ipc-shm.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/sk-packet.pb-c.h"
#include "images/sk-unix.pb-c.h"
#include "images/tcp-stream.pb-c.h"

/*
 * Any image as JSON: {"magic": NAME, "entries": [...]}, an entry's payload as "extra".  The values
 * are those of `crit decode`, so that programs made for it can read ours.  One entry after the
 * other, so that the size of an image does not matter.
 */
struct raw {
	struct json json;
	struct image_reader *reader;
	struct arena *arena; /* of the entry */
};

/* Messages, by their descriptors. */

static void show_message(struct json *json, const char *key, const ProtobufCMessage *message);

static size_t value_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return sizeof(uint64_t);
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	default:
		return sizeof(uint32_t);
	}
}

/* Quoted-printable (RFC 2045), which is how crit shows the names of UNIX sockets. */
static void show_quoted(struct json *json, const char *key, const ProtobufCBinaryData *data)
{
	enum { LONGEST_LINE = 76 };
	char *text = NULL;
	size_t size = 0, column = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		die_of_memory();
	for (size_t i = 0; i < data->len; i++) {
		unsigned char c = data->data[i];
		bool last = i + 1 == data->len || data->data[i + 1] == '\n';
		bool quote = c == '=' || c > '~' || (c < ' ' && c != '\n' && c != '\t') ||
			     ((c == ' ' || c == '\t') && last) || (c == '.' && !column && last);

		if ((quote || !last) && c != '\n' && column + (quote ? 3 : 1) >= LONGEST_LINE) {
			fputs("=\n", out);
			column = 0;
		}
		fprintf(out, quote ? "=%02X" : "%c", c);
		column = c == '\n' ? 0 : column + (quote ? 3 : 1);
	}
	fclose(out);
	json_text(json, key, text, size);
	free(text);
}

static void show_enum(struct json *json, const char *key, const ProtobufCEnumDescriptor *type,
		      int number)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);

	if (value)
		json_string(json, key, value->name);
	else
		json_signed(json, key, number);
}

static void show_value(struct json *json, const char *key, const ProtobufCFieldDescriptor *field,
		       const void *value)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		json_signed(json, key, *(const int32_t *)value);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		json_signed(json, key, *(const int64_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		json_unsigned(json, key, *(const uint32_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		json_unsigned(json, key, *(const uint64_t *)value);
		break;
	case PROTOBUF_C_TYPE_FLOAT:
		json_double(json, key, *(const float *)value);
		break;
	case PROTOBUF_C_TYPE_DOUBLE:
		json_double(json, key, *(const double *)value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		json_bool(json, key, *(const protobuf_c_boolean *)value);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		show_enum(json, key, field->descriptor, *(const int *)value);
		break;
	case PROTOBUF_C_TYPE_STRING:
		json_string(json, key, *(const char *const *)value);
		break;
	case PROTOBUF_C_TYPE_BYTES: {
		const ProtobufCBinaryData *data = value;

		json_base64(json, key, data->data, data->len);
		break;
	}
	case PROTOBUF_C_TYPE_MESSAGE:
		show_message(json, key, *(const ProtobufCMessage *const *)value);
		break;
	}
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const char *base = (const char *)message;
	const void *pointer;

	if (field->label != PROTOBUF_C_LABEL_OPTIONAL)
		return true;
	if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
		return *(const protobuf_c_boolean *)(base + field->quantifier_offset);
	pointer = *(const void *const *)(base + field->offset);
	return pointer && pointer != field->default_value;
}

static void show_array(struct json *json, const ProtobufCFieldDescriptor *field,
		       const ProtobufCMessage *message)
{
	size_t count = *(const size_t *)((const char *)message + field->quantifier_offset);
	const char *values = *(const char *const *)((const char *)message + field->offset);
	bool messages = field->type == PROTOBUF_C_TYPE_MESSAGE;

	if (!count)
		return;
	(messages ? json_open_array : json_open_list)(json, field->name);
	for (size_t i = 0; i < count; i++)
		show_value(json, NULL, field, values + i * value_size(field->type));
	(messages ? json_close_array : json_close_list)(json);
}

static void show_fields(struct json *json, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;
	bool socket = type == &unix_sk_entry__descriptor;

	for (unsigned int i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];

		if (field->label == PROTOBUF_C_LABEL_REPEATED)
			show_array(json, field, message);
		else if (socket && field->type == PROTOBUF_C_TYPE_BYTES)
			show_quoted(json, field->name, &((const UnixSkEntry *)message)->name);
		else if (is_set(message, field))
			show_value(json, field->name, field, (const char *)message + field->offset);
	}
}

static void show_message(struct json *json, const char *key, const ProtobufCMessage *message)
{
	json_open_object(json, key);
	show_fields(json, message);
	json_close_object(json);
}

/* Payloads: what follows a message, by its type. */

static int show_bytes(struct raw *raw, const char *key, uint64_t size, size_t padded_to)
{
	unsigned char data[16 * 1024];
	uint64_t padding = -size & (padded_to - 1);
	int error = 0;

	json_open_base64(&raw->json, key);
	while (size && !error) {
		size_t piece = size < sizeof(data) ? size : sizeof(data);

		error = image_get_raw(raw->reader, data, piece);
		if (!error)
			json_add_base64(&raw->json, data, piece);
		size -= piece;
	}
	json_close_base64(&raw->json);
	return error ? error : image_skip_raw(raw->reader, padding);
}

static int show_pipe_data(struct raw *raw, const void *message)
{
	return show_bytes(raw, "extra", ((const PipeDataEntry *)message)->bytes, 1);
}

static int show_packet(struct raw *raw, const void *message)
{
	return show_bytes(raw, "extra", ((const SkPacketEntry *)message)->length, 1);
}

static int show_map_data(struct raw *raw, const void *message)
{
	const BpfmapDataEntry *entry = message;

	return show_bytes(raw, "extra", (uint64_t)entry->keys_bytes + entry->values_bytes, 1);
}

static int show_stream(struct raw *raw, const void *message)
{
	const TcpStreamEntry *entry = message;

	json_open_object(&raw->json, "extra");
	int error = show_bytes(raw, "inq", entry->inq_len, 1);

	if (!error)
		error = show_bytes(raw, "outq", entry->outq_len, 1);
	json_close_object(&raw->json);
	return error;
}

static int show_ghost(struct raw *raw, const void *message)
{
	const GhostFileEntry *entry = message;

	return entry->chunks ? 0 : show_bytes(raw, "extra", image_left(raw->reader), 1);
}

static int show_ghost_chunk(struct raw *raw, const void *message)
{
	return show_bytes(raw, "extra", ((const GhostChunkEntry *)message)->len, 1);
}

static int show_segment(struct raw *raw, const void *message)
{
	const IpcShmEntry *entry = message;

	return entry->in_pagemaps ? 0 : show_bytes(raw, "extra", entry->size, 4);
}

static int show_semaphores(struct raw *raw, const void *message)
{
	uint32_t count = ((const IpcSemEntry *)message)->nsems;
	int error = 0;

	json_open_list(&raw->json, "extra");
	for (uint32_t i = 0; i < count && !error; i++) {
		uint16_t value = 0;

		error = image_get_raw(raw->reader, &value, sizeof(value));
		json_unsigned(&raw->json, NULL, value);
	}
	json_close_list(&raw->json);
	return error ? error : image_skip_raw(raw->reader, -(count * sizeof(uint16_t)) & 7);
}

static int show_queue(struct raw *raw, const void *message)
{
	uint32_t count = ((const IpcMsgEntry *)message)->qnum;
	int got = 1;

	json_open_array(&raw->json, "extra");
	for (uint32_t i = 0; i < count && got == 1; i++) {
		IpcMsg *queued;

		got = image_get_type(raw->reader, &ipc_msg__descriptor, &queued);
		if (got != 1)
			break;
		show_message(&raw->json, NULL, &queued->base);
		int error = show_bytes(raw, NULL, queued->msize, 8);

		if (error)
			got = error;
	}
	json_close_array(&raw->json);
	return got < 0 ? got : 0;
}

static const struct payload {
	const ProtobufCMessageDescriptor *type;
	int (*show)(struct raw *raw, const void *message);
} payloads[] = {
	{&pipe_data_entry__descriptor, show_pipe_data},
	{&sk_packet_entry__descriptor, show_packet},
	{&bpfmap_data_entry__descriptor, show_map_data},
	{&tcp_stream_entry__descriptor, show_stream},
	{&ghost_file_entry__descriptor, show_ghost},
	{&ghost_chunk_entry__descriptor, show_ghost_chunk},
	{&ipc_shm_entry__descriptor, show_segment},
	{&ipc_sem_entry__descriptor, show_semaphores},
	{&ipc_msg_entry__descriptor, show_queue},
};

static int show_entry(struct raw *raw, const ProtobufCMessage *message)
{
	int error = 0;

	json_open_object(&raw->json, NULL);
	show_fields(&raw->json, message);
	for (size_t i = 0; i < sizeof(payloads) / sizeof(*payloads); i++)
		if (payloads[i].type == message->descriptor)
			error = payloads[i].show(raw, message);
	json_close_object(&raw->json);
	return error;
}

int show_raw(const char *path, FILE *out)
{
	struct raw raw = {.json = {.file = out}, .arena = arena_new()};
	const struct image_format *format;
	ProtobufCMessage *message;
	int got = image_open_file(path, raw.arena, &raw.reader, &format);

	if (got) {
		arena_free(raw.arena);
		return got;
	}
	json_open_object(&raw.json, NULL);
	json_string(&raw.json, "magic", format->magic_name);
	json_open_array(&raw.json, "entries");
	while ((got = image_get(raw.reader, &message)) == 1) {
		got = show_entry(&raw, message);
		arena_free(raw.arena);
		raw.arena = arena_new();
		image_use_arena(raw.reader, raw.arena);
		if (got)
			break;
	}
	if (!got) {
		json_close_array(&raw.json);
		json_close_object(&raw.json);
	}
	json_finish(&raw.json);
	image_close(raw.reader);
	arena_free(raw.arena);
	return got;
}
