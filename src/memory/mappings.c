/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dump: the mappings of a task as vma_entry messages, and the numbers of its mm_entry. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "memory/internal.h"
#include "memory/memory.h"
#include "memory/shared.h"
#include "task/proc.h"

struct subject mapping_subject(const struct task *task, const VmaEntry *entry)
{
	return SUBJECT("%s, mapping %lx-%lx", task_subject(task).text, entry->start, entry->end);
}

/* What is being described. */
struct survey {
	struct checkpoint *checkpoint;
	struct memory_state *state;
	struct task *task;
};

/* ---- kinds of mappings --------------------------------------------------------------------- */

/* Names that the kernel gives to memory without a file. */
static const struct special {
	const char *name;
	bool is_prefix;
	uint32_t status;
} specials[] = {
	{"", false, VMA_AREA_REGULAR | VMA_ANON_PRIVATE},
	{"[heap]", false, VMA_AREA_REGULAR | VMA_ANON_PRIVATE | VMA_AREA_HEAP},
	{"[stack]", false, VMA_AREA_REGULAR | VMA_ANON_PRIVATE | VMA_AREA_STACK},
	{"[anon:", true, VMA_AREA_REGULAR | VMA_ANON_PRIVATE},
	{"[vdso]", false, VMA_AREA_REGULAR | VMA_ANON_PRIVATE | VMA_AREA_VDSO},
	{"[vvar]", false, VMA_AREA_REGULAR | VMA_ANON_PRIVATE | VMA_AREA_VVAR},
	{"[vvar_", true, VMA_AREA_REGULAR | VMA_ANON_PRIVATE | VMA_AREA_VVAR},
	{"[vsyscall]", false, VMA_AREA_VSYSCALL},
};

static uint32_t special_status(const char *name)
{
	for (size_t i = 0; i < sizeof(specials) / sizeof(*specials); i++) {
		const struct special *special = &specials[i];

		if (special->is_prefix ? !strncmp(name, special->name, strlen(special->name))
				       : !strcmp(name, special->name))
			return special->status;
	}
	return VMA_AREA_NONE;
}

/* Files that have no path, and mappings of them that are not carried over. */
static const struct {
	const char *prefix, *reason, *remedy;
} refused_names[] = {
	{"/SYSV", "System V shared memory of huge pages is not supported",
	 "use shared memory without SHM_HUGETLB"},
	{"/[aio]", "asynchronous I/O contexts (io_setup) are not supported yet",
	 "let the program end them (io_destroy) before the dump"},
	{"/secretmem", "secret memory (memfd_secret) cannot be read by anybody else",
	 "unmap it before the dump"},
	{"anon_inode:", "memory of this kind of descriptor is not supported",
	 "unmap it before the dump"},
	{"socket:", "memory shared with a socket (packet rings) is not supported",
	 "unmap it before the dump"},
	{"[", "the kernel's own mappings of this kind are not supported",
	 "end what made the kernel map it (uprobes, for example)"},
};

static int refuse_name(const struct task *task, const VmaEntry *entry, const char *name)
{
	for (size_t i = 0; i < sizeof(refused_names) / sizeof(*refused_names); i++)
		if (!strncmp(name, refused_names[i].prefix, strlen(refused_names[i].prefix)))
			return REFUSE(mapping_subject(task, entry), refused_names[i].remedy,
				      "%s: %s", name, refused_names[i].reason);
	return 0;
}

/* ---- flags --------------------------------------------------------------------------------- */

static int describe_flags(struct survey *survey, VmaEntry *entry, const struct smaps_entry *found)
{
	uint64_t flags = found->flags, advice = 0;
	bool droppable = flags & VM_BIT(VM_DROPPABLE);
	int error = 0;

	if (mapping_is_kernels(entry))
		return 0;
	/* These come with it. */
	if (droppable)
		flags &= ~(VM_BIT(VM_NORESERVE) | VM_BIT(VM_DONTDUMP) | VM_BIT(VM_WIPEONFORK));
	if (found->unknown[0])
		error = REFUSE(
			mapping_subject(survey->task, entry),
			"report it: this kernel is newer than stasis",
			"it has the flag \"%s\" in /proc/PID/smaps, which stasis does not know",
			found->unknown);
	/* The kernel itself gives a key to memory that is executable but not readable. */
	if (found->protection_key && entry->prot != PROT_EXEC)
		error = REFUSE(mapping_subject(survey->task, entry), NULL,
			       "memory protection keys (pkey_mprotect) are not supported yet");
	for (int flag = 0; flag < VM_FLAGS; flag++) {
		const struct vm_flag_row *row = &vm_flag_rows[flag];

		if (!(flags & VM_BIT(flag)))
			continue;
		if (row->refusal)
			error = REFUSE(mapping_subject(survey->task, entry), row->remedy, "%s",
				       row->refusal);
		entry->flags |= row->map;
		if (row->advice)
			advice |= 1ull << row->advice;
	}
	entry->has_madv = advice != 0;
	entry->madv = advice;
	entry->accounted = entry->has_accounted = (flags & VM_BIT(VM_ACCOUNT)) != 0;
	entry->sealed = entry->has_sealed = (flags & VM_BIT(VM_SEALED)) != 0;
	/*
	 * Kernels before 6.10 do not tell "lf"; a mapping that was locked without it has all its
	 * pages.
	 */
	if (flags & VM_BIT(VM_LOCKONFAULT) ||
	    (flags & VM_BIT(VM_LOCKED) && found->read && found->rss < found->end - found->start))
		entry->lock_on_fault = entry->has_lock_on_fault = true;
	return error;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Many mappings of a file ask files/ once. */
struct mapped_file {
	dev_t device;
	uint64_t inode;
	uint32_t flags, id;
	const char *name;
};

/* The file itself, however its name looks now. */
static int open_mapped(struct survey *survey, const VmaEntry *entry, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "map_files/%lx-%lx", entry->start, entry->end);
	fd = openat(survey->task->proc, path, flags | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	return FAIL(errno, mapping_subject(survey->task, entry),
		    "run stasis as root, or with CAP_CHECKPOINT_RESTORE",
		    "/proc/PID/map_files does not lead to the file it maps: %s", strerror(errno));
}

static int describe_file(struct survey *survey, VmaEntry *entry, const struct smaps_entry *found)
{
	struct arena *arena = survey->checkpoint->arena;
	uint32_t flags = found->shared && found->flags & VM_BIT(VM_MAYWRITE) ? O_RDWR : O_RDONLY;
	uint64_t key = hash_mix(hash_mix(found->device, found->inode),
				hash_mix(flags, hash_bytes(found->name, strlen(found->name))));
	struct mapped_file *file = hash_get(&survey->state->files, key);
	int fd, error;

	entry->has_fdflags = true;
	entry->fdflags = flags;
	if (file && file->device == found->device && file->inode == found->inode &&
	    file->flags == flags && !strcmp(file->name, found->name)) {
		entry->shmid = file->id;
		return 0;
	}
	fd = open_mapped(survey, entry, O_PATH);
	if (fd < 0)
		return fd;
	file = arena_new_object(arena, struct mapped_file);
	*file = (struct mapped_file){.device = found->device,
				     .inode = found->inode,
				     .flags = flags,
				     .name = arena_strdup(arena, found->name)};
	error = files_describe_path(survey->checkpoint, fd, flags,
				    mapping_subject(survey->task, entry), &file->id);
	if (error)
		return error;
	hash_put(&survey->state->files, key, file);
	entry->shmid = file->id;
	return 0;
}

/* The area of a stasis that was killed here; it is no part of the application. */
static bool is_left_area(int fd, const struct smaps_entry *found)
{
	char magic[sizeof(REMOTE_AREA_MAGIC) - 1];

	return found->end - found->start >= REMOTE_LEADER_SLOT && found->offset == 0 &&
	       pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
	       !memcmp(magic, REMOTE_AREA_MAGIC, sizeof(magic));
}

/* 1: it is to be left out. */
static int describe_shared_anonymous(struct survey *survey, VmaEntry *entry,
				     const struct smaps_entry *found)
{
	if (!found->shared)
		return REFUSE(mapping_subject(survey->task, entry), NULL,
			      "a private mapping of shared anonymous memory is not supported");

	autofd int fd = open_mapped(survey, entry, O_RDONLY);
	uint32_t shmid = 0;
	int error;

	if (fd < 0)
		return fd;
	if (is_left_area(fd, found))
		return 1;
	entry->flags |= MAP_ANONYMOUS;
	entry->status = VMA_AREA_REGULAR | VMA_ANON_SHARED;
	error = shared_memory_add(survey->checkpoint, fd, &shmid);
	entry->shmid = shmid;
	return error;
}

static int describe_sysv(struct survey *survey, VmaEntry *entry, const struct smaps_entry *found)
{
	autofd int fd = open_mapped(survey, entry, O_RDONLY);

	if (fd < 0)
		return fd;
	entry->has_fdflags = true;
	entry->fdflags = found->flags & VM_BIT(VM_MAYWRITE) ? O_RDWR : O_RDONLY;
	return sysv_describe(survey->checkpoint, survey->task, entry, fd, found->inode);
}

/* ---- one mapping --------------------------------------------------------------------------- */

/* "[anon:NAME]" and "[anon_shmem:NAME]" */
static char *anonymous_name(struct arena *arena, const char *name)
{
	const char *colon = strncmp(name, "[anon", 5) ? NULL : strchr(name, ':');
	size_t length = colon ? strlen(colon + 1) : 0;

	return length ? arena_printf(arena, "%.*s", (int)length - 1, colon + 1) : NULL;
}

static int describe_kind(struct survey *survey, VmaEntry *entry, const struct smaps_entry *found)
{
	bool internal = found->device == survey->state->shared_device;
	int error;

	if (!found->inode) {
		entry->status = special_status(found->name);
		if (!mapping_is_kernels(entry))
			entry->flags |= MAP_ANONYMOUS;
		if (entry->status & VMA_AREA_VDSO)
			return vdso_describe(&survey->state->vdso, survey->task, entry);
		if (entry->status)
			return 0;
	} else if (internal && (!strncmp(found->name, "/dev/zero", 9) ||
				!strncmp(found->name, "[anon_shmem:", 12))) {
		return describe_shared_anonymous(survey, entry, found);
	} else if (internal && found->shared && !strncmp(found->name, "/SYSV", 5)) {
		return describe_sysv(survey, entry, found);
	}
	error = refuse_name(survey->task, entry, found->name);
	if (error)
		return error;
	if (!found->inode)
		return REFUSE(mapping_subject(survey->task, entry), NULL,
			      "stasis does not know this kind of mapping: %s", found->name);
	entry->status = VMA_AREA_REGULAR | (found->shared ? VMA_FILE_SHARED : VMA_FILE_PRIVATE);
	if (internal)
		entry->status |= VMA_AREA_MEMFD;
	return describe_file(survey, entry, found);
}

/* 0: *result is the new entry, or NULL if it is to be left out. */
static int describe_mapping(struct survey *survey, const struct smaps_entry *found,
			    VmaEntry **result)
{
	VmaEntry *entry = ARENA_MESSAGE(survey->checkpoint->arena, vma_entry, VmaEntry);
	int error, flags_error;

	*result = NULL;
	entry->start = found->start;
	entry->end = found->end;
	entry->pgoff = found->offset;
	entry->fd = -1;
	entry->prot = (found->read ? PROT_READ : 0) | (found->write ? PROT_WRITE : 0) |
		      (found->exec ? PROT_EXEC : 0);
	entry->flags = found->shared                         ? MAP_SHARED
		       : found->flags & VM_BIT(VM_DROPPABLE) ? MAP_DROPPABLE
							     : MAP_PRIVATE;
	entry->name = anonymous_name(survey->checkpoint->arena, found->name);
	error = describe_kind(survey, entry, found);
	if (error > 0)
		return 0;
	flags_error = describe_flags(survey, entry, found);
	*result = entry;
	return error ? error : flags_error;
}

static int describe_mappings(struct survey *survey)
{
	struct task *task = survey->task;
	struct task_memory *memory = task->memory;
	ARRAY(VmaEntry *) entries = {0};
	autofree char *text = NULL;
	int error = prefetch_take(survey->state->prefetch, task, &text), more, result = 0;
	struct smaps_entry found;
	char *rest = text;

	if (error)
		return FAIL(-error, task_subject(task), "run stasis as root",
			    "/proc/PID/smaps cannot be read: %s", strerror(-error));
	while ((more = smaps_next(&rest, &found)) > 0) {
		VmaEntry *entry;

		error = describe_mapping(survey, &found, &entry);
		if (error)
			result = error;
		if (entry)
			*array_push(&entries) = entry;
	}
	if (more < 0)
		result = FAIL(-more, task_subject(task),
			      "report it: this kernel is newer than stasis",
			      "/proc/PID/smaps has a form that stasis does not know");
	memory->count = entries.count;
	memory->mappings =
		arena_new_array(survey->checkpoint->arena, struct mapping, entries.count);
	for (size_t i = 0; i < entries.count; i++)
		memory->mappings[i].entry = entries.items[i];
	task->mm->n_vmas = entries.count;
	task->mm->vmas = arena_copy(survey->checkpoint->arena, entries.items,
				    entries.count * sizeof(*entries.items));
	array_free(&entries);
	return result;
}

/* ---- the rest of mm_entry ------------------------------------------------------------------ */

static void describe_positions(struct task *task)
{
	const struct proc_stat *stat = task->stat;
	MmEntry *mm = task->mm;

	mm->mm_start_code = stat->start_code;
	mm->mm_end_code = stat->end_code;
	mm->mm_start_stack = stat->start_stack;
	mm->mm_start_data = stat->start_data;
	mm->mm_end_data = stat->end_data;
	mm->mm_start_brk = stat->start_brk;
	mm->mm_arg_start = stat->arg_start;
	mm->mm_arg_end = stat->arg_end;
	mm->mm_env_start = stat->env_start;
	mm->mm_env_end = stat->env_end;
}

static int describe_auxv(struct checkpoint *checkpoint, struct task *task)
{
	autofree char *text = NULL;
	size_t size;
	int error = fd_read_file(task->proc, "auxv", &text, &size);

	if (error)
		return FAIL(-error, task_subject(task), "run stasis as root",
			    "/proc/PID/auxv cannot be read: %s", strerror(-error));
	task->mm->n_mm_saved_auxv = size / sizeof(uint64_t);
	task->mm->mm_saved_auxv = arena_copy(checkpoint->arena, text, size);
	return 0;
}

static int describe_executable(struct checkpoint *checkpoint, struct task *task)
{
	int fd = openat(task->proc, "exe", O_PATH | O_CLOEXEC);

	if (fd < 0)
		return FAIL(errno, task_subject(task), "run stasis as root",
			    "/proc/PID/exe cannot be opened: %s", strerror(errno));
	return files_describe_path(checkpoint, fd, O_RDONLY,
				   SUBJECT("%s, executable", task_subject(task).text),
				   &task->mm->exe_file_id);
}

int memory_describe(struct checkpoint *checkpoint, struct task *task)
{
	struct survey survey = {
		.checkpoint = checkpoint, .task = task, .state = memory_state(checkpoint)};
	int mappings, auxv, executable;

	if (!survey.state)
		return -EIO;
	if (!survey.state->prefetch)
		survey.state->prefetch = prefetch_start(checkpoint);
	task->mm = ARENA_MESSAGE(checkpoint->arena, mm_entry, MmEntry);
	task->memory = arena_new_object(checkpoint->arena, struct task_memory);
	task->memory->pages = -1;
	/* All of them, so that all problems are found. */
	mappings = describe_mappings(&survey);
	describe_positions(task);
	auxv = describe_auxv(checkpoint, task);
	executable = describe_executable(checkpoint, task);
	return mappings ? mappings : auxv ? auxv : executable;
}
