/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Descriptors of POSIX message queues: shared, of other modes, non-blocking. */
#include "scenario.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <unistd.h>

static mqd_t both, shared, writer, reader;
static pid_t heir;
static char text[8192];

static void verify_heir(void *unused)
{
	unsigned int priority;

	same("message", 3, mq_receive(shared, text, sizeof(text), &priority));
	same("priority", 9, priority);
	/* One description: the flag is set in both processes. */
	must(mq_setattr(both, &(struct mq_attr){.mq_flags = 0}, NULL));
}

static void setup(void)
{
	must(unshare(CLONE_NEWIPC));
	both = must(mq_open("/queue", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, NULL));
	shared = must(dup(both));
	writer = must(mq_open("/queue", O_WRONLY | O_CLOEXEC));
	reader = must(mq_open("/queue", O_RDONLY | O_NONBLOCK));
	must(mq_send(writer, "abc", 3, 9));
	must(mq_send(writer, "defg", 4, 1));
	heir = child(NULL, verify_heir, NULL);
}

static void verify(void)
{
	struct mq_attr attr;

	same("mode of one", O_WRONLY, fcntl(writer, F_GETFL) & O_ACCMODE);
	same("mode of another", O_RDONLY, fcntl(reader, F_GETFL) & O_ACCMODE);
	must(mq_getattr(both, &attr));
	same("messages", 2, attr.mq_curmsgs);
	same("flags", O_NONBLOCK, attr.mq_flags);
	child_verify(heir);
	must(mq_getattr(both, &attr));
	same("flags, after the child has changed them", 0, attr.mq_flags);
	same("message", 4, mq_receive(reader, text, sizeof(text), NULL));
	check(mq_receive(reader, text, sizeof(text), NULL) < 0, "there is one more");
	must(mq_send(writer, "xy", 2, 0));
	same("message", 2, mq_receive(both, text, sizeof(text), NULL));
}

const struct scenario scenario = {
	.about = "descriptors of POSIX message queues",
	.setup = setup,
	.verify = verify,
};
