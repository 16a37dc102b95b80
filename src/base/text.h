/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena;

/* Names that applications chose, and numbers, for a person's terminal. */

/* Bytes of the UTF-8 character at the beginning of text, or 0 if there is no valid one. */
size_t text_character(const char *text, size_t size);

/*
 * Text that cannot harm a terminal or break a line, in the arena: control characters, backslashes
 * and what is not UTF-8 as C escapes ("a\nb", "\x80").
 */
char *text_escape(struct arena *arena, const char *text, size_t size);

/* Arguments, each ended by a NUL, as a shell would read them: cat 'my file' $'a\nb'. */
char *text_command(struct arena *arena, const char *arguments, size_t size);

/* "4 KiB", "1.5 GiB", "17 B"; in a buffer of the caller's. */
enum { TEXT_SIZE = 16 };
const char *text_size(uint64_t bytes, char buffer[TEXT_SIZE]);
