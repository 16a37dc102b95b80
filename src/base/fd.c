/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

int fd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

void fd_close_cleanup(int *fd)
{
	fd_close(fd);
}

void free_cleanup(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

int fd_write_all(int fd, const void *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		data = (const char *)data + done;
		size -= done;
	}
	return 0;
}

int fd_pwrite_all(int fd, const void *data, size_t size, off_t offset)
{
	while (size) {
		ssize_t done = pwrite(fd, data, size, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		data = (const char *)data + done;
		size -= done;
		offset += done;
	}
	return 0;
}

int fd_read_all(int fd, void *data, size_t size)
{
	while (size) {
		ssize_t done = read(fd, data, size);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -ENODATA;
		data = (char *)data + done;
		size -= done;
	}
	return 0;
}

int fd_pread_all(int fd, void *data, size_t size, off_t offset)
{
	while (size) {
		ssize_t done = pread(fd, data, size, offset);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -ENODATA;
		data = (char *)data + done;
		size -= done;
		offset += done;
	}
	return 0;
}

int fd_read_file(int dirfd, const char *path, char **text, size_t *size)
{
	autofd int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0, room = 4096;
	autofree char *buffer = NULL;

	if (fd < 0)
		return -errno;
	buffer = malloc(room);
	for (;;) {
		if (!buffer)
			die_of_memory();
		ssize_t done = read(fd, buffer + used, room - used - 1);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		if (done == 0)
			break;
		used += done;
		if (room - used < 1024)
			buffer = realloc(buffer, room *= 2);
	}
	buffer[used] = 0;
	*text = buffer;
	buffer = NULL;
	if (size)
		*size = used;
	return 0;
}

char *fd_readlink(int dirfd, const char *path)
{
	for (size_t room = 256;; room *= 2) {
		char *target = malloc(room);

		if (!target)
			die_of_memory();
		ssize_t length = readlinkat(dirfd, path, target, room);

		if (length >= 0 && (size_t)length < room) {
			target[length] = 0;
			return target;
		}
		int saved = errno;

		free(target);
		errno = saved;
		if (length < 0)
			return NULL;
	}
}
