/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process is called and how it was started: name, command line and environment that were
 * overwritten and moved, out-of-memory score, core dump filter, personality, prctl settings.
 */
#include "scenario.h"

#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *page;

/* All positions at once, as only that needs no CAP_SYS_RESOURCE. */
static void move_titles(char *arg_start, char *arg_end, char *env_start, char *env_end)
{
	unsigned long fields[53] = {0};
	struct prctl_mm_map map = {.exe_fd = -1};
	const char *at = strrchr(file_text("/proc/self/stat"), ')') + 1;

	for (int field = 3; field < 53 && *at; field++) /* the third is a letter */
		fields[field] = strtoul(at + 1, (char **)&at, 10);
	map.start_code = fields[26];
	map.end_code = fields[27];
	map.start_stack = fields[28];
	map.start_data = fields[45];
	map.end_data = fields[46];
	map.start_brk = fields[47];
	map.brk = (unsigned long)sbrk(0);
	map.arg_start = (unsigned long)arg_start;
	map.arg_end = (unsigned long)arg_end;
	map.env_start = (unsigned long)env_start;
	map.env_end = (unsigned long)env_end;
	must(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0));
}

static void setup(void)
{
	/* A command line and an environment of its own, as setproctitle() makes them. */
	page = must(mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	memcpy(page, "scenario:\0running as\0identity", 30);
	memcpy(page + 4096, "NAME=value\0OTHER=\xff\x01\n", 21);
	move_titles(page, page + 30, page + 4096, page + 4096 + 21);
	must(prctl(PR_SET_NAME, "a (n)a\nme\xc3\xa4\x80 x"));
	must(prctl(PR_SET_TIMERSLACK, 123456));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	must(personality(ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS));
	write_text("/proc/self/oom_score_adj", "567");
	write_text("/proc/self/coredump_filter", "0x71");
}

static void verify(void)
{
	char name[16] = "";
	FILE *file = fopen("/proc/self/cmdline", "re");
	char line[64] = "";

	check(file && fread(line, 1, sizeof(line), file) == 30, "the command line is not as long");
	same_bytes("command line", page, line, 30);
	fclose(file);
	prctl(PR_GET_NAME, name);
	same_string("name", "a (n)a\nme\xc3\xa4\x80 x", name);
	same("timer slack", 123456, prctl(PR_GET_TIMERSLACK));
	same("transparent huge pages disabled", 1, prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	same("personality", ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS, personality(0xffffffff));
	same_string("out-of-memory score", "567\n", file_text("/proc/self/oom_score_adj"));
	same_string("core dump filter", "00000071\n", file_text("/proc/self/coredump_filter"));
}

const struct scenario scenario = {
	.about = "name, command line, environment, prctl settings",
	.setup = setup,
	.verify = verify,
};
