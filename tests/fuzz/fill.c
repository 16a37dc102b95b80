/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fill.h"

#include <stdbool.h>
#include <string.h>

#include "base/arena.h"

enum { REPEATED = 2, DEEPEST = 4, VALUE = 3 };

static void *fill(struct arena *arena, const ProtobufCMessageDescriptor *type, int depth);

static size_t size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	default:
		return 4; /* protobuf_c_boolean is an int */
	}
}

static void fill_value(struct arena *arena, const ProtobufCFieldDescriptor *field, void *value,
		       int depth)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		*(char **)value = arena_strdup(arena, "name");
		break;
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)value =
			(ProtobufCBinaryData){5, arena_copy(arena, "bytes", 5)};
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(void **)value = fill(arena, field->descriptor, depth + 1);
		break;
	case PROTOBUF_C_TYPE_ENUM: {
		const ProtobufCEnumDescriptor *values = field->descriptor;

		*(int *)value = values->values[values->n_values - 1].value;
		break;
	}
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)value = 1;
		break;
	default:
		memset(value, 0, size_of(field->type));
		*(unsigned char *)value = VALUE;
		break;
	}
}

static void *fill(struct arena *arena, const ProtobufCMessageDescriptor *type, int depth)
{
	char *message = arena_alloc(arena, type->sizeof_message);

	protobuf_c_message_init(type, message);
	for (unsigned int i = 0; i < type->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &type->fields[i];
		void *value = message + field->offset;
		void *quantifier = message + field->quantifier_offset;
		bool pointer = field->type == PROTOBUF_C_TYPE_MESSAGE ||
			       field->type == PROTOBUF_C_TYPE_STRING;

		if (field->label != PROTOBUF_C_LABEL_REQUIRED &&
		    field->type == PROTOBUF_C_TYPE_MESSAGE && depth >= DEEPEST)
			continue;
		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			*(size_t *)quantifier = REPEATED;
			char *values = arena_alloc(arena, size_of(field->type) * REPEATED);

			*(void **)value = values;
			for (size_t j = 0; j < REPEATED; j++)
				fill_value(arena, field, values + j * size_of(field->type), depth);
			continue;
		}
		if (field->label == PROTOBUF_C_LABEL_OPTIONAL && !pointer)
			*(protobuf_c_boolean *)quantifier = 1;
		fill_value(arena, field, value, depth);
	}
	return message;
}

void *fill_message(struct arena *arena, const ProtobufCMessageDescriptor *type)
{
	return fill(arena, type, 0);
}
