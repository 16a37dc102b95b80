/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions and groups whose leaders have died, and tasks that a subreaper inherited: who is left
 * keeps the ids of the dead.
 */
#include "scenario.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct identity {
	pid_t pid, group, session;
};

static struct identity session_orphan, group_orphan, both_orphan;

/* Forks a leader that makes a child and dies; the child's identity comes back by a pipe. */
static struct identity orphan(bool new_session, bool new_group)
{
	struct identity identity;
	int told[2], status;

	must(pipe2(told, O_CLOEXEC));
	pid_t root = getpid(), leader = must(fork());
	if (leader == 0) {
		if (new_session)
			must(setsid());
		if (new_group && !new_session)
			must(setpgid(0, 0)); /* in a session of its own it leads one already */
		if (must(fork()) == 0) {
			while (getppid() != root)
				sleep_ms(1);
			identity = (struct identity){getpid(), getpgrp(), getsid(0)};
			must(write(told[1], &identity, sizeof(identity)));
			close(told[0]);
			close(told[1]);
			sleep_until_told();
			same("pid of an orphan", identity.pid, getpid());
			same("group of an orphan", identity.group, getpgrp());
			same("session of an orphan", identity.session, getsid(0));
			_exit(exit_code());
		}
		_exit(0);
	}
	close(told[1]);
	must(waitpid(leader, &status, 0));
	must(read(told[0], &identity, sizeof(identity)));
	close(told[0]);
	return identity;
}

static void setup(void)
{
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	session_orphan = orphan(true, false);
	group_orphan = orphan(false, true);
	both_orphan = orphan(true, true);
}

static void verify_orphan(const char *name, struct identity identity)
{
	int status;

	same("group seen by the subreaper", identity.group, getpgid(identity.pid));
	same("session seen by the subreaper", identity.session, getsid(identity.pid));
	check(kill(identity.pid, SIGTERM) == 0, "%s: cannot be told: %m", name);
	same("orphan waited for", identity.pid, waitpid(identity.pid, &status, 0));
	same("wait status of an orphan", 0, status);
}

static void verify(void)
{
	int subreaper = 0;

	prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
	same("subreaper", 1, subreaper);
	verify_orphan("orphaned session", session_orphan);
	verify_orphan("orphaned group", group_orphan);
	verify_orphan("orphaned session and group", both_orphan);
}

const struct scenario scenario = {
	.about = "sessions and groups whose leaders died",
	.setup = setup,
	.verify = verify,
};
