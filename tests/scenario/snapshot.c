/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See snapshot.h.  No memory is allocated between two snapshots: both go to static buffers, whose
 * untouched pages cost nothing.
 */
#include "snapshot.h"
#include "mounts.h"
#include "scenario.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { ROOM = 24 << 20, THREADS_SHOWN = 64, DESCRIPTORS_SHOWN = 2000, NUMBERS = 4096 };

static char scratch[ROOM];

static void line(struct snapshot *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void line(struct snapshot *s, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int length = vsnprintf(s->text + s->size, s->room - s->size - 1, format, args);
	va_end(args);
	if (length < 0 || s->size + length + 2 > s->room)
		die("the snapshot is too large");
	s->size += length;
	s->text[s->size++] = '\n';
	s->text[s->size] = '\0';
}

/* Reads a whole file into scratch; its size, 0 when it cannot be read. */
static size_t slurp(const char *path)
{
	size_t size = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	while ((got = read(fd, scratch + size, sizeof(scratch) - 1 - size)) > 0)
		size += got;
	close(fd);
	scratch[size] = '\0';
	return size;
}

static char *next_line(char **at)
{
	char *start = *at;

	if (!*start)
		return NULL;
	char *end = strchrnul(start, '\n');
	*at = *end ? end + 1 : end;
	*end = '\0';
	return start;
}

static bool begins_with(const char *text, const char *const *prefixes)
{
	for (; *prefixes; prefixes++) {
		if (strncmp(text, *prefixes, strlen(*prefixes)) == 0)
			return true;
	}
	return false;
}

/* Short files, whole; binary ones as a sum. */
static void add_files(struct snapshot *s)
{
	static const char *const texts[] = {"comm",         "oom_score_adj", "coredump_filter",
					    "personality",  "limits",        "loginuid",
					    "sessionid",    "cgroup",        "timers",
					    "attr/current", "timerslack_ns", "cpu_resctrl_groups"};
	static const char *const sums[] = {"cmdline", "environ", "auxv"};
	static const char *const links[] = {"cwd", "root", "exe"};
	static const char *const namespaces[] = {"pid", "mnt",  "net",    "ipc",
						 "uts", "user", "cgroup", "time"};
	char path[64], target[4096];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *at = scratch, *one;
		snprintf(path, sizeof(path), "/proc/self/%s", texts[i]);
		slurp(path);
		while ((one = next_line(&at))) {
			if (strncmp(one, "Max pending", 11) != 0)
				line(s, "%s: %s", texts[i], one);
		}
	}
	for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
		uint64_t sum = 14695981039346656037u;
		snprintf(path, sizeof(path), "/proc/self/%s", sums[i]);
		size_t size = slurp(path);
		for (size_t j = 0; j < size; j++)
			sum = (sum ^ (unsigned char)scratch[j]) * 1099511628211u;
		line(s, "%s: %zu bytes, sum %016lx", sums[i], size, sum);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(path, sizeof(path), "/proc/self/%s", links[i]);
		ssize_t size = readlink(path, target, sizeof(target) - 1);
		line(s, "%s -> %.*s", links[i], size < 0 ? 0 : (int)size, target);
	}
	/* Those of its own have other numbers afterwards. */
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++) {
		struct stat own = {0}, outside = {0};

		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		stat(path, &own);
		snprintf(path, sizeof(path), "/proc/1/ns/%s", namespaces[i]);
		stat(path, &outside);
		line(s, "%s namespace: %s", namespaces[i],
		     own.st_ino == outside.st_ino ? "the one outside" : "its own");
	}
}

/* Fields of /proc/PID/stat that stay, by the numbers of proc_pid_stat(5). */
static void add_stat(struct snapshot *s, const char *path, int tid)
{
	static const char keep[] = {4,  5,  6,  7,  8,  9,  18, 19, 20, 26, 27,
				    28, 38, 40, 41, 45, 46, 47, 48, 49, 50, 51};
	size_t kept = 0;

	slurp(path);
	char *save, *at = strrchr(scratch, ')');
	if (!at)
		return;
	int field = 3;
	for (char *word = strtok_r(at + 1, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save), field++) {
		if (kept == sizeof(keep) || field != keep[kept])
			continue;
		kept++;
		/* PF_RANDOMIZE, PF_SUPERPRIV and others tell what happened, not what is. */
		if (field != 9)
			line(s, "thread %d stat %d: %s", tid, field, word);
	}
}

static void add_thread(struct snapshot *s, int tid)
{
	static const char *const skipped[] = {
		"State:", "VmPeak:",   "VmSize:",      "VmHWM:",  "VmRSS:",   "Rss",    "VmData:",
		"VmStk:", "VmExe:",    "VmLib:",       "VmPTE:",  "VmSwap:",  "VmPin:", "FDSize:",
		"SigQ:",  "voluntary", "nonvoluntary", "Hugetlb", "Threads:", NULL};
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util_min, util_max;
	} sched = {0};
	char path[64], *at = scratch, *one;
	void *robust = NULL;
	size_t robust_size = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	slurp(path);
	while ((one = next_line(&at))) {
		if (!begins_with(one, skipped))
			line(s, "thread %d %s", tid, one);
	}
	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	add_stat(s, path, tid);
	syscall(SYS_get_robust_list, tid, &robust, &robust_size);
	line(s, "thread %d robust list %p, %zu", tid, robust, robust_size);
	syscall(SYS_sched_getattr, tid, &sched, sizeof(sched), 0);
	/* The slice (runtime) of a normal task is set by its nice value only once it was changed.
	 */
	line(s, "thread %d policy %u, flags %lx, nice %d, priority %u, clamps %u %u", tid,
	     sched.policy, sched.flags, sched.nice, sched.priority, sched.util_min, sched.util_max);
	line(s, "thread %d ioprio %lx", tid, syscall(SYS_ioprio_get, 1, tid));
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Numeric names of a directory, sorted; at most `limit`; not its own descriptor. */
static int numbers_of(const char *directory, int *numbers, int limit)
{
	int count = 0;
	struct dirent *entry;
	DIR *dir = opendir(directory);

	if (!dir)
		return 0;
	while ((entry = readdir(dir)) && count < limit) {
		int number = atoi(entry->d_name);
		bool own = number == dirfd(dir) && strstr(directory, "/fd");
		if (entry->d_name[0] != '.' && !own)
			numbers[count++] = number;
	}
	closedir(dir);
	qsort(numbers, count, sizeof(int), by_number);
	return count;
}

/*
 * Numbers the kernel chose (of pipes) are replaced by the order of their first appearance, names
 * of files that were deleted by a word.
 */
static void normalize_link(char *target, uint64_t *seen, int *seen_count)
{
	char *bracket = strstr(target, ":[");

	if (target[0] == '/' && strstr(target, " (deleted)")) {
		if (strncmp(target, "/memfd:", 7) != 0 && strncmp(target, "/dev/zero", 9) != 0)
			strcpy(target, "(deleted)");
	} else if (bracket && target[0] != '/') {
		uint64_t number = strtoull(bracket + 2, NULL, 10);
		int i = 0;
		while (i < *seen_count && seen[i] != number)
			i++;
		if (i == *seen_count && i < NUMBERS)
			seen[(*seen_count)++] = number;
		sprintf(bracket, ":[#%d]", i);
	}
}

static void add_descriptors(struct snapshot *s, int hidden)
{
	static int fds[DESCRIPTORS_SHOWN];
	static uint64_t seen[NUMBERS];
	static const char *const keys[] = {
		"pos:", "flags:", "eventfd-count:", "sigmask:", "clockid:", "lock:", NULL};
	int count = numbers_of("/proc/self/fd", fds, DESCRIPTORS_SHOWN), seen_count = 0;
	char path[64], target[4200], *at, *one;

	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[i]);
		ssize_t size = readlink(path, target, sizeof(target) - 1);
		if (size < 0 || fds[i] == hidden)
			continue;
		target[size] = '\0';
		normalize_link(target, seen, &seen_count);
		line(s, "fd %d -> %s", fds[i], target);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fds[i]);
		slurp(path);
		at = scratch;
		while ((one = next_line(&at))) {
			if (begins_with(one, keys))
				line(s, "fd %d %s", fds[i], one);
		}
	}
}

struct mapping {
	unsigned long start, end, offset, inode;
	char perms[8], device[16], name[1024], flags[256];
};

/* A filesystem that is part of the checkpoint has other numbers after a restore. */
static bool made_anew(const struct mapping *m)
{
	return m->name[0] == '/' && !strncmp(m->device, "00:", 3) && m->inode;
}

static void add_mapping(struct snapshot *s, const struct mapping *m)
{
	/* A stack has grown when something was called; only its end is fixed. */
	if (strstr(m->flags, " gd"))
		line(s, "mapping to %lx %s %s%s", m->end, m->perms, m->name, m->flags);
	else if (m->end > m->start)
		line(s, "mapping %lx-%lx %s %lx %s %lu %s%s", m->start, m->end, m->perms, m->offset,
		     made_anew(m) ? "tmpfs" : m->device, made_anew(m) ? 0 : m->inode, m->name,
		     m->flags);
}

/* Neighbours that differ in nothing may be one mapping or several, as the kernel likes. */
static bool continues(const struct mapping *a, const struct mapping *b)
{
	return a->end == b->start && strcmp(a->perms, b->perms) == 0 && a->inode == b->inode &&
	       strcmp(a->device, b->device) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->flags, b->flags) == 0 &&
	       (a->inode == 0 || a->offset + (a->end - a->start) == b->offset);
}

/* VmFlags in order, without those that change by themselves. */
static void copy_flags(char *to, char *from)
{
	char *save;

	*to = '\0';
	for (char *word = strtok_r(from, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (strcmp(word, "sd") != 0 && strcmp(word, "ac") != 0)
			to += sprintf(to, " %s", word);
	}
}

static void add_mappings(struct snapshot *s)
{
	static struct mapping pending, m;
	char *at = scratch, *one;

	memset(&pending, 0, sizeof(pending));
	slurp("/proc/self/smaps");
	while ((one = next_line(&at))) {
		int name = 0;
		if (strncmp(one, "VmFlags:", 8) == 0) {
			copy_flags(m.flags, one + 8);
			if (continues(&pending, &m)) {
				pending.end = m.end;
				continue;
			}
			add_mapping(s, &pending);
			pending = m;
		} else if (sscanf(one, "%lx-%lx %7s %lx %15s %lu %n", &m.start, &m.end, m.perms,
				  &m.offset, m.device, &m.inode, &name) == 6) {
			snprintf(m.name, sizeof(m.name), "%s", one + name);
			if (strstr(m.name, " (deleted)")) { /* another file of the same content */
				m.inode = 1;
				strcpy(m.device, "-");
				if (strncmp(m.name, "/memfd:", 7) &&
				    strncmp(m.name, "/dev/zero", 9))
					strcpy(m.name, "(deleted)");
			}
		}
	}
	add_mapping(s, &pending);
}

static void add_signals(struct snapshot *s)
{
	struct {
		unsigned long handler, flags, restorer, mask;
	} action;
	stack_t stack;

	for (int sig = 1; sig <= 64; sig++) {
		syscall(SYS_rt_sigaction, sig, NULL, &action, sizeof(action.mask));
		line(s, "signal %d: handler %lx, flags %lx, restorer %lx, mask %lx", sig,
		     action.handler, action.flags, action.restorer, action.mask);
	}
	syscall(SYS_sigaltstack, NULL, &stack);
	line(s, "alternate stack %p, %zu, %x", stack.ss_sp, stack.ss_size, stack.ss_flags);
}

static void add_prctl(struct snapshot *s)
{
	static const struct {
		const char *name;
		int option;
		bool by_pointer;
	} rows[] = {
		{"pdeathsig", PR_GET_PDEATHSIG, true},
		{"dumpable", PR_GET_DUMPABLE, false},
		{"keepcaps", PR_GET_KEEPCAPS, false},
		{"securebits", PR_GET_SECUREBITS, false},
		{"timerslack", PR_GET_TIMERSLACK, false},
		{"subreaper", PR_GET_CHILD_SUBREAPER, true},
		{"no_new_privs", PR_GET_NO_NEW_PRIVS, false},
		{"thp_disable", PR_GET_THP_DISABLE, false},
		{"tsc", PR_GET_TSC, true},
		{"mce_kill", PR_MCE_KILL_GET, false},
		{"io_flusher", 58 /* PR_GET_IO_FLUSHER */, false},
		{"mdwe", 66 /* PR_GET_MDWE */, false},
		{"ksm", 68 /* PR_GET_MEMORY_MERGE */, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int value = 0;
		long got = syscall(SYS_prctl, rows[i].option,
				   rows[i].by_pointer ? (long)&value : 0L, 0L, 0L, 0L);
		line(s, "prctl %s: %ld %d", rows[i].name, got, value);
	}
	for (long i = 0; i < 3; i++) {
		long got = syscall(SYS_prctl, PR_GET_SPECULATION_CTRL, i, 0L, 0L, 0L);
		line(s, "speculation %ld: %ld", i, got);
	}
	unsigned long address = 0;
	syscall(SYS_prctl, 40 /* PR_GET_TID_ADDRESS */, &address, 0L, 0L, 0L);
	line(s, "tid address %lx", address);
	for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
		struct itimerval timer;
		getitimer(which, &timer);
		line(s, "itimer %d: interval %ld.%06ld, %s", which, timer.it_interval.tv_sec,
		     timer.it_interval.tv_usec,
		     timer.it_value.tv_sec || timer.it_value.tv_usec ? "armed" : "disarmed");
	}
}

static void add_mount(void *snapshot, const char *text)
{
	line(snapshot, "%s", text);
}

static void add_mounts(struct snapshot *s)
{
	if (slurp("/proc/self/mountinfo"))
		mounts_describe(scratch, add_mount, s);
}

void snapshot_take(struct snapshot *s, int hidden)
{
	static char room[2][ROOM];
	static int taken;
	static int tids[THREADS_SHOWN];

	if (!s->text)
		s->text = room[taken++ % 2];
	s->room = ROOM;
	s->size = 0;
	add_signals(s);
	add_prctl(s);
	int count = numbers_of("/proc/self/task", tids, THREADS_SHOWN);
	for (int i = 0; i < count; i++)
		add_thread(s, tids[i]);
	add_files(s);
	add_descriptors(s, hidden);
	add_mappings(s);
	add_mounts(s);
}

bool snapshot_same(const struct snapshot *before, const struct snapshot *after)
{
	return before->size == after->size && memcmp(before->text, after->text, after->size) == 0;
}

void snapshot_compare(const struct snapshot *before, const struct snapshot *after)
{
	const char *a = before->text, *b = after->text;

	/* The order is fixed, so lines of the one missing in the other are found nearby. */
	while (*a || *b) {
		int a_size = strcspn(a, "\n"), b_size = strcspn(b, "\n");
		if (a_size == b_size && memcmp(a, b, a_size) == 0) {
			a += a_size + !!a[a_size];
			b += b_size + !!b[b_size];
			continue;
		}
		char wanted[1200];
		snprintf(wanted, sizeof(wanted), "\n%.*s\n", a_size < 1100 ? a_size : 1100, a);
		const char *found = a_size ? strstr(b, wanted) : NULL;
		if (found) { /* lines up to there are new */
			fail("new: %.*s", b_size, b);
			b += b_size + 1;
			continue;
		}
		snprintf(wanted, sizeof(wanted), "\n%.*s\n", b_size < 1100 ? b_size : 1100, b);
		bool changed = b_size && !strstr(a, wanted);
		if (changed) {
			fail("was: %.*s", a_size, a);
			fail("now: %.*s", b_size, b);
			b += b_size + 1;
		} else {
			fail("lost: %.*s", a_size, a);
		}
		if (*a)
			a += a_size + 1;
	}
}
