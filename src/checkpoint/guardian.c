/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/guardian.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"

static _Noreturn void guard(int leash, const int *pidfds, size_t count)
{
	sigset_t all;
	ssize_t done;
	char word;

	/* Only SIGKILL, aimed at it by name, ends it: not a terminal, not the end of a session. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "stasis-guardian");
	(void)!write(leash, "", 1); /* out of reach of whoever kills the group of stasis */
	do
		done = read(leash, &word, 1);
	while (done < 0 && errno == EINTR);
	if (done != 1)
		for (size_t i = 0; i < count; i++)
			syscall(SYS_pidfd_send_signal, pidfds[i], SIGKILL, NULL, 0);
	_exit(0);
}

int guardian_arm(struct guardian *guardian, const int *pidfds, size_t count)
{
	int ends[2];
	char ready;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	guardian->pid = fork();
	if (guardian->pid == 0) {
		close(ends[1]);
		guard(ends[0], pidfds, count);
	}
	close(ends[0]);
	/* Nothing is killed, and nothing let go, before it is ready. */
	if (guardian->pid < 0 || fd_read_all(ends[1], &ready, 1)) {
		close(ends[1]);
		return -EAGAIN;
	}
	guardian->leash = ends[1];
	return 0;
}

void guardian_dismiss(struct guardian *guardian)
{
	if (guardian->pid > 0)
		(void)!write(guardian->leash, "", 1);
	guardian_strike(guardian);
}

void guardian_strike(struct guardian *guardian)
{
	if (guardian->pid <= 0)
		return;
	close(guardian->leash);
	while (waitpid(guardian->pid, NULL, 0) < 0 && errno == EINTR)
		;
	guardian->pid = 0;
}
