/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Credentials of processes: users, groups, capability sets, secure bits.  Each child has another
 * combination; the snapshots compare /proc/PID/status, and verify() tries what may be done.
 */
#include "scenario.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void set_capabilities(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{effective, permitted, inheritable},
		{effective >> 32, permitted >> 32, inheritable >> 32},
	};

	must(syscall(SYS_capset, &header, data));
}

static uint64_t capabilities(int which)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	syscall(SYS_capget, &header, data);
	return which == 0 ? data[0].effective | (uint64_t)data[1].effective << 32
			  : data[0].permitted | (uint64_t)data[1].permitted << 32;
}

#define CAP(name) (1ul << CAP_##name)

static bool may_open_shadow(void)
{
	int fd = open("/etc/shadow", O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void setup_user(void *unused)
{
	gid_t groups[] = {100, 200, 300, 65533};

	must(setgroups(4, groups));
	must(setresgid(1000, 1001, 1002));
	must(setresuid(1000, 1001, 1002));
	prctl(PR_SET_DUMPABLE, 1);
}

static void verify_user(void *unused)
{
	gid_t groups[8];
	uid_t real, effective, saved;

	same("groups", 4, getgroups(8, groups));
	same("last group", 65533, groups[3]);
	getresuid(&real, &effective, &saved);
	check(real == 1000 && effective == 1001 && saved == 1002, "users %d %d %d", real, effective,
	      saved);
	getresgid(&real, &effective, &saved);
	check(real == 1000 && effective == 1001 && saved == 1002, "groups %d %d %d", real,
	      effective, saved);
	same("capabilities", 0, capabilities(1));
	check(!may_open_shadow(), "a user may read /etc/shadow");
	same("back to the saved user", 0, seteuid(1002));
}

/* A file system user apart from the effective one. */
static void setup_fs_user(void *unused)
{
	setfsgid(3000);
	setfsuid(3000);
}

static void verify_fs_user(void *unused)
{
	same("file system user", 3000, setfsuid(-1));
	same("file system group", 3000, setfsgid(-1));
	check(!may_open_shadow(), "the file system user may read /etc/shadow");
}

static void setup_few_capabilities(void *unused)
{
	uint64_t some = CAP(KILL) | CAP(NET_BIND_SERVICE) | CAP(SETUID);

	must(prctl(PR_SET_KEEPCAPS, 1));
	for (int cap = 0; cap < 20; cap += 3)
		must(prctl(PR_CAPBSET_DROP, cap));
	must(setresuid(1234, 1234, 1234));
	set_capabilities(CAP(KILL), some, some);
	must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
	must(prctl(PR_SET_KEEPCAPS, 1));
	prctl(PR_SET_DUMPABLE, 1);
}

static void verify_few_capabilities(void *unused)
{
	same("effective capabilities", CAP(KILL), capabilities(0));
	same("permitted capabilities", CAP(KILL) | CAP(NET_BIND_SERVICE) | CAP(SETUID),
	     capabilities(1));
	same("ambient capability", 1,
	     prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_NET_BIND_SERVICE, 0, 0));
	for (int cap = 0; cap < 20; cap++)
		same("bounding set", cap % 3 != 0, prctl(PR_CAPBSET_READ, cap));
	same("keepcaps", 1, prctl(PR_GET_KEEPCAPS));
}

static void setup_secure_bits(void *unused)
{
	must(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
					      SECBIT_NO_SETUID_FIXUP |
					      SECBIT_NO_CAP_AMBIENT_RAISE));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	set_capabilities(0, capabilities(1), 0);
}

static void verify_secure_bits(void *unused)
{
	same("secure bits",
	     SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		     SECBIT_NO_CAP_AMBIENT_RAISE,
	     prctl(PR_GET_SECUREBITS));
	same("no_new_privs", 1, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	same("effective capabilities", 0, capabilities(0));
}

/* Not dumpable, as programs with secrets are. */
static void setup_secretive(void *unused)
{
	must(prctl(PR_SET_DUMPABLE, 0));
}

static void verify_secretive(void *unused)
{
	same("dumpable", 0, prctl(PR_GET_DUMPABLE));
}

static void setup(void)
{
	must(chmod(".", 0777));
	child(setup_user, verify_user, NULL);
	child(setup_fs_user, verify_fs_user, NULL);
	child(setup_few_capabilities, verify_few_capabilities, NULL);
	child(setup_secure_bits, verify_secure_bits, NULL);
	child(setup_secretive, verify_secretive, NULL);
}

static void verify(void)
{
	same("user of the root process", 0, getuid());
	check(may_open_shadow(), "the root process may not read /etc/shadow");
}

const struct scenario scenario = {
	.about = "users, groups, capabilities, secure bits",
	.setup = setup,
	.verify = verify,
};
