/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads that have left what the others share: their own descriptors, directories, namespaces,
 * a personality or a seccomp filter.  Each is in a process of its own, and each is named.
 */
#include "scenario.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { OTHER_PERSONALITY = 1 }; /* no flag of unshare(2) */

static pthread_barrier_t made;

static void filter(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void *thread_run(void *argument)
{
	long what = (long)argument;

	if (what == OTHER_PERSONALITY)
		must(personality(WHOLE_SECONDS));
	else if (what)
		must(unshare(what));
	else
		filter();
	pthread_barrier_wait(&made);
	for (;;)
		pause();
}

static void setup_child(void *argument)
{
	pthread_t thread;

	pthread_barrier_init(&made, NULL, 2);
	if (pthread_create(&thread, NULL, thread_run, argument))
		die("a thread cannot be made");
	pthread_barrier_wait(&made);
}

/* Pids count from 2, the root's, on, and each child has one thread. */
static void setup(void)
{
	static const long what[] = {CLONE_FILES,  CLONE_FS, CLONE_NEWUTS,
				    CLONE_NEWNET, 0,        OTHER_PERSONALITY};

	for (int i = 0; i < 6; i++)
		child(setup_child, NULL, (void *)what[i]);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "threads with descriptors, directories, namespaces or filters of their own",
	.setup = setup,
	.verify = verify,
	.refused = "[34]\\b.*descriptors\n[56]\\b.*(directory|root)\n[78]\\b.*(uts|host)\n"
		   "(9|10)\\b.*net\n1[12]\\b.*seccomp\n1[34]\\b.*personality",
};
