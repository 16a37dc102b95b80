/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/names.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "image/constants.h"

#define NAME(value)                                                                                \
	{                                                                                          \
		(value), #value                                                                    \
	}
#define TABLE(name_, ...)                                                                          \
	static const struct name name_##_rows[] = {__VA_ARGS__};                                   \
	const struct names name_ = {name_##_rows, sizeof(name_##_rows) / sizeof(struct name)}

/* clang-format off */
TABLE(signal_names,
	NAME(SIGHUP), NAME(SIGINT), NAME(SIGQUIT), NAME(SIGILL), NAME(SIGTRAP), NAME(SIGABRT),
	NAME(SIGBUS), NAME(SIGFPE), NAME(SIGKILL), NAME(SIGUSR1), NAME(SIGSEGV), NAME(SIGUSR2),
	NAME(SIGPIPE), NAME(SIGALRM), NAME(SIGTERM), NAME(SIGSTKFLT), NAME(SIGCHLD),
	NAME(SIGCONT), NAME(SIGSTOP), NAME(SIGTSTP), NAME(SIGTTIN), NAME(SIGTTOU), NAME(SIGURG),
	NAME(SIGXCPU), NAME(SIGXFSZ), NAME(SIGVTALRM), NAME(SIGPROF), NAME(SIGWINCH), NAME(SIGIO),
	NAME(SIGPWR), NAME(SIGSYS));

/* The kernel's numbers: O_SYNC contains O_DSYNC and O_TMPFILE O_DIRECTORY, so they come first. */
TABLE(open_names,
	NAME(O_SYNC), NAME(O_TMPFILE), NAME(O_CREAT), NAME(O_EXCL), NAME(O_NOCTTY), NAME(O_TRUNC),
	NAME(O_APPEND), NAME(O_NONBLOCK), NAME(O_DSYNC), NAME(O_ASYNC), NAME(O_DIRECT),
	{ 0100000, "O_LARGEFILE" }, /* 0 in the C library of 64-bit machines */
	NAME(O_DIRECTORY), NAME(O_NOFOLLOW), NAME(O_NOATIME), NAME(O_CLOEXEC), NAME(O_PATH));

TABLE(vma_names,
	NAME(VMA_AREA_REGULAR), NAME(VMA_AREA_STACK), NAME(VMA_AREA_VSYSCALL), NAME(VMA_AREA_VDSO),
	NAME(VMA_AREA_HEAP), NAME(VMA_FILE_PRIVATE), NAME(VMA_FILE_SHARED), NAME(VMA_ANON_SHARED),
	NAME(VMA_ANON_PRIVATE), NAME(VMA_AREA_SYSVIPC), NAME(VMA_AREA_SOCKET),
	NAME(VMA_AREA_VVAR), NAME(VMA_AREA_AIORING), NAME(VMA_AREA_MEMFD),
	NAME(VMA_AREA_SHSTK), NAME(VMA_AREA_GUARD), NAME(VMA_AREA_UPROBES));

TABLE(prot_names, NAME(PROT_READ), NAME(PROT_WRITE), NAME(PROT_EXEC));

TABLE(map_names,
	NAME(MAP_SHARED), NAME(MAP_PRIVATE), { 0x08, "MAP_DROPPABLE" }, NAME(MAP_FIXED),
	NAME(MAP_ANONYMOUS), NAME(MAP_GROWSDOWN), NAME(MAP_LOCKED), NAME(MAP_NORESERVE),
	NAME(MAP_POPULATE), NAME(MAP_STACK), NAME(MAP_HUGETLB));

TABLE(action_names,
	NAME(SA_NOCLDSTOP), NAME(SA_NOCLDWAIT), NAME(SA_SIGINFO), { 0x800, "SA_EXPOSE_TAGBITS" },
	{ 0x04000000, "SA_RESTORER" }, NAME(SA_ONSTACK), NAME(SA_RESTART), NAME(SA_NODEFER),
	{ SA_RESETHAND, "SA_RESETHAND" });

TABLE(seal_names,
	NAME(F_SEAL_SEAL), NAME(F_SEAL_SHRINK), NAME(F_SEAL_GROW), NAME(F_SEAL_WRITE),
	NAME(F_SEAL_FUTURE_WRITE), { 0x20, "F_SEAL_EXEC" });

TABLE(pagemap_names, NAME(PE_PARENT), NAME(PE_LAZY), NAME(PE_PRESENT), NAME(PE_PAYLOAD_ALIGNED));

/* 6 is what CRIU itself wrote for zombies once. */
TABLE(state_names, { 1, "alive" }, { 2, "zombie" }, { 3, "stopped" }, { 6, "zombie" });

TABLE(clock_names,
	NAME(CLOCK_REALTIME), NAME(CLOCK_MONOTONIC), NAME(CLOCK_PROCESS_CPUTIME_ID),
	NAME(CLOCK_THREAD_CPUTIME_ID), NAME(CLOCK_MONOTONIC_RAW), NAME(CLOCK_REALTIME_COARSE),
	NAME(CLOCK_MONOTONIC_COARSE), NAME(CLOCK_BOOTTIME), NAME(CLOCK_REALTIME_ALARM),
	NAME(CLOCK_BOOTTIME_ALARM), NAME(CLOCK_TAI));

TABLE(policy_names,
	{ 0, "SCHED_OTHER" }, { 1, "SCHED_FIFO" }, { 2, "SCHED_RR" }, { 3, "SCHED_BATCH" },
	{ 5, "SCHED_IDLE" }, { 6, "SCHED_DEADLINE" }, { 7, "SCHED_EXT" });

TABLE(rlimit_names,
	NAME(RLIMIT_CPU), NAME(RLIMIT_FSIZE), NAME(RLIMIT_DATA), NAME(RLIMIT_STACK),
	NAME(RLIMIT_CORE), NAME(RLIMIT_RSS), NAME(RLIMIT_NPROC), NAME(RLIMIT_NOFILE),
	NAME(RLIMIT_MEMLOCK), NAME(RLIMIT_AS), NAME(RLIMIT_LOCKS), NAME(RLIMIT_SIGPENDING),
	NAME(RLIMIT_MSGQUEUE), NAME(RLIMIT_NICE), NAME(RLIMIT_RTPRIO), NAME(RLIMIT_RTTIME));
/* clang-format on */

/* The kernel's first real-time signal is 32; the C library keeps two for itself. */
enum { FIRST_REAL_TIME = 34, LAST_SIGNAL = 64 };

const char *name_of(const struct names *names, uint64_t value)
{
	for (size_t i = 0; i < names->count; i++)
		if (names->rows[i].value == value)
			return names->rows[i].name;
	return NULL;
}

static void append(char buffer[NAMES_SIZE], const char *separator, const char *text)
{
	size_t used = strlen(buffer);

	snprintf(buffer + used, NAMES_SIZE - used, "%s%s", used ? separator : "", text);
}

static const char *append_flags(const struct names *names, uint64_t value, char buffer[NAMES_SIZE])
{
	for (size_t i = 0; i < names->count; i++) {
		uint64_t flag = names->rows[i].value;

		if ((value & flag) == flag) {
			append(buffer, "|", names->rows[i].name);
			value &= ~flag;
		}
	}
	if (value || !*buffer) {
		char number[32];

		snprintf(number, sizeof(number), value ? "%#llx" : "%llu",
			 (unsigned long long)value);
		append(buffer, "|", number);
	}
	return buffer;
}

const char *names_of(const struct names *names, uint64_t value, char buffer[NAMES_SIZE])
{
	*buffer = '\0';
	return append_flags(names, value, buffer);
}

const char *open_flags_name(uint64_t flags, char buffer[NAMES_SIZE])
{
	static const char *const access[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};

	*buffer = '\0';
	append(buffer, "", access[flags & O_ACCMODE]);
	flags &= ~(uint64_t)O_ACCMODE;
	return flags ? append_flags(&open_names, flags, buffer) : buffer;
}

const char *signal_name(int number, char buffer[NAMES_SIZE])
{
	const char *name = name_of(&signal_names, number);

	if (name)
		snprintf(buffer, NAMES_SIZE, "%s", name);
	else if (number == FIRST_REAL_TIME)
		snprintf(buffer, NAMES_SIZE, "SIGRTMIN");
	else if (number > FIRST_REAL_TIME && number <= LAST_SIGNAL)
		snprintf(buffer, NAMES_SIZE, "SIGRTMIN+%d", number - FIRST_REAL_TIME);
	else
		snprintf(buffer, NAMES_SIZE, "signal %d", number);
	return buffer;
}

const char *signal_set_name(uint64_t mask, char buffer[NAMES_SIZE])
{
	/* These cannot be blocked: a mask is full without them. */
	const uint64_t unblockable = 1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1);
	bool most = __builtin_popcountll(mask) > LAST_SIGNAL / 2;
	char name[NAMES_SIZE];

	*buffer = '\0';
	if (most) {
		mask = ~mask & ~unblockable;
		append(buffer, "", mask ? "all but" : "all");
	}
	for (int signal = 1; signal <= LAST_SIGNAL; signal++)
		if (mask & 1ull << (signal - 1))
			append(buffer, " ", signal_name(signal, name));
	return buffer;
}
