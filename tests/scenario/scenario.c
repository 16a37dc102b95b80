/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main() of every scenario, and what scenarios share; see scenario.h. */
#include "scenario.h"
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_BROKEN = 2, EXIT_SKIPPED = 77, CHILDREN = 2048 };

static char result_path[PATH_MAX];
static atomic_int failures;
static volatile sig_atomic_t told;
static pid_t children[CHILDREN];
static size_t child_count;

/* Opened only when there is something to say: the descriptor must not be part of the state. */
static void say(const char *kind, const char *format, va_list args)
{
	char text[1024];
	int length = snprintf(text, sizeof(text), "%s", kind);

	length += vsnprintf(text + length, sizeof(text) - length - 1, format, args);
	if (length > (int)sizeof(text) - 2)
		length = sizeof(text) - 2;
	text[length++] = '\n';
	int fd = open(result_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, text, length) != length)
		abort();
	close(fd);
}

void fail(const char *format, ...)
{
	va_list args;

	if (atomic_fetch_add(&failures, 1) >= 20) /* enough to understand what went wrong */
		return;
	va_start(args, format);
	say("FAIL ", format, args);
	va_end(args);
}

void skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("SKIP ", format, args);
	va_end(args);
	_exit(EXIT_SKIPPED);
}

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("BROKEN ", format, args);
	va_end(args);
	_exit(EXIT_BROKEN);
}

void same_value(const char *what, long long expected, long long actual)
{
	check(expected == actual, "%s: %lld (0x%llx) instead of %lld (0x%llx)", what, actual,
	      actual, expected, expected);
}

void same_string(const char *what, const char *expected, const char *actual)
{
	check(strcmp(expected, actual) == 0, "%s: '%s' instead of '%s'", what, actual, expected);
}

void same_bytes(const char *what, const void *expected, const void *actual, size_t size)
{
	const unsigned char *a = expected, *b = actual;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i]) {
			fail("%s: byte %zu is %02x instead of %02x", what, i, b[i], a[i]);
			return;
		}
	}
}

static void on_told(int sig)
{
	told = 1;
}

void sleep_until_told(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	sigdelset(&mask, SIGTERM);
	while (!told)
		sigsuspend(&mask);
}

/*
 * Sleeps, and compares what the process can see of itself before and after.  Readiness is told by
 * a byte to the descriptor, which is closed, after the first snapshot.
 */
static void sleep_compared(int ready)
{
	enum { SETTLING = 40 };
	static struct snapshot before, after;

	if (scenario.plain) {
		must(write(ready, "+", 1));
		must(close(ready));
		sleep_until_told();
		return;
	}
	snapshot_take(&before, ready); /* the first ones touch memory that the last one needs */
	snapshot_take(&after, ready);
	snapshot_take(&before, ready);
	must(write(ready, "+", 1));
	must(close(ready));
	sleep_until_told();
	snapshot_take(&after, -1);
	/* Threads whose calls ended with EINTR are on their way back to sleep. */
	for (int i = 0; i < SETTLING && !snapshot_same(&before, &after); i++) {
		sleep_ms(5);
		snapshot_take(&after, -1);
	}
	snapshot_compare(&before, &after);
}

int exit_code(void)
{
	return failures ? EXIT_FAILED : 0;
}

pid_t child(void (*setup)(void *), void (*verify)(void *), void *argument)
{
	int ready[2];
	char byte;

	if (child_count == CHILDREN)
		die("more than %d children", CHILDREN);
	must(pipe2(ready, O_CLOEXEC));
	pid_t pid = must(fork());
	if (pid == 0) {
		close(ready[0]);
		child_count = 0;
		if (setup)
			setup(argument);
		sleep_compared(ready[1]);
		if (verify)
			verify(argument);
		while (child_count)
			child_verify(children[child_count - 1]);
		_exit(exit_code());
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("child %d ended in its setup", pid);
	close(ready[0]);
	children[child_count++] = pid;
	return pid;
}

void child_verify(pid_t pid)
{
	int status;

	for (size_t i = 0; i < child_count; i++) {
		if (children[i] == pid)
			children[i] = children[--child_count];
	}
	if (kill(pid, SIGTERM) < 0)
		fail("child %d: cannot be told to verify: %m", pid);
	else if (waitpid(pid, &status, 0) != pid)
		fail("child %d: cannot be waited for: %m", pid);
	else if (WIFSIGNALED(status))
		fail("child %d: killed by signal %d", pid, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fail("child %d: failed (exit code %d)", pid, WEXITSTATUS(status));
}

static uint64_t pattern_word(uint32_t seed, uint64_t i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u ^ (uint64_t)seed << 32;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9u | 1;
}

void pattern_fill(void *memory, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = pattern_word(seed, i);
		memcpy((char *)memory + i, &word, size - i < 8 ? size - i : 8);
	}
}

void pattern_check(const char *what, const void *memory, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = pattern_word(seed, i);
		if (memcmp((const char *)memory + i, &word, size - i < 8 ? size - i : 8)) {
			fail("%s: contents differ at offset 0x%zx", what, i);
			return;
		}
	}
}

const char *file_text(const char *path)
{
	static char text[65536];
	size_t length = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		fail("%s: cannot be opened: %m", path);
		return "";
	}
	while ((got = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += got;
	close(fd);
	text[length] = '\0';
	return text;
}

void write_text(const char *path, const char *text)
{
	int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));

	if (must(write(fd, text, strlen(text))) != (ssize_t)strlen(text))
		die("%s: short write", path);
	close(fd);
}

const char *proc_line(const char *file, const char *key)
{
	static char line[4096];
	char path[64];
	size_t length = strlen(key);

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	for (const char *at = file_text(path); *at; at += strcspn(at, "\n"), at += *at == '\n') {
		if (strncmp(at, key, length) == 0) {
			at += length + strspn(at + length, " \t");
			snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
			return line;
		}
	}
	fail("%s has no line '%s'", path, key);
	return "";
}

int find_vdso(struct vdso_mapping mappings[VDSO_MAPPINGS])
{
	int count = 0;

	for (const char *line = file_text("/proc/self/maps"); *line && count < VDSO_MAPPINGS;) {
		size_t length = strcspn(line, "\n");
		const char *name = memchr(line, '[', length);

		if (name && (strncmp(name, "[vvar", 5) == 0 || strncmp(name, "[vdso]", 6) == 0)) {
			struct vdso_mapping *mapping = &mappings[count++];
			sscanf(line, "%lx-%lx", &mapping->start, &mapping->end);
			mapping->is_code = name[2] == 'd';
		}
		line += length + (line[length] == '\n');
	}
	return count;
}

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

void sleep_ms(int ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

char task_state(pid_t tid)
{
	char path[64], line[512];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t length = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[length < 0 ? 0 : length] = '\0';
	const char *end = strrchr(line, ')');
	return end && end[1] ? end[2] : 0;
}

void await_others_asleep(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);
		if (tid && tid != gettid() && !await(task_state(tid) == 'S'))
			fail("thread %d does not come to rest", tid);
	}
	if (tasks)
		closedir(tasks);
}

static void describe(void)
{
	const char *const lines[][2] = {
		{"about", scenario.about},
		{"dump", scenario.dump_options},
		{"restore", scenario.restore_options},
		{"modes", scenario.refused ? "refuse" : scenario.modes},
		{"terminal", scenario.terminal ? "yes" : NULL},
		{"pid_namespace", scenario.pid_namespace ? "yes" : NULL},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i][1])
			printf("%s: %s\n", lines[i][0], lines[i][1]);
	}
	if (scenario.images_limit)
		printf("images_limit: %ld\n", scenario.images_limit);
	for (const char *at = scenario.refused; at && *at; at += *at == '\n') {
		printf("refused: %.*s\n", (int)strcspn(at, "\n"), at);
		at += strcspn(at, "\n");
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_told};
	sigset_t blocked;
	char work[PATH_MAX - 16];

	if (argc == 2 && strcmp(argv[1], "--describe") == 0) {
		describe();
		return 0;
	}
	if (!getcwd(work, sizeof(work)))
		return EXIT_BROKEN;
	snprintf(result_path, sizeof(result_path), "%s/result", work);
	sigaction(SIGTERM, &action, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, NULL);

	scenario.setup();
	char ready[PATH_MAX];
	snprintf(ready, sizeof(ready), "%s/ready", work);
	sleep_compared(must(open(ready, O_WRONLY | O_CREAT | O_CLOEXEC, 0666)));
	scenario.verify();
	while (child_count)
		child_verify(children[child_count - 1]);
	return exit_code();
}
