/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process with a seccomp filter. */
#include "scenario.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void setup_child(void *unused)
{
	struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog program = {1, filter};

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
}

static void setup(void)
{
	child(setup_child, NULL, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "a seccomp filter",
	.setup = setup,
	.verify = verify,
	.refused = "seccomp",
};
