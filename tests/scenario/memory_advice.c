/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advice and locks on memory: the flags are compared by the snapshot, their effect here. */
#include "scenario.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 16 * PAGE };

static const struct advice {
	const char *name;
	int advice;
} advice[] = {
	{"DONTFORK", MADV_DONTFORK}, {"WIPEONFORK", MADV_WIPEONFORK}, {"DONTDUMP", MADV_DONTDUMP},
	{"HUGEPAGE", MADV_HUGEPAGE}, {"NOHUGEPAGE", MADV_NOHUGEPAGE}, {"MERGEABLE", MADV_MERGEABLE},
	{"RANDOM", MADV_RANDOM},     {"SEQUENTIAL", MADV_SEQUENTIAL},
};
enum { KINDS = sizeof(advice) / sizeof(advice[0]) };

static char *memory[KINDS], *locked, *locked_later, *named;

static char *map(size_t size)
{
	/* Apart from each other, so that none merges with its neighbour. */
	char *area =
		must(mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

	must(mprotect(area + PAGE, size, PROT_READ | PROT_WRITE));
	return area + PAGE;
}

static void setup(void)
{
	for (int i = 0; i < KINDS; i++) {
		memory[i] = map(SIZE);
		pattern_fill(memory[i], SIZE, i);
		if (madvise(memory[i], SIZE, advice[i].advice) < 0 && i != 5)
			die("madvise %s: %m", advice[i].name);
	}
	locked = map(SIZE);
	must(mlock(locked, SIZE));
	pattern_fill(locked, SIZE, 90);
	locked_later = map(SIZE);
	must(mlock2(locked_later, SIZE, MLOCK_ONFAULT));
	pattern_fill(locked_later, 2 * PAGE, 91);
	named = map(SIZE);
	pattern_fill(named, SIZE, 92);
	prctl(53 /* PR_SET_VMA */, 0 /* PR_SET_VMA_ANON_NAME */, named, SIZE, "a name: of mine");
}

/* What a child that is forked now sees. */
static int seen_by_child(const char *page)
{
	int status, fds[2];
	char value = 0;

	must(pipe(fds));
	pid_t pid = must(fork());
	if (pid == 0)
		_exit(write(fds[1], page, 1) == 1 ? 0 : 1);
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status) == 0 && read(fds[0], &value, 1) != 1)
		fail("the child wrote nothing");
	close(fds[0]);
	close(fds[1]);
	return WEXITSTATUS(status) ? -1 : value;
}

static void verify(void)
{
	for (int i = 0; i < KINDS; i++)
		pattern_check(advice[i].name, memory[i], SIZE, i);
	pattern_check("locked memory", locked, SIZE, 90);
	pattern_check("memory locked on fault", locked_later, 2 * PAGE, 91);
	pattern_check("named memory", named, SIZE, 92);
	same("DONTFORK memory in a new child", -1, seen_by_child(memory[0]));
	same("WIPEONFORK memory in a new child", 0, seen_by_child(memory[1]));
	same("other memory in a new child", memory[2][0], seen_by_child(memory[2]));
}

const struct scenario scenario = {
	.about = "advice, locks and names of memory",
	.setup = setup,
	.verify = verify,
};
