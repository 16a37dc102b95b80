/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signalfds: masks, flags, and signals that wait to be read from them. */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static int many, one;
static sigset_t set;

static void setup(void)
{
	sigset_t single;

	sigemptyset(&set);
	for (int sig = SIGRTMIN; sig < SIGRTMIN + 10; sig++)
		sigaddset(&set, sig);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	many = must(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	sigemptyset(&single);
	sigaddset(&single, SIGUSR1);
	one = must(signalfd(-1, &single, 0));
	for (int i = 0; i < 5; i++)
		must(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = 100 + i}));
	must(kill(getpid(), SIGUSR1));
}

static void verify(void)
{
	struct signalfd_siginfo info;

	same("flags", O_NONBLOCK, fcntl(many, F_GETFL) & O_NONBLOCK);
	same("close-on-exec", FD_CLOEXEC, fcntl(many, F_GETFD));
	same("read of one signal", sizeof(info), read(one, &info, sizeof(info)));
	same("its signal", SIGUSR1, info.ssi_signo);
	same("its sender", getpid(), info.ssi_pid);
	for (int i = 0; i < 5; i++) {
		same("read", sizeof(info), read(many, &info, sizeof(info)));
		same("signal", SIGRTMIN + 2, info.ssi_signo);
		same("value", 100 + i, info.ssi_int);
		same("code", SI_QUEUE, info.ssi_code);
	}
	same("read of nothing", -1, read(many, &info, sizeof(info)));
	same("its error", EAGAIN, errno);
	kill(getpid(), SIGRTMIN + 9);
	same("read of a new signal", sizeof(info), read(many, &info, sizeof(info)));
	same("its number", SIGRTMIN + 9, info.ssi_signo);
}

const struct scenario scenario = {
	.about = "signalfds",
	.setup = setup,
	.verify = verify,
};
