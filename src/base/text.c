/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"

size_t text_character(const char *text, size_t size)
{
	const unsigned char *c = (const unsigned char *)text;
	/* Shortest value for each length: longer encodings of smaller ones are not valid. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	if (!size || c[0] < 0x80)
		return size ? 1 : 0;

	size_t length = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
	uint32_t value = c[0] & (0x7f >> length);

	if (c[0] < 0xc2 || c[0] > 0xf4 || length > size)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (c[i] & 0x3f);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	return length;
}

/* U+0080 to U+009F are control characters as well, and terminals act on them. */
static bool is_control(const char *text, size_t length)
{
	unsigned char c = text[0];

	return length == 1 ? c < ' ' || c == 0x7f : c == 0xc2 && (unsigned char)text[1] < 0xa0;
}

/* Escapes into `out`, which has room for 4 bytes of each; also what is in `specials`. */
static char *escape(char *out, const char *text, size_t size, const char *specials)
{
	static const char letters[] = "abtnvfr"; /* of 7 to 13 */

	for (size_t i = 0; i < size;) {
		unsigned char c = text[i];
		size_t length = text_character(text + i, size - i);

		if (length && !is_control(text + i, length)) {
			if (strchr(specials, c))
				*out++ = '\\';
			memcpy(out, text + i, length);
			out += length;
			i += length;
			continue;
		}
		if (c >= 7 && c <= 13)
			out += sprintf(out, "\\%c", letters[c - 7]);
		else
			out += sprintf(out, "\\x%02x", c);
		i++;
	}
	return out;
}

char *text_escape(struct arena *arena, const char *text, size_t size)
{
	char *escaped = arena_alloc(arena, size * 4 + 1);

	*escape(escaped, text, size, "\\") = '\0';
	return escaped;
}

static bool is_plain(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("_-+=.,:/@%^", text[i]))
			return false;
	return size > 0;
}

static bool is_printable(const char *text, size_t size)
{
	for (size_t i = 0, length; i < size; i += length) {
		length = text_character(text + i, size - i);
		if (!length || is_control(text + i, length) || text[i] == '\'')
			return false;
	}
	return true;
}

char *text_command(struct arena *arena, const char *arguments, size_t size)
{
	/* The longest is an empty argument: two quotes and a blank for its NUL. */
	char *command = arena_alloc(arena, size * 4 + 8), *out = command;

	for (size_t i = 0, length; i < size; i += length + 1) {
		const char *argument = arguments + i;

		length = strnlen(argument, size - i);
		if (i)
			*out++ = ' ';
		if (is_plain(argument, length)) {
			out = mempcpy(out, argument, length);
		} else if (is_printable(argument, length)) {
			*out++ = '\'';
			out = mempcpy(out, argument, length);
			*out++ = '\'';
		} else {
			*out++ = '$';
			*out++ = '\'';
			out = escape(out, argument, length, "\\'");
			*out++ = '\'';
		}
	}
	*out = '\0';
	return command;
}

const char *text_size(uint64_t bytes, char buffer[TEXT_SIZE])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = bytes;
	size_t unit = 0;

	while (value >= 1023.95 && unit < 6) {
		value /= 1024;
		unit++;
	}
	/* One decimal only where it tells something. */
	bool whole = unit == 0 || value >= 99.95 || value * 10 == (uint64_t)value * 10;

	snprintf(buffer, TEXT_SIZE, whole ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buffer;
}
