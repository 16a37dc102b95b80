/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A container: process 1 of a pid namespace, with mounts, /proc, host name and IPC of its own. */
#include "scenario.h"
#include "mounting.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static pid_t worker;

/* /proc is that of the namespace. */
static void proc_shows_us(void)
{
	char self[32] = "", expected[32];

	snprintf(expected, sizeof(expected), "%d", getpid());
	must(readlink("/proc/self", self, sizeof(self) - 1));
	same_string("/proc/self", expected, self);
}

static void verify_worker(void *unused)
{
	same("parent", 1, getppid());
	proc_shows_us();
}

static void setup(void)
{
	must(unshare(CLONE_NEWUTS | CLONE_NEWIPC));
	must(sethostname("container", strlen("container")));
	own_namespace();
	must(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	worker = child(NULL, verify_worker, NULL);
	proc_shows_us();
}

static void verify(void)
{
	struct utsname names;
	char path[32];

	same("id", 1, getpid());
	must(uname(&names));
	same_string("host", "container", names.nodename);
	proc_shows_us();
	snprintf(path, sizeof(path), "/proc/%d/stat", worker);
	same("process in /proc", 0, access(path, F_OK));
}

const struct scenario scenario = {
	.about = "a container",
	.setup = setup,
	.verify = verify,
	.pid_namespace = true,
};
