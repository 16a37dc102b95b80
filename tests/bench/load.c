/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An application of a given size, for measurements:
 *
 *	load READY memory MIB | processes N | threads N | mappings N | descriptors N
 *	           | binds N | shared N | tmpfs N
 *
 * makes the file READY when it is complete, and waits.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void check(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* Every page differs, and none is zero. */
static void memory(long mib)
{
	size_t size = (size_t)mib << 20;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(area != MAP_FAILED, "mmap");
	for (size_t at = 0; at < size; at += PAGE) {
		memset(area + at, (at / PAGE) % 255 + 1, PAGE);
		memcpy(area + at, &at, sizeof(at));
	}
}

static void processes(long count)
{
	for (long i = 1; i < count; i++) {
		pid_t pid = fork();

		check(pid >= 0, "fork");
		if (pid == 0)
			wait_for_ever(NULL);
	}
}

static void threads(long count)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	for (long i = 1; i < count; i++)
		check(!pthread_create(&thread, &attributes, wait_for_ever, NULL), "pthread_create");
}

/* Neighbours differ in their protection, so that they stay mappings of their own. */
static void mappings(long count)
{
	char *area = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	check(area != MAP_FAILED, "mmap");
	for (long i = 0; i < count; i++) {
		area[i * PAGE] = 1;
		if (i % 2)
			check(!mprotect(area + i * PAGE, PAGE, PROT_READ), "mprotect");
	}
}

/* Each is a description of its own, of a file with a position. */
static void descriptors(long count)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	for (long i = 0; i < count; i++) {
		int fd = open("/proc/self/exe", O_RDONLY);

		check(fd >= 0, "open");
		lseek(fd, i, SEEK_SET);
	}
}

/* In a namespace of its own, so many mountpoints in the working directory; the first is something
 * to bind. */
static void mountpoints(long count)
{
	char path[64];

	check(!unshare(CLONE_NEWNS), "unshare");
	check(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
	for (long i = 0; i <= count; i++) {
		snprintf(path, sizeof(path), "%ld", i);
		check(!mkdir(path, 0755), "mkdir");
	}
	check(!mount("some", "0", "tmpfs", 0, NULL), "mount");
}

static void each_mountpoint(long count, const char *source, const char *type)
{
	char path[64];

	for (long i = 1; i <= count; i++) {
		snprintf(path, sizeof(path), "%ld", i);
		check(!mount(source, path, type, type ? 0 : MS_BIND, NULL), "mount");
	}
}

static void binds(long count)
{
	mountpoints(count);
	each_mountpoint(count, "0", NULL);
}

/* All of one peer group. */
static void shared(long count)
{
	mountpoints(count);
	check(!mount(NULL, "0", NULL, MS_SHARED, NULL), "shared");
	each_mountpoint(count, "0", NULL);
}

static void tmpfs(long count)
{
	mountpoints(count);
	each_mountpoint(count, "some", "tmpfs");
}

static const struct {
	const char *name;
	void (*make)(long count);
} kinds[] = {
	{"memory", memory},           {"processes", processes},
	{"threads", threads},         {"mappings", mappings},
	{"descriptors", descriptors}, {"binds", binds},
	{"shared", shared},           {"tmpfs", tmpfs},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 4 && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(argv[2], kinds[i].name))
			continue;
		kinds[i].make(atol(argv[3]));
		close(open(argv[1], O_WRONLY | O_CREAT, 0600));
		wait_for_ever(NULL);
	}
	fprintf(stderr, "usage: load READY memory|processes|threads|mappings|descriptors|binds|"
			"shared|tmpfs COUNT\n");
	return 1;
}
