/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* An owned descriptor: `autofd int fd = open(...)` is closed when it goes out of scope. */
#define autofd   __attribute__((cleanup(fd_close_cleanup)))
#define autofree __attribute__((cleanup(free_cleanup)))

/* Closes *fd unless it is negative and sets it to -1; errno is kept. */
void fd_close(int *fd);
/* Gives the descriptor away: returns it and sets *fd to -1. */
int fd_steal(int *fd);
void fd_close_cleanup(int *fd);
void free_cleanup(void *pointer_to_pointer);

/* All of the bytes, however many calls that takes; 0 or a negative errno (-ENODATA: end of file).
 */
int fd_write_all(int fd, const void *data, size_t size);
int fd_pwrite_all(int fd, const void *data, size_t size, off_t offset);
int fd_read_all(int fd, void *data, size_t size);
int fd_pread_all(int fd, void *data, size_t size, off_t offset);

/*
 * The whole of a file of unknown size (/proc), NUL-terminated, in memory the caller frees.
 * Returns 0 or a negative errno; *size (may be NULL) does not count the NUL.
 */
int fd_read_file(int dirfd, const char *path, char **text, size_t *size);

/* The target of a link, NUL-terminated, of any length, in memory the caller frees; NULL and errno.
 */
char *fd_readlink(int dirfd, const char *path);
