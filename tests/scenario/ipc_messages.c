/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V message queues: their messages in order, by type and size, also more than the limits. */
#include "scenario.h"

#include <sched.h>
#include <string.h>
#include <sys/msg.h>
#include <unistd.h>

enum { LARGE = 8192 };

struct message {
	long type;
	char text[LARGE];
};

static struct {
	int id;
	struct msqid_ds before;
} full, empty;

static void send_one(long type, size_t size)
{
	struct message message = {.type = type};

	if (size)
		pattern_fill(message.text, size, type + size);
	must(msgsnd(full.id, &message, size, IPC_NOWAIT));
}

static const struct {
	long type;
	size_t size;
} sent[] = {{7, 5}, {1, 0}, {7, 13}, {0x7fffffffffff, LARGE}, {2, 8}};
enum { SENT = sizeof(sent) / sizeof(*sent) };

static void setup(void)
{
	must(unshare(CLONE_NEWIPC));
	must(msgctl(must(msgget(IPC_PRIVATE, 0600)), IPC_RMID, NULL));
	empty.id = must(msgget(IPC_PRIVATE, 0666));
	full.id = must(msgget(0x99, IPC_CREAT | 0620));
	for (int i = 0; i < SENT; i++)
		send_one(sent[i].type, sent[i].size);
	must(msgctl(full.id, IPC_STAT, &full.before));
	full.before.msg_qbytes = 100;
	full.before.msg_perm.uid = 12;
	must(msgctl(full.id, IPC_SET, &full.before));
	must(msgctl(full.id, IPC_STAT, &full.before));
	must(msgctl(empty.id, IPC_STAT, &empty.before));
	write_text("/proc/sys/kernel/msgmax", "64");
	write_text("/proc/sys/kernel/msgmnb", "90");
}

static void verify_queue(int id, const struct msqid_ds *then)
{
	struct msqid_ds now;

	must(msgctl(id, IPC_STAT, &now));
	same("key", then->msg_perm.__key, now.msg_perm.__key);
	same("mode", then->msg_perm.mode, now.msg_perm.mode);
	same("uid", then->msg_perm.uid, now.msg_perm.uid);
	same("messages", then->msg_qnum, now.msg_qnum);
	same("bytes", then->__msg_cbytes, now.__msg_cbytes);
	same("limit", then->msg_qbytes, now.msg_qbytes);
}

static void verify(void)
{
	struct message message;

	verify_queue(full.id, &full.before);
	verify_queue(empty.id, &empty.before);
	for (int i = 0; i < SENT; i++) {
		same("size", sent[i].size, msgrcv(full.id, &message, LARGE, 0, IPC_NOWAIT));
		same("type", sent[i].type, message.type);
		if (sent[i].size)
			pattern_check("text", message.text, sent[i].size,
				      sent[i].type + sent[i].size);
	}
	same_string("msgmax", "64\n", file_text("/proc/sys/kernel/msgmax"));
	same_string("msgmnb", "90\n", file_text("/proc/sys/kernel/msgmnb"));
}

const struct scenario scenario = {
	.about = "System V message queues",
	.setup = setup,
	.verify = verify,
};
