/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocked signals that wait: for the process and for single threads, ordinary ones, real-time ones
 * queued several times in order, with their values, codes and senders.
 */
#include "scenario.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { QUEUED = 20 };

static pthread_t thread;
static pid_t tid;
static pthread_barrier_t made, go;
static siginfo_t for_process[QUEUED], for_thread[QUEUED];

static void block_all(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
}

static siginfo_t queued(int sig, int code, int value)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	info.si_pid = 12345 + value;
	info.si_uid = 54321;
	info.si_value.sival_ptr = (void *)(0x123456789abc0000 + value);
	return info;
}

/* Takes one signal of a set and compares it. */
static void expect(const char *whose, const siginfo_t *wanted)
{
	struct timespec now = {0};
	siginfo_t got;
	sigset_t set;

	memset(&got, 0, sizeof(got));
	sigemptyset(&set);
	sigaddset(&set, wanted->si_signo);
	/* libc's sigtimedwait() changes codes. */
	if (syscall(SYS_rt_sigtimedwait, &set, &got, &now, 8) < 0) {
		fail("%s: signal %d is not pending", whose, wanted->si_signo);
		return;
	}
	same("code", wanted->si_code, got.si_code);
	same("sender", wanted->si_pid, got.si_pid);
	same("user", wanted->si_uid, got.si_uid);
	same("value", (long)wanted->si_value.sival_ptr, (long)got.si_value.sival_ptr);
}

static void expect_none(const char *whose)
{
	struct timespec now = {0};
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGTERM);
	int sig = sigtimedwait(&all, NULL, &now);
	check(sig < 0, "%s: signal %d is pending, too", whose, sig);
}

static void *thread_run(void *unused)
{
	sigset_t pending;

	block_all();
	tid = syscall(SYS_gettid);
	for (int i = 0; i < QUEUED; i++) {
		for_thread[i] = queued(SIGRTMAX - i % 3, SI_QUEUE, 100 + i);
		must(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, for_thread[i].si_signo,
			     &for_thread[i]));
	}
	must(syscall(SYS_tgkill, getpid(), tid, SIGUSR2));
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&go);
	sigpending(&pending);
	check(sigismember(&pending, SIGUSR2), "SIGUSR2 is not pending for the thread");
	for (int i = 0; i < 3; i++) {
		for (int j = i; j < QUEUED; j += 3)
			expect("thread", &for_thread[j]);
	}
	siginfo_t killed = {.si_signo = SIGUSR2, .si_code = SI_TKILL, .si_pid = getpid()};
	expect("thread", &killed);
	return NULL;
}

static void setup(void)
{
	block_all();
	for (int i = 0; i < QUEUED; i++) {
		int code = i % 2 ? SI_QUEUE : -17; /* any negative code may be sent */
		for_process[i] = queued(SIGRTMIN + 1 + i % 4, code, i);
		must(syscall(SYS_rt_sigqueueinfo, getpid(), for_process[i].si_signo,
			     &for_process[i]));
	}
	must(kill(getpid(), SIGUSR1));
	must(kill(getpid(), SIGCHLD)); /* ignored by default, but it waits while it is blocked */
	must(kill(getpid(), SIGURG));
	must(kill(getpid(), SIGINT));
	pthread_barrier_init(&made, NULL, 2);
	pthread_barrier_init(&go, NULL, 2);
	if (pthread_create(&thread, NULL, thread_run, NULL))
		die("a thread cannot be made");
	pthread_barrier_wait(&made);
}

static void verify(void)
{
	pthread_barrier_wait(&go);
	pthread_join(thread, NULL);
	for (int i = 0; i < 4; i++) {
		for (int j = i; j < QUEUED; j += 4)
			expect("process", &for_process[j]);
	}
	static const int ordinary[] = {SIGUSR1, SIGCHLD, SIGURG, SIGINT};
	for (int i = 0; i < 4; i++) {
		siginfo_t sent = {.si_signo = ordinary[i], .si_code = SI_USER, .si_pid = getpid()};
		expect("process", &sent);
	}
	expect_none("process");
}

const struct scenario scenario = {
	.about = "pending signals with their information",
	.setup = setup,
	.verify = verify,
};
