/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uts namespaces: of one process, of two together, and left by a parent after it forked. */
#include "scenario.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static struct utsname before;
static ino_t outside;

static ino_t namespace_of(const char *process)
{
	char path[64];
	struct stat stat;

	snprintf(path, sizeof(path), "/proc/%s/ns/uts", process);
	must(fstatat(-1, path, &stat, 0));
	return stat.st_ino;
}

static void names_are(const char *host, const char *domain)
{
	struct utsname names;

	must(uname(&names));
	same_string("host", host, names.nodename);
	same_string("domain", domain, names.domainname);
}

static void set_names(const char *host, const char *domain)
{
	must(unshare(CLONE_NEWUTS));
	must(sethostname(host, strlen(host)));
	must(setdomainname(domain, strlen(domain)));
}

static pid_t second, third;

static void verify_heir(void *unused)
{
	char parent[16];

	snprintf(parent, sizeof(parent), "%d", getppid());
	names_are("alpha", "example.org");
	same("its parent's namespace", namespace_of(parent), namespace_of("self"));
	/* It is one, not two of the same name. */
	must(sethostname("beta", 4));
}

static void setup_pair(void *unused)
{
	set_names("alpha", "example.org");
	second = child(NULL, verify_heir, NULL);
}

static void verify_pair(void *unused)
{
	names_are("alpha", "example.org");
	child_verify(second);
	names_are("beta", "example.org");
}

static void verify_outside(void *unused)
{
	names_are(before.nodename, before.domainname);
	same("namespace", outside, namespace_of("self"));
}

static void setup_leaver(void *unused)
{
	outside = namespace_of("self");
	third = child(NULL, verify_outside, NULL);
	set_names("", "");
}

static void verify_leaver(void *unused)
{
	names_are("", "");
	child_verify(third);
}

static void setup(void)
{
	must(uname(&before));
	child(setup_pair, verify_pair, NULL);
	child(setup_leaver, verify_leaver, NULL);
}

static void verify(void)
{
	names_are(before.nodename, before.domainname);
}

const struct scenario scenario = {
	.about = "uts namespaces",
	.setup = setup,
	.verify = verify,
};
