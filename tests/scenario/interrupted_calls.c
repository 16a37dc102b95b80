/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that sit in system calls: none of them may return because of the freeze.  Each call
 * ends by what verify() does or by its time, with the result it would have had undisturbed.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * Shared by all: readable once verify() writes; never written before.  Nobody reads what epoll
 * watches: it stays ready.
 */
static int pipe_fds[2], event, watched, epoll, full_pipe[2];
static int words[32]; /* futexes */
static pid_t ended_child;

static long futex_wait(int *word, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, timeout, NULL, 0);
}

static long call_read_pipe(void)
{
	char byte;
	return read(pipe_fds[0], &byte, 1);
}

static long call_read_eventfd(void)
{
	uint64_t value;
	return read(event, &value, 8);
}

static long call_write_pipe(void)
{
	return write(full_pipe[1], "x", 1);
}

static long call_poll(void)
{
	struct pollfd fd = {.fd = full_pipe[1], .events = POLLOUT};
	return poll(&fd, 1, -1);
}

static long call_poll_timeout(void)
{
	struct pollfd fd = {.fd = full_pipe[1], .events = POLLOUT};
	return poll(&fd, 1, 600000);
}

static long call_ppoll(void)
{
	struct pollfd fd = {.fd = full_pipe[1], .events = POLLOUT};
	struct timespec timeout = {600, 0};
	sigset_t mask;

	sigfillset(&mask);
	return ppoll(&fd, 1, &timeout, &mask);
}

static long call_select(void)
{
	fd_set set;
	struct timeval timeout = {600, 0};

	FD_ZERO(&set);
	FD_SET(full_pipe[1], &set);
	return select(full_pipe[1] + 1, NULL, &set, NULL, &timeout);
}

static long call_epoll_wait(void)
{
	struct epoll_event got;
	return epoll_wait(epoll, &got, 1, -1);
}

static long call_epoll_wait_timeout(void)
{
	struct epoll_event got;
	return epoll_wait(epoll, &got, 1, 600000);
}

static long call_futex(void)
{
	return futex_wait(&words[0], NULL);
}

static long call_futex_timeout(void)
{
	struct timespec timeout = {600, 0};
	return futex_wait(&words[0], &timeout);
}

static long call_futex_bitset(void)
{
	struct timespec timeout;

	clock_gettime(CLOCK_MONOTONIC, &timeout);
	timeout.tv_sec += 600;
	return syscall(SYS_futex, &words[0], FUTEX_WAIT_BITSET_PRIVATE, 0, &timeout, NULL, 1);
}

static long call_waitid(void)
{
	siginfo_t info;
	return waitid(P_PID, ended_child, &info, WEXITED | WNOWAIT);
}

static sigset_t realtime_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	return set;
}

static long call_sigwaitinfo(void)
{
	sigset_t set = realtime_signal();
	return sigwaitinfo(&set, NULL) - SIGRTMIN;
}

static long call_sigtimedwait(void)
{
	struct timespec timeout = {600, 0};
	sigset_t set = realtime_signal();
	return sigtimedwait(&set, NULL, &timeout) - SIGRTMIN;
}

static volatile atomic_int handled;

static void on_signal(int sig)
{
	handled++;
}

static long call_pause(void)
{
	return pause() < 0 && errno == EINTR ? 0 : -1;
}

static long call_sigsuspend(void)
{
	sigset_t mask;

	sigfillset(&mask);
	sigdelset(&mask, SIGRTMIN + 2);
	return sigsuspend(&mask) < 0 && errno == EINTR ? 0 : -1;
}

static long call_read_restarted(void)
{
	char byte;
	return read(pipe_fds[0], &byte, 1);
}

static struct call {
	const char *name;
	long (*run)(void);
	long wanted;
	int sig; /* sent to the thread to end the call, or 0 */
	pthread_t thread;
	long result;
	int error;
	atomic_bool begun, ended;
} calls[] = {
	{"read of a pipe", call_read_pipe, 1},
	{"read of an eventfd", call_read_eventfd, 8},
	{"write to a full pipe", call_write_pipe, 1},
	{"poll", call_poll, 1},
	{"poll with a timeout", call_poll_timeout, 1},
	{"ppoll", call_ppoll, 1},
	{"select", call_select, 1},
	{"epoll_wait", call_epoll_wait, 1},
	{"epoll_wait with a timeout", call_epoll_wait_timeout, 1},
	{"futex", call_futex, 0},
	{"futex with a timeout", call_futex_timeout, 0},
	{"futex until a time", call_futex_bitset, 0},
	{"waitid", call_waitid, 0},
	{"sigwaitinfo", call_sigwaitinfo, 1, 1},
	{"sigtimedwait", call_sigtimedwait, 1, 1},
	{"pause", call_pause, 0, 2},
	{"sigsuspend", call_sigsuspend, 0, 2},
	{"read that is restarted", call_read_restarted, 1, 3},
};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

static void *thread_run(void *argument)
{
	struct call *call = argument;
	sigset_t mask;

	sigfillset(&mask);
	if (call->sig && call->sig != 1 && call->run != call_sigsuspend)
		sigdelset(&mask, SIGRTMIN + call->sig);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	call->begun = true;
	call->result = call->run();
	call->error = errno;
	call->ended = true;
	return NULL;
}

static void fill_pipe(void)
{
	static char bytes[4096];

	must(fcntl(full_pipe[1], F_SETFL, O_NONBLOCK));
	while (write(full_pipe[1], bytes, sizeof(bytes)) > 0)
		;
	must(fcntl(full_pipe[1], F_SETFL, 0));
}

static void setup(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	struct epoll_event in = {.events = EPOLLIN};

	sigaction(SIGRTMIN + 2, &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGRTMIN + 3, &action, NULL);
	must(pipe(pipe_fds));
	must(pipe(full_pipe));
	fill_pipe();
	event = must(eventfd(0, 0));
	watched = must(eventfd(0, 0));
	epoll = must(epoll_create1(0));
	must(epoll_ctl(epoll, EPOLL_CTL_ADD, watched, &in));
	ended_child = must(fork());
	if (ended_child == 0) {
		sleep_until_told();
		_exit(0);
	}
	for (int i = 0; i < CALLS; i++) {
		if (pthread_create(&calls[i].thread, NULL, thread_run, &calls[i]))
			die("a thread cannot be made");
		while (!calls[i].begun)
			sleep_ms(1);
	}
	await_others_asleep();
}

static void verify(void)
{
	static char bytes[65536];
	uint64_t one = 1;

	await_others_asleep(); /* or have ended by themselves, which they must not */
	for (int i = 0; i < CALLS; i++)
		check(!calls[i].ended, "%s: returned %ld by itself (errno %d)", calls[i].name,
		      calls[i].result, calls[i].error);
	/* Make every call end.  The signal that restarts a read must not end it. */
	for (int i = 0; i < CALLS; i++) {
		if (calls[i].sig && !calls[i].ended)
			pthread_kill(calls[i].thread, SIGRTMIN + calls[i].sig);
	}
	(void)await(handled == 3);
	same("handlers run", 3, handled);
	kill(ended_child, SIGTERM);
	must(write(event, &one, 8));
	words[0] = 1;
	syscall(SYS_futex, &words[0], FUTEX_WAKE_PRIVATE, 100);
	must(write(watched, &one, 8));
	must(write(pipe_fds[1], "ab", 2));
	must(read(full_pipe[0], bytes, sizeof(bytes)));
	for (int i = 0; i < CALLS; i++) {
		if (!await(calls[i].ended))
			fail("%s: does not return", calls[i].name);
		else
			check(calls[i].result == calls[i].wanted,
			      "%s: returned %ld (errno %d) instead of %ld", calls[i].name,
			      calls[i].result, calls[i].error, calls[i].wanted);
	}
	waitpid(ended_child, NULL, 0);
	if (exit_code())
		_exit(exit_code()); /* not all threads can be joined */
	for (int i = 0; i < CALLS; i++)
		pthread_join(calls[i].thread, NULL);
}

const struct scenario scenario = {
	.about = "system calls that wait continue waiting",
	.setup = setup,
	.verify = verify,
};
