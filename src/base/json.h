/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Writes JSON to a stream as it comes:
 *
 *	struct json json = { .file = stdout };
 *	json_open_object(&json, NULL);
 *	json_unsigned(&json, "pid", 42);
 *	json_close_object(&json);
 *
 * key is NULL for what is in an array and for the outermost value.  Errors are the stream's:
 * look at ferror() when all is written.
 */
struct json {
	FILE *file;
	unsigned int depth, in_line; /* of open containers; of open lists */
	bool item;                   /* the container has an item already */
	unsigned char line[57];      /* bytes that wait for the rest of their line of base64 */
	size_t waiting;
};

void json_open_object(struct json *json, const char *key);
void json_close_object(struct json *json);
void json_open_array(struct json *json, const char *key);
void json_close_array(struct json *json);
/* An array whose items stand on one line. */
void json_open_list(struct json *json, const char *key);
void json_close_list(struct json *json);

void json_unsigned(struct json *json, const char *key, uint64_t value);
void json_signed(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value);
void json_bool(struct json *json, const char *key, bool value);
/*
 * Text is UTF-8; a byte that is not becomes \udcXX, as Python's surrogateescape makes of it, so
 * that any file name comes through.  NULL becomes null.
 */
void json_string(struct json *json, const char *key, const char *text);
void json_text(struct json *json, const char *key, const char *text, size_t size);
/* Bytes in base64 with a newline behind every 57 of them (RFC 2045), as crit has them. */
void json_base64(struct json *json, const char *key, const void *data, size_t size);
/* The same, piece by piece. */
void json_open_base64(struct json *json, const char *key);
void json_add_base64(struct json *json, const void *data, size_t size);
void json_close_base64(struct json *json);
/* Ends the document with a newline. */
void json_finish(struct json *json);
