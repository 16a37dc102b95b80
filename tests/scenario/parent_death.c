/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A child that wants to be told of its parent's death is told after the restore, too. */
#include "scenario.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int *told_of_death;
static pid_t parent;

static void on_death(int sig)
{
	*told_of_death = 1;
	_exit(0);
}

/* Ends when it is told to, as its parent does not wait for it. */
static void setup_grandchild(void *unused)
{
	signal(SIGUSR1, on_death);
	must(prctl(PR_SET_PDEATHSIG, SIGUSR1));
}

static void setup_parent(void *unused)
{
	child(setup_grandchild, NULL, NULL);
}

static void verify_parent(void *unused)
{
	_exit(0);
}

static void setup(void)
{
	told_of_death =
		must(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	parent = child(setup_parent, verify_parent, NULL);
}

static void verify(void)
{
	int status;

	child_verify(parent);
	/* The grandchild comes to us, the subreaper, and ends. */
	(void)await(waitpid(-1, &status, WNOHANG) != 0);
	check(*told_of_death, "the child was not told of its parent's death");
}

const struct scenario scenario = {
	.about = "the signal that tells of a parent's death",
	.setup = setup,
	.verify = verify,
};
