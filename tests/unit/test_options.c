/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/fd.h"
#include "base/report.h"
#include "cli/config.h"
#include "cli/options.h"

/* Parses the words of a command line, and nothing but them. */
#define PARSE(options, ...)                                                                        \
	parse((options), (char *[]){"/usr/sbin/stasis", "--no-default-config", __VA_ARGS__, NULL})

static int parse(struct options *options, char **argv)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	report_clear();
	return options_parse(options, argc, argv);
}

static void assert_problem(size_t index, const char *subject, const char *reason)
{
	assert_true(index < report_count());
	assert_string_equal(report_get(index)->subject, subject);
	assert_string_equal(report_get(index)->reason, reason);
}

/* A configuration file in memory: its path. */
static const char *config_file(const char *text)
{
	static char path[64];
	int fd = memfd_create("config", 0);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

/* ---- the command line --------------------------------------------------------------------- */

static void test_defaults(void **state)
{
	struct options options;

	assert_int_equal(PARSE(&options, "dump", "-t", "1"), 0);
	assert_string_equal(options.command, "dump");
	assert_int_equal(options.tree, 1);
	assert_int_equal(options.verbosity, 2);
	assert_false(options.verbose);
	assert_int_equal(options.ghost_limit, 1 << 20);
	assert_int_equal(options.timeout, 10);
	assert_null(options.images_dir);
	assert_false(options.as_criu);
	assert_int_equal(options_check(&options), 0);
}

static void test_forms(void **state)
{
	struct options options;

	assert_int_equal(PARSE(&options, "-D", "a", "dump", "--tree=42", "-Wb", "--leave-running",
			       "-o-", "--pidfile", "p", "-jv4"),
			 0);
	assert_int_equal(options.tree, 42);
	assert_string_equal(options.images_dir, "a");
	assert_string_equal(options.work_dir, "b");
	assert_string_equal(options.log_file, "-");
	assert_true(options.leave_running);
	assert_true(options.shell_job);
	assert_int_equal(options.verbosity, 4);
}

static void test_verbosity(void **state)
{
	static const struct {
		char *word;
		int level;
	} cases[] = {{"-v", 3},  {"-vv", 4},         {"-vvvvvv", 4},       {"-v0", 0},
		     {"-v3", 3}, {"--verbosity", 3}, {"--verbosity=1", 1}, {"--verbosity=9", 4}};
	struct options options;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(PARSE(&options, "check", cases[i].word), 0);
		assert_int_equal(options.verbosity, cases[i].level);
		assert_true(options.verbose);
	}
	assert_int_not_equal(PARSE(&options, "check", "-vx"), 0);
}

static void test_sizes(void **state)
{
	static const struct {
		char *word;
		uint64_t size;
	} cases[] = {{"0", 0},
		     {"4097", 4097},
		     {"3K", 3 << 10},
		     {"3k", 3 << 10},
		     {"1M", 1 << 20},
		     {"5G", 5ull << 30},
		     {"17179869183G", 17179869183ull << 30}};
	static char *const wrong[] = {
		"", "x", "-1", "1T", "1MB", "M", " 1", "17179869184G", "99999999999999999999"};
	struct options options;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(PARSE(&options, "dump", "--ghost-limit", cases[i].word), 0);
		assert_int_equal(options.ghost_limit, cases[i].size);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_not_equal(PARSE(&options, "dump", "--ghost-limit", wrong[i]), 0);
}

static void test_numbers(void **state)
{
	static char *const wrong[] = {"0", "-1", "", "1x", "2147483648", "+5"};
	struct options options;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_not_equal(PARSE(&options, "dump", "-t", wrong[i]), 0);
	assert_int_equal(PARSE(&options, "dump", "--timeout", "0"), 0);
	assert_int_equal(options.timeout, 0);
}

static void test_negation(void **state)
{
	struct options options;

	assert_int_equal(
		PARSE(&options, "dump", "--link-remap", "--no-link-remap", "--no-tcp-established"),
		0);
	assert_false(options.link_remap);
	assert_int_not_equal(PARSE(&options, "dump", "--no-tree"), 0);
	/* The later counts. */
	assert_int_equal(PARSE(&options, "dump", "-R", "-s"), 0);
	assert_true(options.leave_stopped);
	assert_false(options.leave_running);
}

static void test_abbreviation(void **state)
{
	struct options options;

	assert_int_equal(PARSE(&options, "dump", "--leave-r"), 0);
	assert_true(options.leave_running);
	assert_int_not_equal(PARSE(&options, "dump", "--leave"), 0);
	/* A whole name that begins another one is meant itself: --tls and --tls-key. */
	PARSE(&options, "dump", "--tls");
	assert_problem(0, "--tls", "page servers are not supported yet");
}

static void test_unknown(void **state)
{
	struct options options;

	assert_int_not_equal(PARSE(&options, "dump", "--leave-runing", "-Q"), 0);
	assert_problem(0, "--leave-runing", "no such option");
	assert_string_equal(report_get(0)->remedy, "did you mean --leave-running?");
	assert_problem(1, "-Q", "no such option");
	assert_int_not_equal(PARSE(&options, "restor"), 0);
	assert_string_equal(report_get(0)->remedy, "did you mean restore?");
	assert_int_not_equal(PARSE(&options, "dump", "-t"), 0);
	assert_problem(0, "--tree", "needs a value");
	assert_int_not_equal(PARSE(&options, "dump", "--leave-running=yes"), 0);
	assert_problem(0, "--leave-running yes", "takes no value");
}

static void test_later(void **state)
{
	struct options options;

	assert_int_not_equal(PARSE(&options, "dump", "--tcp-established", "-l"), 0);
	assert_problem(0, "--tcp-established", "TCP connections are not supported yet");
	assert_problem(1, "--file-locks", "file locks are not supported yet");
	assert_int_equal(PARSE(&options, "dump", "--network-lock", "skip",
			       "--manage-cgroups=ignore", "--image-io-mode=writeback"),
			 0);
	assert_int_not_equal(PARSE(&options, "dump", "--network-lock", "nftables"), 0);
	assert_int_not_equal(PARSE(&options, "dump", "--manage-cgroups"), 0);
	assert_int_equal(PARSE(&options, "page-server"), 0);
	assert_int_not_equal(options_check(&options), 0);
	assert_problem(0, "page-server", "page servers are not supported yet");
}

static void test_lists(void **state)
{
	struct options options;

	assert_int_equal(PARSE(&options, "dump", "--action-script", "/bin/../bin/sh",
			       "--action-script", "hook"),
			 0);
	assert_int_equal(options.action_scripts.count, 2);
	assert_string_not_equal(options.action_scripts.items[0], "/bin/../bin/sh");
	assert_string_equal(options.action_scripts.items[1], "hook");
	assert_int_not_equal(PARSE(&options, "dump", "--action-script", "/nowhere/hook"), 0);
}

static void test_close(void **state)
{
	struct options options;
	char number[16];
	int fd = dup(STDERR_FILENO);

	snprintf(number, sizeof(number), "%d", fd);
	assert_int_equal(PARSE(&options, "check", "--close", number), 0);
	assert_int_equal(close(fd), -1);
	assert_int_not_equal(PARSE(&options, "check", "--close", number), 0);
}

static void test_arguments(void **state)
{
	struct options options;

	assert_int_equal(PARSE(&options, "restore", "-d", "--exec-cmd", "--", "sh", "-c", "x"), 0);
	assert_int_equal(options.argument_count, 3);
	assert_string_equal(options.arguments[1], "-c");
	assert_null(options.arguments[3]);
	assert_int_equal(options_check(&options), 0);
	assert_int_equal(PARSE(&options, "dump", "-t1", "stray"), 0);
	assert_int_not_equal(options_check(&options), 0);
	assert_int_equal(PARSE(&options, "--help"), 0);
	assert_true(options.help);
	assert_null(options.command);
}

static void test_together(void **state)
{
	struct options options;

	assert_int_equal(PARSE(&options, "dump"), 0);
	assert_int_not_equal(options_check(&options), 0);
	assert_int_equal(PARSE(&options, "restore", "-S"), 0);
	assert_int_not_equal(options_check(&options), 0);
	assert_int_equal(PARSE(&options, "restore", "-S", "-d"), 0);
	assert_int_equal(options_check(&options), 0);
}

static void test_as_criu(void **state)
{
	struct options options;

	assert_int_equal(
		parse(&options, (char *[]){"/usr/bin/criu", "--no-default-config", "check", NULL}),
		0);
	assert_true(options.as_criu);
}

/* ---- configuration files ------------------------------------------------------------------ */

static void test_config(void **state)
{
	struct options options;
	const char *path =
		config_file("# a comment\n"
			    "\n"
			    "  leave-running\t# another\n"
			    "work-dir \"/var/log/my \\\"stasis\\\" \\logs #1\"  # and one\n"
			    "ghost-limit=2K\r\n"
			    "verbosity 4\n"
			    "restore-detached\n"
			    "tree 7");

	assert_int_equal(PARSE(&options, "dump", "--config", (char *)path), 0);
	assert_true(options.leave_running);
	assert_string_equal(options.work_dir, "/var/log/my \"stasis\" \\logs #1");
	assert_int_equal(options.ghost_limit, 2048);
	assert_int_equal(options.verbosity, 4);
	assert_int_equal(options.tree, 7);
	/* Of restore: no concern of dump. */
	assert_false(options.restore_detached);
}

static void test_config_weight(void **state)
{
	struct options options;

	setenv("STASIS_CONFIG_FILE", config_file("timeout 1\nghost-limit 1\nwork-dir env"), 1);
	assert_int_equal(PARSE(&options, "dump", "--timeout", "3", "--config",
			       (char *)config_file("timeout 2\nghost-limit 2")),
			 0);
	unsetenv("STASIS_CONFIG_FILE");
	assert_int_equal(options.timeout, 3);
	assert_int_equal(options.ghost_limit, 2);
	assert_string_equal(options.work_dir, "env");
}

static void test_config_wrong(void **state)
{
	static const struct {
		const char *text, *subject, *reason;
	} cases[] = {
		{"\nwork-dir a b", "%s:2", "has more than an option and its value"},
		{"work-dir \"a", "%s:1", "has a quote that is not closed"},
		{"work-dir \"a\"b", "%s:1", "has more than an option and its value"},
		{"= a", "%s:1", "has no option"},
		{"leave-runing", "%s:1: leave-runing", "no such option"},
		{"leave-r", "%s:1: leave-r", "no such option"},
		{"tree", "%s:1: tree", "needs a value"},
		{"tree x", "%s:1: tree x", "is not a process id (a number from 1)"},
		{"leave-running yes", "%s:1: leave-running yes", "takes no value"},
		{"file-locks", "%s:1: file-locks", "file locks are not supported yet"},
	};
	struct options options;
	char subject[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *path = config_file(cases[i].text);

		assert_int_not_equal(PARSE(&options, "dump", "--config", (char *)path), 0);
		assert_int_equal(report_count(), 1);
		snprintf(subject, sizeof(subject), cases[i].subject, path);
		assert_problem(0, subject, cases[i].reason);
	}
	assert_int_not_equal(PARSE(&options, "dump", "--config", "/nowhere"), 0);
}

/* Whatever a line holds, reading it ends and stays within it. */
static void test_config_noise(void **state)
{
	static const char letters[] = "ab\"\\#= \t\r\n-";
	char text[32];
	struct config config;
	struct config_line line;

	srand(1);
	for (unsigned int i = 0; i < 20000; i++) {
		size_t length = rand() % (sizeof(text) - 1);

		for (size_t j = 0; j < length; j++)
			text[j] = letters[rand() % (sizeof(letters) - 1)];
		text[length] = '\0';
		report_clear();
		config = (struct config){.file = "noise", .next = text};
		while (config_next(&config, &line) > 0) {
			assert_in_range(line.name - text, 0, length);
			assert_in_range(strlen(line.name), 1, length);
			if (line.value)
				assert_in_range(line.value - text, 0, length);
		}
	}
}

/* ---- the table ---------------------------------------------------------------------------- */

static void test_table(void **state)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option *option = &option_table[i];

		assert_non_null(option->help);
		assert_true(option->commands);
		/* What it does is said in one way: it is set, refused, or changes nothing. */
		assert_int_equal(!!option->set + !!option->capability + !!option->moot, 1);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(option->name, option_table[j].name);
			if (option->letter)
				assert_int_not_equal(option->letter, option_table[j].letter);
		}
	}
}

/* The form of an option in the manual's tag lines: "\-t, \-\-tree PID" without its markup. */
static bool is_in_manual(const char *manual, const struct option *option)
{
	char plain[128], lettered[128], name[64];
	size_t used = 0;

	for (const char *from = option->name; *from && used < sizeof(name) - 3; from++) {
		if (*from == '-')
			name[used++] = '\\';
		name[used++] = *from;
	}
	name[used] = '\0';
	snprintf(lettered, sizeof(lettered), "\\-%c \", \" \\-\\-%s", option->letter, name);
	snprintf(plain, sizeof(plain), " \\-\\-%s", name);
	for (const char *line = manual; (line = strstr(line, "\n.TP\n.B")); line++) {
		const char *end = strchrnul(line + 5, '\n');
		const char *found = strstr(line, option->letter ? lettered : plain);
		size_t length = strlen(option->letter ? lettered : plain);

		if (found && found < end && strchr(" \n\"", found[length]))
			return true;
	}
	return false;
}

static void test_manual(void **state)
{
	const char *path = getenv("STASIS_MANUAL");
	size_t tags = 0;
	char *manual;

	if (!path)
		skip();
	assert_int_equal(fd_read_file(AT_FDCWD, path, &manual, NULL), 0);
	for (size_t i = 0; i < option_count; i++)
		if (!is_in_manual(manual, &option_table[i]))
			fail_msg("--%s is not in %s", option_table[i].name, path);
	/* Each has its entry: as many entries as options mean that none is left over. */
	for (const char *line = manual; (line = strstr(line, "\n.TP\n.B")); line++) {
		const char *end = strchrnul(line + 5, '\n');
		const char *dashes = strstr(line, "\\-\\-");

		tags += dashes && dashes < end;
	}
	assert_int_equal(tags, option_count);
	free(manual);
}

/* A name longer than any is unknown, and no more. */
static void test_endless_name(void **state)
{
	struct options options;
	char name[4096];

	memset(name, 'x', sizeof(name) - 1);
	name[0] = name[1] = '-';
	name[sizeof(name) - 1] = '\0';
	assert_int_not_equal(PARSE(&options, "dump", name), 0);
	assert_int_equal(report_count(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),     cmocka_unit_test(test_forms),
		cmocka_unit_test(test_verbosity),    cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_numbers),      cmocka_unit_test(test_negation),
		cmocka_unit_test(test_abbreviation), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_later),        cmocka_unit_test(test_lists),
		cmocka_unit_test(test_close),        cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_together),     cmocka_unit_test(test_as_criu),
		cmocka_unit_test(test_config),       cmocka_unit_test(test_config_weight),
		cmocka_unit_test(test_config_wrong), cmocka_unit_test(test_config_noise),
		cmocka_unit_test(test_table),        cmocka_unit_test(test_manual),
		cmocka_unit_test(test_endless_name),
	};

	unsetenv("STASIS_CONFIG_FILE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
