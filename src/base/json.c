/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <string.h>

#include "base/text.h"

static void put_string(struct json *json, const char *text, size_t size)
{
	putc('"', json->file);
	for (size_t i = 0; i < size;) {
		unsigned char c = text[i];
		size_t length = text_character(text + i, size - i);

		if (!length)
			fprintf(json->file, "\\udc%02x", c);
		else if (c == '"' || c == '\\')
			fprintf(json->file, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", json->file);
		else if (c < ' ' || c == 0x7f)
			fprintf(json->file, "\\u%04x", c);
		else
			fwrite(text + i, 1, length, json->file);
		i += length ? length : 1;
	}
	putc('"', json->file);
}

/* What stands before a value: a comma, its place, its key. */
static void begin(struct json *json, const char *key)
{
	if (json->item)
		putc(',', json->file);
	if (json->in_line) {
		if (json->item)
			putc(' ', json->file);
	} else if (json->depth) {
		fprintf(json->file, "\n%*s", json->depth * 4, "");
	}
	if (key) {
		put_string(json, key, strlen(key));
		fputs(": ", json->file);
	}
	json->item = true;
}

static void open_container(struct json *json, const char *key, char bracket)
{
	begin(json, key);
	putc(bracket, json->file);
	json->depth++;
	json->item = false;
}

static void close_container(struct json *json, char bracket)
{
	json->depth--;
	if (json->item && !json->in_line)
		fprintf(json->file, "\n%*s", json->depth * 4, "");
	putc(bracket, json->file);
	json->item = true;
}

void json_open_object(struct json *json, const char *key)
{
	open_container(json, key, '{');
}

void json_close_object(struct json *json)
{
	close_container(json, '}');
}

void json_open_array(struct json *json, const char *key)
{
	open_container(json, key, '[');
}

void json_close_array(struct json *json)
{
	close_container(json, ']');
}

void json_open_list(struct json *json, const char *key)
{
	open_container(json, key, '[');
	json->in_line++;
}

void json_close_list(struct json *json)
{
	close_container(json, ']');
	json->in_line--;
}

void json_unsigned(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	fprintf(json->file, "%llu", (unsigned long long)value);
}

void json_signed(struct json *json, const char *key, int64_t value)
{
	begin(json, key);
	fprintf(json->file, "%lld", (long long)value);
}

void json_double(struct json *json, const char *key, double value)
{
	begin(json, key);
	/* JSON has neither infinity nor NaN. */
	if (value - value != 0)
		fputs("null", json->file);
	else
		fprintf(json->file, "%.17g", value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", json->file);
}

void json_text(struct json *json, const char *key, const char *text, size_t size)
{
	begin(json, key);
	put_string(json, text, size);
}

void json_string(struct json *json, const char *key, const char *text)
{
	begin(json, key);
	if (text)
		put_string(json, text, strlen(text));
	else
		fputs("null", json->file);
}

/* Up to 57 bytes make a line. */
static void put_base64_line(struct json *json, const unsigned char *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char line[sizeof(json->line) / 3 * 4];
	size_t used = 0;

	for (size_t i = 0; i < size; i += 3) {
		size_t have = size - i < 3 ? size - i : 3;
		unsigned int bits = data[i] << 16 | (have > 1 ? data[i + 1] << 8 : 0) |
				    (have > 2 ? data[i + 2] : 0);

		line[used++] = digits[bits >> 18];
		line[used++] = digits[bits >> 12 & 63];
		line[used++] = have > 1 ? digits[bits >> 6 & 63] : '=';
		line[used++] = have > 2 ? digits[bits & 63] : '=';
	}
	fwrite(line, 1, used, json->file);
	fputs("\\n", json->file);
}

void json_open_base64(struct json *json, const char *key)
{
	begin(json, key);
	putc('"', json->file);
	json->waiting = 0;
}

void json_add_base64(struct json *json, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	while (size) {
		size_t more = sizeof(json->line) - json->waiting;

		if (more > size)
			more = size;
		memcpy(json->line + json->waiting, bytes, more);
		json->waiting += more;
		bytes += more;
		size -= more;
		if (json->waiting == sizeof(json->line)) {
			put_base64_line(json, json->line, json->waiting);
			json->waiting = 0;
		}
	}
}

void json_close_base64(struct json *json)
{
	if (json->waiting)
		put_base64_line(json, json->line, json->waiting);
	json->waiting = 0;
	putc('"', json->file);
}

void json_base64(struct json *json, const char *key, const void *data, size_t size)
{
	json_open_base64(json, key);
	json_add_base64(json, data, size);
	json_close_base64(json);
}

void json_finish(struct json *json)
{
	putc('\n', json->file);
}
