/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Flags of mounts and of filesystems, each alone and together. */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

static const unsigned long flags[] = {
	MS_RDONLY,
	MS_NOSUID,
	MS_NODEV,
	MS_NOEXEC,
	MS_NOSYMFOLLOW,
	MS_NOATIME,
	MS_NODIRATIME,
	MS_STRICTATIME,
	MS_NOATIME | MS_NODIRATIME,
	MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOSYMFOLLOW | MS_NOATIME | MS_NODIRATIME,
};

static void setup(void)
{
	char name[40];

	own_namespace();
	new_tmpfs("m");
	must(symlink("f", "m/link"));
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		snprintf(name, sizeof(name), "bind%zu", i);
		bind_mount("m/a", name);
		set_mount(name, MS_REMOUNT | MS_BIND | flags[i]);
		snprintf(name, sizeof(name), "tmpfs%zu", i);
		new_directory(name);
		must(mount(name, name, "tmpfs", flags[i], "size=64k"));
	}
	bind_mount("m", "nosymfollow");
	set_mount("nosymfollow", MS_REMOUNT | MS_BIND | MS_NOSYMFOLLOW);
	new_tmpfs("super");
	set_mount("super", MS_REMOUNT | MS_RDONLY);
	new_directory("flags");
	must(mount("flags", "flags", "tmpfs", MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME, NULL));
}

static void verify(void)
{
	same("a link where none is followed", -1, open("nosymfollow/link", O_RDONLY));
	same_file("m/link", "m");
	same("writing on a read-only mount", -1, open("bind0/new", O_CREAT | O_WRONLY, 0600));
	same("writing on a read-only filesystem", -1, open("super/new", O_CREAT | O_WRONLY, 0600));
	same_file("super/f", "super");
}

const struct scenario scenario = {
	.about = "flags of mounts and filesystems",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
