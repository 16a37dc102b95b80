/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What stasis does not carry over, by the words it is known by. */
#include <string.h>
#include <sys/stat.h>

#include "file/internal.h"

static const char close_it[] = "close it before the dump";

/* By the link of an anonymous inode. */
static const struct refusal {
	const char *prefix, *reason;
} refusals[] = {
	{"anon_inode:[fanotify]", "fanotify is a later capability"},
	{"anon_inode:[pidfd]", "pidfds are a later capability"},
	{"anon_inode:[userfaultfd]", "userfaultfd is not carried over"},
	{"anon_inode:[io_uring]", "io_uring is not carried over"},
	{"anon_inode:[perf_event]", "performance events are not carried over"},
	{"anon_inode:bpf", "BPF objects are a later capability"},
	{"anon_inode:[fscontext]", "a filesystem that is being configured is not carried over"},
	{"anon_inode:seccomp notify", "a listener of seccomp is not carried over"},
	{"anon_inode:[landlock", "a Landlock rule set is not carried over"},
	{"anon_inode:[eventpoll]", "this epoll instance cannot be read"},
	{"anon_inode:kvm", "virtual machines are not carried over"},
	{"anon_inode:dmabuf", "buffers of devices are not carried over"},
	{"anon_inode:", "files of this kind are not carried over"},
	{"socket:", "sockets are a later capability"},
	{"pipe:", "a pipe that was opened with O_PATH is not carried over"},
	{"mnt:", "a file that names a namespace is a later capability"},
	{"net:", "a file that names a namespace is a later capability"},
	{"pid:", "a file that names a namespace is a later capability"},
	{"pid_for_children:", "a file that names a namespace is a later capability"},
	{"user:", "a file that names a namespace is a later capability"},
	{"uts:", "a file that names a namespace is a later capability"},
	{"ipc:", "a file that names a namespace is a later capability"},
	{"cgroup:", "a file that names a namespace is a later capability"},
	{"time:", "a file that names a namespace is a later capability"},
	{"pidfd:", "pidfds are a later capability"},
	{"/dmabuf:", "buffers of devices are not carried over"},
	{"/memfd:", "memory of this kind is not carried over"},
};

int refuse_description(const struct description *description)
{
	struct subject subject = description_subject(description);
	mode_t mode = description->stat.st_mode;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		if (!strncmp(description->link, refusals[i].prefix, strlen(refusals[i].prefix)))
			return REFUSE(subject, close_it, "%s", refusals[i].reason);
	if (S_ISCHR(mode) || S_ISBLK(mode))
		return REFUSE(subject, close_it, "this %s device is not carried over",
			      S_ISCHR(mode) ? "character" : "block");
	return REFUSE(subject, close_it, "files of this kind (mode %o) are not carried over", mode);
}
