/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "remote/remote.h"

enum { MOST_AT_ONCE = 253 }; /* SCM_MAX_FD of the kernel */

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(MOST_AT_ONCE * sizeof(int))];
};

static int send_some(const struct remote_channel *channel, const int *fds, size_t count)
{
	union control control;
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	return sendmsg(channel->near, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == 1 ? 0 : -errno;
}

/* One recvmsg in the task. */
static int receive_some(const struct remote_channel *channel, struct remote *remote, size_t count,
			int *numbers)
{
	struct batch batch;
	uint64_t control_at, byte_at;
	union control *control;
	int error;

	batch_begin(&batch, remote);
	control = batch_data(&batch, sizeof(*control), &control_at);
	batch_data(&batch, 1, &byte_at);

	struct iovec iov = {(void *)byte_at, 1};
	struct msghdr message = {.msg_iov = (void *)batch_input(&batch, &iov, sizeof(iov)),
				 .msg_iovlen = 1,
				 .msg_control = (void *)control_at,
				 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	uint64_t message_at = batch_input(&batch, &message, sizeof(message));
	size_t call = batch_call(&batch, SYS_recvmsg, channel->number, message_at, MSG_DONTWAIT);

	error = batch_run(&batch);
	if (!error && batch_result(&batch, call) != 1)
		error = batch_result(&batch, call) < 0 ? (int)batch_result(&batch, call) : -EIO;
	/* Fewer than were sent: the task's RLIMIT_NOFILE. */
	if (!error && control->header.cmsg_len != CMSG_LEN(count * sizeof(int)))
		error = -EMFILE;
	if (!error && numbers)
		memcpy(numbers, CMSG_DATA(&control->header), count * sizeof(int));
	batch_end(&batch);
	return error;
}

int remote_send_fds(const struct remote_channel *channel, struct remote *remote, const int *fds,
		    size_t count, int *numbers)
{
	for (size_t done = 0; done < count;) {
		size_t some = count - done < MOST_AT_ONCE ? count - done : MOST_AT_ONCE;
		int error = send_some(channel, fds + done, some);

		if (!error)
			error = receive_some(channel, remote, some,
					     numbers ? numbers + done : NULL);
		if (error)
			return error;
		done += some;
	}
	return 0;
}
