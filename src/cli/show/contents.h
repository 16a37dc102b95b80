/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include "images/fdinfo.pb-c.h"
#include "images/inventory.pb-c.h"
#include "task/task.h"

/*
 * What a checkpoint holds, prepared to be shown: looked up, added up and named, but not yet
 * formatted.  Everything lives in the arena.
 */
struct contents {
	struct arena *arena;
	const char *path;
	struct checkpoint checkpoint; /* as a restore reads it */
	InventoryEntry *inventory;
	uint64_t pages_size;   /* bytes of all pages images */
	struct hash pagemaps;  /* struct stored by pid */
	struct hash files;     /* FileEntry by id */
	struct hash pipes;     /* PipeDataEntry by pipe's id; pipes and FIFOs share the ids */
	struct hash remaps;    /* RemapFilePathEntry by file's id */
	struct hash memfds;    /* MemfdInodeEntry by id */
	struct hash terminals; /* TtyInfoEntry by id */
	struct hash shared;    /* struct stored by shared memory's id */
};

/*
 * Reads all of it, so that nothing is shown of a checkpoint that is damaged.  Reports.
 * contents_free() must be called after errors too.
 */
int contents_read(const char *path, struct contents *contents);
void contents_free(struct contents *contents);

/* The tasks as a tree is read: each before its children.  depth: of each, 0 the root. */
struct placed {
	const struct task *task;
	unsigned int depth;
};
const struct placed *contents_order(struct contents *contents);

/* The kinds of memory, in the order in which they are shown. */
enum memory_kind {
	MEMORY_HEAP,
	MEMORY_STACK,
	MEMORY_ANONYMOUS,
	MEMORY_SHARED,
	MEMORY_MEMFD,
	MEMORY_FILE_PRIVATE,
	MEMORY_FILE_SHARED,
	MEMORY_SYSV,
	MEMORY_SHADOW_STACK,
	MEMORY_AIO,
	MEMORY_PACKET,
	MEMORY_VDSO,
	MEMORY_OTHER,
	MEMORY_KINDS
};
extern const char *const memory_kind_names[MEMORY_KINDS];

struct memory_use {
	size_t mappings;
	uint64_t mapped, stored; /* bytes */
};

/* Mappings, and bytes mapped and stored, by kind; and their sum. */
struct memory_summary {
	struct memory_use kinds[MEMORY_KINDS], all;
};
struct memory_summary memory_summary(struct contents *contents, const struct task *task);

/* The arguments, each ended by a NUL, as they are in the stored memory; NULL if they are not. */
const char *task_arguments(struct contents *contents, const struct task *task, size_t *size);
/* The name the kernel has for a thread. */
const char *thread_name(const struct thread *thread);
/* Blocked signals, bit 0 is signal 1. */
uint64_t thread_blocked(const struct thread *thread);
/* Path of a file by its id, or NULL. */
const char *file_path(struct contents *contents, uint32_t id);
/* Signal of the task's n-th action: the image leaves out SIGKILL and SIGSTOP. */
int action_signal(size_t index);
/* The file that is mapped at this address, or NULL. */
const char *path_at(struct contents *contents, const struct task *task, uint64_t address);

/* A signal that waits for its delivery. */
struct pending {
	int signal, code;
	bool from_process; /* sent by a process: pid and uid are its */
	int pid;
	uint32_t uid;
};
struct pending pending_signal(const SiginfoEntry *entry);

/* An open file, as all its descriptors show it.  Strings and numbers are the entry's own. */
struct open_file {
	const char *kind;
	const char *path;         /* or NULL */
	const uint32_t *flags;    /* O_*, or NULL */
	const uint64_t *position; /* or NULL */
	const char *detail;       /* escaped, for a person; "" for none */
};
/* entry: NULL if the checkpoint has none (its descriptor is shown all the same). */
struct open_file describe_file(struct contents *contents, const FileEntry *entry);
