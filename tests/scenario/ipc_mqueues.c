/* SPDX-License-Identifier: GPL-2.0-or-later */
/* POSIX message queues that nobody has open: attributes, owner, times, messages by priority. */
#include "scenario.h"

#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MESSAGES = 6, SIZE = 100 };

static const unsigned int priorities[MESSAGES] = {3, 0, 32767, 3, 0, 3};
/* In the order in which they come: by priority, then by time. */
static const int order[MESSAGES] = {2, 0, 3, 5, 1, 4};
static struct stat before;

static void setup(void)
{
	struct mq_attr attr = {.mq_maxmsg = 12, .mq_msgsize = SIZE};
	char text[SIZE];
	mqd_t queue;

	must(unshare(CLONE_NEWIPC));
	write_text("/proc/sys/fs/mqueue/msg_max", "20");
	queue = must(mq_open("/full", O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
	for (int i = 0; i < MESSAGES; i++) {
		pattern_fill(text, SIZE, i);
		must(mq_send(queue, text, i * 20, priorities[i]));
	}
	must(fchown(queue, 7, 8));
	must(fchmod(queue, 0644));
	must(fstat(queue, &before));
	mq_close(queue);
	queue = must(mq_open("/empty", O_RDWR | O_CREAT | O_EXCL, 0666, NULL));
	mq_close(queue);
	write_text("/proc/sys/fs/mqueue/msg_max", "5");
	write_text("/proc/sys/fs/mqueue/queues_max", "1");
}

static void verify(void)
{
	char text[SIZE];
	unsigned int priority;
	struct mq_attr attr;
	struct stat now;
	mqd_t queue = mq_open("/full", O_RDWR | O_NONBLOCK);

	if (queue < 0) {
		fail("the queue is gone: %m");
		return;
	}
	must(fstat(queue, &now));
	same("mode", before.st_mode, now.st_mode);
	same("uid", before.st_uid, now.st_uid);
	same("gid", before.st_gid, now.st_gid);
	same_bytes("atime", &before.st_atim, &now.st_atim, sizeof(now.st_atim));
	same_bytes("mtime", &before.st_mtim, &now.st_mtim, sizeof(now.st_mtim));
	must(mq_getattr(queue, &attr));
	same("limit", 12, attr.mq_maxmsg);
	same("size", SIZE, attr.mq_msgsize);
	same("messages", MESSAGES, attr.mq_curmsgs);
	for (int i = 0; i < MESSAGES; i++) {
		same("bytes", order[i] * 20, mq_receive(queue, text, SIZE, &priority));
		same("priority", priorities[order[i]], priority);
		if (order[i])
			pattern_check("text", text, order[i] * 20, order[i]);
	}
	mq_close(queue);
	queue = must(mq_open("/empty", O_RDWR));
	must(mq_getattr(queue, &attr));
	same("messages", 0, attr.mq_curmsgs);
	mq_close(queue);
	same_string("msg_max", "5\n", file_text("/proc/sys/fs/mqueue/msg_max"));
	same_string("queues_max", "1\n", file_text("/proc/sys/fs/mqueue/queues_max"));
}

const struct scenario scenario = {
	.about = "POSIX message queues",
	.setup = setup,
	.verify = verify,
};
