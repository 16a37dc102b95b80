/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/*
 * Image files, in CRIU's format: a magic number (two, but for the inventory), then messages, each
 * behind its size as a 32-bit little-endian number, some followed by raw bytes.
 *
 * One table (format.c) has a row per type of image: its file name, magic number and message.
 */
enum image_type {
	IMAGE_INVENTORY,
	IMAGE_PSTREE,
	IMAGE_CORE,          /* core-PID.img */
	IMAGE_IDS,           /* ids-PID.img */
	IMAGE_MM,            /* mm-PID.img */
	IMAGE_FS,            /* fs-PID.img */
	IMAGE_FDINFO,        /* fdinfo-FILES_ID.img */
	IMAGE_FILES,         /* files.img */
	IMAGE_PAGEMAP,       /* pagemap-PID.img: first a pagemap_head, then entries */
	IMAGE_PAGEMAP_SHMEM, /* pagemap-shmem-SHMID.img */
	IMAGE_PAGES,         /* pages-ID.img: raw pages, no magic */
	IMAGE_TMPFS,         /* tmpfs-dev-DEVICE.tar.gz.img: a compressed archive */
	IMAGE_PIPES_DATA,
	IMAGE_FIFO_DATA,
	IMAGE_GHOST_FILE, /* ghost-file-ID.img (hexadecimal) */
	IMAGE_REMAP_FPATH,
	IMAGE_TTY_INFO,
	IMAGE_TTY_DATA,
	IMAGE_MEMFD_INODE,
	IMAGE_TIMENS,
	IMAGE_PIDNS, /* pidns-ID.img, ID: of the namespace; so the next */
	IMAGE_UTSNS, /* utsns-ID.img */
	IMAGE_IPC_VAR,
	IMAGE_IPCNS_SHM,
	IMAGE_IPCNS_SEM,
	IMAGE_IPCNS_MSG,
	IMAGE_NETNS,
	IMAGE_NETDEV,
	IMAGE_MNTS, /* mountpoints-ID.img */
	IMAGE_SECCOMP,
	IMAGE_STATS_DUMP,
	IMAGE_STATS_RESTORE,
	IMAGE_OTHER, /* types that are only shown: looked up by magic number */
	IMAGE_TYPES
};

/*
 * Writing.  An image is collected in memory and written by image_finish(), in one call; the file
 * is created (and an older one replaced) then.  image_finish() and image_finish_raw() free the
 * writer also when they fail.  Reports.
 */
struct image_writer;
struct image_writer *image_create(int dirfd, enum image_type type, unsigned long id);
void image_put(struct image_writer *writer, const void *message); /* a ProtobufCMessage */
void image_put_raw(struct image_writer *writer, const void *data, size_t size);
int image_finish(struct image_writer *writer);
/* Writes what is there so far and returns the descriptor, for bulk data behind it (ghost files). */
int image_finish_raw(struct image_writer *writer, int *fd);
/* Frees a writer of which nothing is to be written; NULL is allowed. */
void image_discard(struct image_writer *writer);
/* One image with one message. */
int image_write_one(int dirfd, enum image_type type, unsigned long id, const void *message);
/* A new, empty file without magic, for pages: its descriptor or a negative errno.  Reports. */
int image_create_pages(int dirfd, unsigned long id);
/* The same for any type without messages. */
int image_create_raw(int dirfd, enum image_type type, unsigned long id);
/* Removes an image if it is there. */
int image_remove(int dirfd, enum image_type type, unsigned long id);

/*
 * Reading.  Every message is checked: size, wire format, required fields; one with fields that are
 * not known, which a newer program wrote, is refused.  Messages live in the arena.  image_open()
 * returns -ENOENT without a report when there is no such file; everything else reports, with the
 * file's name and the offset.
 */
struct image_reader;
int image_open(int dirfd, enum image_type type, unsigned long id, struct arena *arena,
	       struct image_reader **reader);
/*
 * 1: *message is the next message, of the type that the image has there (a pagemap image first a
 * pagemap_head, a ghost file after its ghost_file_entry ghost_chunk_entries); 0: the end; or a
 * negative errno.
 */
int image_get(struct image_reader *reader, void *message_pointer);
/* The next message, of a type the caller names. */
int image_get_type(struct image_reader *reader, const ProtobufCMessageDescriptor *type,
		   void *message_pointer);
int image_get_raw(struct image_reader *reader, void *data, size_t size);
int image_skip_raw(struct image_reader *reader, uint64_t size);
/* The descriptor (the reader's) and the offset of what comes next. */
int image_position(const struct image_reader *reader, uint64_t *offset);
/* Bytes from there to the end. */
uint64_t image_left(const struct image_reader *reader);
void image_close(struct image_reader *reader); /* NULL is allowed */
/*
 * Any image, by its magic number: *format says what it is.  Unknown fields are passed over.  Always
 * reports.
 */
struct image_format;
int image_open_file(const char *path, struct arena *arena, struct image_reader **reader,
		    const struct image_format **format);
/* Messages live in this arena from now on. */
void image_use_arena(struct image_reader *reader, struct arena *arena);
/* One image with one message; also -ENOENT without a report. */
int image_read_one(int dirfd, enum image_type type, unsigned long id, struct arena *arena,
		   void *message_pointer);
/* The pages file of this id, for reading.  Reports. */
int image_open_pages(int dirfd, unsigned long id);
int image_open_raw(int dirfd, enum image_type type, unsigned long id);
/* "core-42.img", in a buffer of the caller's (64 bytes). */
const char *image_name(enum image_type type, unsigned long id, char name[64]);
