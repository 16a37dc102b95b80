/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "remote/remote.h"

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(REMOTE_FDS_MOST * sizeof(int))];
};

_Static_assert(sizeof(union control) + sizeof(struct msghdr) + 64 <= REMOTE_DELIVERY_ROOM,
	       "REMOTE_DELIVERY_ROOM");

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

int remote_deliver(const struct remote_channel *channel, struct batch *batch, const int *fds,
		   size_t count, struct remote_delivery *delivery)
{
	uint64_t control_at, byte_at;
	int error = send_some(channel, fds, count);

	if (error)
		return error;
	*delivery = (struct remote_delivery){
		.control = batch_data(batch, sizeof(union control), &control_at), .count = count};
	batch_data(batch, 1, &byte_at);

	struct iovec iov = {(void *)byte_at, 1};
	struct msghdr message = {.msg_iov = (void *)batch_input(batch, &iov, sizeof(iov)),
				 .msg_iovlen = 1,
				 .msg_control = (void *)control_at,
				 .msg_controllen = CMSG_SPACE(count * sizeof(int))};
	uint64_t message_at = batch_input(batch, &message, sizeof(message));

	delivery->call = batch_call(batch, SYS_recvmsg, channel->number, message_at, MSG_DONTWAIT);
	return 0;
}

int remote_delivered(const struct batch *batch, const struct remote_delivery *delivery,
		     const int **numbers)
{
	const union control *control = delivery->control;
	int64_t result = batch_result(batch, delivery->call);

	if (result != 1)
		return result < 0 ? result : -EIO;
	/* Fewer than were sent: the task's RLIMIT_NOFILE. */
	if (control->header.cmsg_len != CMSG_LEN(delivery->count * sizeof(int)))
		return -EMFILE;
	*numbers = (const int *)CMSG_DATA(&control->header);
	return 0;
}

int remote_delivered_to(const struct batch *batch, const struct remote_delivery *delivery,
			const int *expected)
{
	const int *numbers;
	int error = remote_delivered(batch, delivery, &numbers);

	return error                                                      ? error
	       : memcmp(numbers, expected, delivery->count * sizeof(int)) ? -EBADF
									  : 0;
}

/* One message. */
static int deliver_some(const struct remote_channel *channel, struct remote *remote, const int *fds,
			size_t count, int *numbers)
{
	struct remote_delivery delivery;
	const int *landed;
	struct batch batch;
	int error;

	batch_begin(&batch, remote);
	error = remote_deliver(channel, &batch, fds, count, &delivery);
	if (!error)
		error = batch_run(&batch);
	if (!error)
		error = remote_delivered(&batch, &delivery, &landed);
	if (!error && numbers)
		memcpy(numbers, landed, count * sizeof(int));
	batch_end(&batch);
	return error;
}

int remote_send_fds(const struct remote_channel *channel, struct remote *remote, const int *fds,
		    size_t count, int *numbers)
{
	for (size_t done = 0; done < count;) {
		size_t some = count - done < REMOTE_FDS_MOST ? count - done : REMOTE_FDS_MOST;
		int error = deliver_some(channel, remote, fds + done, some,
					 numbers ? numbers + done : NULL);

		if (error)
			return error;
		done += some;
	}
	return 0;
}
