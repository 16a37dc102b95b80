/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/names.h"
#include "base/text.h"

#define BYTES(text) (text), sizeof(text) - 1

static void control_characters_are_escaped(void **state)
{
	struct arena *arena = arena_new();

	assert_string_equal(text_escape(arena, BYTES("plain")), "plain");
	assert_string_equal(text_escape(arena, BYTES("")), "");
	assert_string_equal(text_escape(arena, BYTES("a\nb\tc\x1b[31m\\")),
			    "a\\nb\\tc\\x1b[31m\\\\");
	assert_string_equal(text_escape(arena, BYTES("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80")),
			    "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	/* Not UTF-8: alone, cut off, too long, a surrogate, too large. */
	assert_string_equal(text_escape(arena, BYTES("\x80\xc3")), "\\x80\\xc3");
	assert_string_equal(text_escape(arena, BYTES("\xc0\xaf\xe0\x80\xaf")),
			    "\\xc0\\xaf\\xe0\\x80\\xaf");
	assert_string_equal(text_escape(arena, BYTES("\xed\xa0\x80")), "\\xed\\xa0\\x80");
	assert_string_equal(text_escape(arena, BYTES("\xf4\x90\x80\x80")), "\\xf4\\x90\\x80\\x80");
	/* Control characters above ASCII. */
	assert_string_equal(text_escape(arena, BYTES("\xc2\x9b\xc2\xa0")), "\\xc2\\x9b\xc2\xa0");
	arena_free(arena);
}

static void commands_are_quoted(void **state)
{
	struct arena *arena = arena_new();

	assert_string_equal(text_command(arena, BYTES("cat\0my file\0")), "cat 'my file'");
	assert_string_equal(text_command(arena, BYTES("a\0\0b\0")), "a '' b");
	assert_string_equal(text_command(arena, BYTES("\0")), "''");
	assert_string_equal(text_command(arena, BYTES("it's\0a\nb\0$HOME")),
			    "$'it\\'s' $'a\\nb' '$HOME'");
	assert_string_equal(text_command(arena, BYTES("/bin/x\0--a=b,c:d@e+1%\0")),
			    "/bin/x --a=b,c:d@e+1%");
	arena_free(arena);
}

static void sizes_are_short(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1 KiB"},
		{1536, "1.5 KiB"},
		{1u << 20, "1 MiB"},
		{(1u << 20) - 1, "1.0 MiB"},
		{123 << 20 | 1 << 19, "124 MiB"},
		{5ull << 30, "5 GiB"},
		{UINT64_MAX, "16 EiB"},
	};
	char text[TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_string_equal(text_size(cases[i].bytes, text), cases[i].text);
}

static void numbers_have_names(void **state)
{
	char text[NAMES_SIZE];

	assert_string_equal(open_flags_name(O_RDWR | O_APPEND, text), "O_RDWR|O_APPEND");
	assert_string_equal(open_flags_name(0, text), "O_RDONLY");
	assert_string_equal(open_flags_name(O_WRONLY | O_SYNC, text), "O_WRONLY|O_SYNC");
	assert_string_equal(open_flags_name(O_RDWR | 0x40000000, text), "O_RDWR|0x40000000");
	assert_string_equal(names_of(&seal_names, 0, text), "0");
	assert_string_equal(signal_name(SIGTERM, text), "SIGTERM");
	assert_string_equal(signal_name(34, text), "SIGRTMIN");
	assert_string_equal(signal_name(64, text), "SIGRTMIN+30");
	assert_string_equal(signal_name(33, text), "signal 33");
	assert_string_equal(signal_set_name(0, text), "");
	assert_string_equal(signal_set_name(1ull << (SIGUSR1 - 1) | 1ull << 63, text),
			    "SIGUSR1 SIGRTMIN+30");
	assert_string_equal(signal_set_name(UINT64_MAX, text), "all");
	assert_string_equal(signal_set_name(~(1ull << (SIGTRAP - 1)), text), "all but SIGTRAP");
	/* The longest there are fit. */
	assert_string_equal(signal_set_name(0xaaaaaaaaaaaaaaaa, text) + strlen(text) - 11,
			    "SIGRTMIN+30");
}

static void json_is_valid(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct json json = {.file = out};
	unsigned char bytes[58] = {0};

	json_open_object(&json, NULL);
	json_string(&json, "text", "a\"b\\c\n\x01\x7f\xc3\xa9\xff");
	json_string(&json, "none", NULL);
	json_open_list(&json, "list");
	json_unsigned(&json, NULL, UINT64_MAX);
	json_signed(&json, NULL, INT64_MIN);
	json_bool(&json, NULL, true);
	json_close_list(&json);
	json_open_array(&json, "empty");
	json_close_array(&json);
	json_open_array(&json, "array");
	json_open_object(&json, NULL);
	json_close_object(&json);
	json_base64(&json, NULL, "abcd", 4);
	json_close_array(&json);
	json_base64(&json, "nothing", "", 0);
	json_open_base64(&json, "lines");
	json_add_base64(&json, bytes, 20);
	json_add_base64(&json, bytes + 20, 38);
	json_close_base64(&json);
	json_close_object(&json);
	json_finish(&json);
	fclose(out);
	assert_string_equal(text,
			    "{\n"
			    "    \"text\": \"a\\\"b\\\\c\\n\\u0001\\u007f\xc3\xa9\\udcff\",\n"
			    "    \"none\": null,\n"
			    "    \"list\": [18446744073709551615, -9223372036854775808, true],\n"
			    "    \"empty\": [],\n"
			    "    \"array\": [\n"
			    "        {},\n"
			    "        \"YWJjZA==\\n\"\n"
			    "    ],\n"
			    "    \"nothing\": \"\",\n"
			    "    \"lines\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			    "AAAAAAAAAAAAAAAAAAAAAAAA\\nAA==\\n\"\n"
			    "}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_characters_are_escaped),
		cmocka_unit_test(commands_are_quoted),
		cmocka_unit_test(sizes_are_short),
		cmocka_unit_test(numbers_have_names),
		cmocka_unit_test(json_is_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
