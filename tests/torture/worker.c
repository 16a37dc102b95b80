/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An application that checks itself all the time: several processes, each with a thread for every
 * activity below.  What an activity finds wrong goes to the file `errors`, and the application
 * aborts.  The file `progress` is a shared mapping of one counter per activity, for the one who
 * watches.  SIGTERM ends it, with exit code 0.
 *
 * usage: worker [PROCESSES [MEGABYTES]]: so much memory is written in the first process.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PROCESSES_MAX = 16, ACTIVITIES_MAX = 16 };

static atomic_uint_least64_t (*progress)[ACTIVITIES_MAX];
static atomic_int *stop; /* shared by all processes */
static int process, processes = 3;
static int ring[PROCESSES_MAX][2];

static _Noreturn void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));

static _Noreturn void wrong(const char *format, ...)
{
	char text[512];
	va_list args;
	int size = snprintf(text, sizeof(text), "process %d (pid %d): ", process, getpid());

	va_start(args, format);
	size += vsnprintf(text + size, sizeof(text) - size - 1, format, args);
	va_end(args);
	text[size++] = '\n';
	int fd = open("errors", O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (write(fd, text, size) != size)
		abort();
	abort();
}

#define expect(condition, ...)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			wrong(__VA_ARGS__);                                                        \
	} while (0)

/*
 * The calls of which signal(7) says that they fail with EINTR after a stop, too: the dumper makes
 * them again, but dies with the chance to when it is killed in the moment after the stop.  How
 * often that happens is counted, in the last word of the page.
 */
static bool interrupted(void)
{
	if (errno != EINTR)
		return false;
	atomic_fetch_add((atomic_uint_least64_t *)progress + PAGE / 8 - 1, 1);
	return true;
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void nap(void)
{
	struct timespec time = {0, 1000000};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* General and vector registers hold their values through a long loop. */
static void do_registers(uint64_t round)
{
	uint64_t seed[8], out[8];
	long spins = 300000;

	for (int i = 0; i < 8; i++)
		seed[i] = round * 0x9e3779b97f4a7c15u + i;
	asm volatile("mov (%[in]), %%r8\n\t"
		     "mov 8(%[in]), %%r9\n\t"
		     "mov 16(%[in]), %%r10\n\t"
		     "mov 24(%[in]), %%r11\n\t"
		     "movdqu 32(%[in]), %%xmm7\n\t"
		     "movdqu 48(%[in]), %%xmm15\n\t"
		     "1: dec %[spins]\n\t"
		     "jnz 1b\n\t"
		     "mov %%r8, (%[out])\n\t"
		     "mov %%r9, 8(%[out])\n\t"
		     "mov %%r10, 16(%[out])\n\t"
		     "mov %%r11, 24(%[out])\n\t"
		     "movdqu %%xmm7, 32(%[out])\n\t"
		     "movdqu %%xmm15, 48(%[out])\n\t"
		     : [spins] "+r"(spins)
		     : [in] "r"(seed), [out] "r"(out)
		     : "r8", "r9", "r10", "r11", "xmm7", "xmm15", "memory", "cc");
	expect(memcmp(seed, out, sizeof(seed)) == 0, "registers changed");
	nap();
}

/* Every page of an area holds the round it was written in. */
static void do_memory(uint64_t round)
{
	enum { PAGES = 128 };
	static uint64_t *area;

	if (!area) {
		area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		expect(area != MAP_FAILED, "mmap: %m");
	}
	for (int i = 0; i < PAGES; i++) {
		uint64_t *page = area + i * PAGE / 8;
		uint64_t value = round == 0 ? 0 : (round - 1) * PAGES + i;
		expect(page[0] == value && page[511] == value, "page %d: %lx instead of %lx", i,
		       page[0], value);
		page[0] = page[511] = round * PAGES + i;
	}
	nap();
}

static void do_mappings(uint64_t round)
{
	size_t size = (1 + round % 50) * PAGE;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(area != MAP_FAILED, "mmap: %m");
	memset(area, (int)round, size);
	expect(mprotect(area, PAGE, PROT_READ) == 0, "mprotect: %m");
	expect(area[0] == (char)round && area[size - 1] == (char)round, "a new mapping changed");
	expect(munmap(area, size) == 0, "munmap: %m");
	nap();
}

/* A periodic timer that tells this thread, which takes the signal. */
static void do_timer(uint64_t round)
{
	static sigset_t set;
	struct timespec timeout = {20, 0};
	siginfo_t info;

	if (round == 0) {
		struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
					 .sigev_signo = SIGRTMIN + 1};
		struct itimerspec often = {{0, 3000000}, {0, 3000000}};
		timer_t timer;

		event._sigev_un._tid = syscall(SYS_gettid);
		event.sigev_value.sival_int = 4711;
		expect(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create: %m");
		expect(timer_settime(timer, 0, &often, NULL) == 0, "timer_settime: %m");
		sigemptyset(&set);
		sigaddset(&set, SIGRTMIN + 1);
	}
	int sig;
	do
		sig = sigtimedwait(&set, &info, &timeout);
	while (sig < 0 && interrupted());
	expect(sig == SIGRTMIN + 1, "sigtimedwait: %d, %m", sig);
	expect(info.si_value.sival_int == 4711, "value of a timer: %d", info.si_value.sival_int);
}

/* Calls that sleep: none ends with EINTR, none before its time. */
static void do_sleep(uint64_t round)
{
	struct timespec time = {0, 4000000};
	struct timeval short_time = {0, 4000};
	struct epoll_event event;
	int64_t begun = now_ns();
	static int epoll = -1;
	int word = 0;
	long result;

	if (epoll < 0)
		epoll = epoll_create1(0);
	switch (round % 6) {
	case 0:
		result = nanosleep(&time, NULL);
		break;
	case 1:
		result = poll(NULL, 0, 4);
		break;
	case 2:
		result = select(0, NULL, NULL, NULL, &short_time);
		break;
	case 3:
		result = epoll_wait(epoll, &event, 1, 4);
		if (result < 0 && interrupted())
			return;
		break;
	case 4:
		result = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
		expect(result == -1 && errno == ETIMEDOUT, "futex: %ld, %m", result);
		result = 0;
		break;
	default:
		result = clock_nanosleep(CLOCK_REALTIME, 0, &time, NULL);
		break;
	}
	expect(result == 0, "sleeping call %d: %ld, %m", (int)(round % 6), result);
	expect(now_ns() - begun >= 3900000, "sleeping call %d took %ld ns only", (int)(round % 6),
	       (long)(now_ns() - begun));
}

/* A sequence of numbers goes round through all processes. */
static void do_ring_write(uint64_t round)
{
	expect(write(ring[process][1], &round, 8) == 8, "write to a pipe: %m");
	if (round % 64 == 0)
		nap();
}

static void do_ring_read(uint64_t round)
{
	uint64_t got = 0;
	ssize_t size = read(ring[(process + 1) % processes][0], &got, 8);

	expect(size == 8, "read of a pipe: %zd, %m", size);
	expect(got == round, "from a pipe came %lu instead of %lu", got, round);
}

static void do_file(uint64_t round)
{
	static int fd = -1;
	uint64_t got = 0;
	char name[32];

	if (fd < 0) {
		snprintf(name, sizeof(name), "data-%d", process);
		fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	}
	off_t at = round % 1000 * 8;
	expect(lseek(fd, 0, SEEK_CUR) == at, "position: %ld", (long)lseek(fd, 0, SEEK_CUR));
	expect(write(fd, &round, 8) == 8, "write: %m");
	expect(pread(fd, &got, 8, at) == 8 && got == round, "file: %lu instead of %lu", got, round);
	if (round % 1000 == 999)
		expect(lseek(fd, 0, SEEK_SET) == 0, "lseek: %m");
	nap();
}

static void do_fork(uint64_t round)
{
	int status = 0;
	pid_t pid = fork();

	expect(pid >= 0, "fork: %m");
	if (pid == 0)
		_exit(round % 200);
	pid_t got = waitpid(pid, &status, 0);
	expect(got == pid, "waitpid: %d instead of %d, %m", got, pid);
	expect(WIFEXITED(status) && WEXITSTATUS(status) == (int)(round % 200),
	       "wait status %x instead of %x", status, (int)(round % 200) << 8);
	nap();
}

static void *short_thread(void *argument)
{
	return (void *)((uintptr_t)argument * 3);
}

static void do_threads(uint64_t round)
{
	pthread_t thread;
	void *result = NULL;

	int error = pthread_create(&thread, NULL, short_thread, (void *)round);
	expect(error == 0, "pthread_create: %s", strerror(error));
	pthread_join(thread, &result);
	expect((uint64_t)result == round * 3, "a thread returned %p", result);
	nap();
}

static _Thread_local volatile uint64_t handled;

static void on_signal(int sig)
{
	handled++;
}

static void do_signals(uint64_t round)
{
	for (int i = 0; i < 50; i++)
		syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1);
	expect(handled == (round + 1) * 50, "%lu signals handled instead of %lu", handled,
	       (round + 1) * 50);
	nap();
}

static void (*const activities[])(uint64_t) = {
	do_registers, do_memory, do_mappings, do_timer,   do_sleep,   do_ring_write,
	do_ring_read, do_file,   do_fork,     do_threads, do_signals,
};
enum { ACTIVITIES = sizeof(activities) / sizeof(activities[0]) };

static void *activity_run(void *argument)
{
	long i = (long)argument;
	sigset_t mask;

	sigfillset(&mask);
	if (activities[i] == do_signals)
		sigdelset(&mask, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	for (uint64_t round = 0; !*stop; round++) {
		activities[i](round);
		progress[process][i] = round + 1;
	}
	return NULL;
}

static void fill(size_t megabytes)
{
	size_t size = megabytes << 20;
	uint64_t *area =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect(area != MAP_FAILED, "mmap: %m");
	for (size_t i = 0; i < size / 8; i += 64)
		area[i] = i + 1;
}

/* Never ends by itself: a thread may wait for one that has stopped already. */
static void run_process(void)
{
	pthread_t thread;
	sigset_t term;
	int sig;

	sigfillset(&term);
	pthread_sigmask(SIG_SETMASK, &term, NULL);
	for (long i = 0; i < ACTIVITIES; i++)
		expect(pthread_create(&thread, NULL, activity_run, (void *)i) == 0,
		       "pthread_create");
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	while (sigwait(&term, &sig) != 0 || sig != SIGTERM)
		;
}

int main(int argc, char **argv)
{
	pid_t children[PROCESSES_MAX];
	struct sigaction action = {.sa_handler = on_signal};
	int exit_code = 0, fd;

	if (argc > 1)
		processes = atoi(argv[1]);
	if (processes < 1 || processes > PROCESSES_MAX)
		return 2;
	sigaction(SIGUSR1, &action, NULL);
	fd = open("progress", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	expect(ftruncate(fd, PAGE) == 0, "progress: %m");
	progress = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect(progress != MAP_FAILED && stop != MAP_FAILED, "mmap: %m");
	close(fd);
	for (int i = 0; i < processes; i++)
		expect(pipe(ring[i]) == 0, "pipe: %m");
	for (process = 1; process < processes; process++) {
		children[process] = fork();
		if (children[process] == 0) {
			run_process();
			_exit(0);
		}
	}
	process = 0;
	if (argc > 2)
		fill(atoi(argv[2]));
	run_process();
	*stop = 1;
	for (int i = 1; i < processes; i++) {
		int status;
		kill(children[i], SIGTERM);
		if (waitpid(children[i], &status, 0) != children[i] || status)
			exit_code = 1;
	}
	_exit(exit_code);
}
