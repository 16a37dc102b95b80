/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vdso.  Its code is the kernel's and the same in all its processes; return addresses and
 * function pointers of an application lead into it.  So it is not stored: a restore has the kernel
 * map its own at the old address, which is right if it is the same, byte for byte.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "memory/internal.h"
#include "task/task.h"

int vdso_find(struct vdso *vdso)
{
	autofree char *text = NULL;
	int error = fd_read_file(AT_FDCWD, "/proc/self/maps", &text, NULL);

	if (error)
		return FAIL(-error, SUBJECT("/proc/self/maps"), "mount /proc", "cannot be read: %s",
			    strerror(-error));
	*vdso = (struct vdso){0};
	for (char *line = text, *end; *line; line = *end ? end + 1 : end) {
		uint64_t from, to;
		char name[16];

		end = strchrnul(line, '\n');
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s %15s", &from, &to, name) != 3)
			continue;
		if (!strncmp(name, "[vvar", 5) && !vdso->data)
			vdso->data = from;
		if (strcmp(name, "[vdso]"))
			continue;
		vdso->start = from;
		vdso->end = to;
		if (!vdso->data)
			vdso->data = from;
	}
	return 0;
}

/* What of it is the file: the rest of the last page is free, and remote/ uses it. */
static size_t vdso_size(const struct vdso *vdso)
{
	const Elf64_Ehdr *header = (const void *)vdso->start;
	size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;

	return size < vdso->end - vdso->start ? size : vdso->end - vdso->start;
}

static uint64_t vdso_hash(const struct vdso *vdso)
{
	return hash_bytes((const void *)vdso->start, vdso_size(vdso));
}

int vdso_describe(const struct vdso *vdso, struct task *task, const VmaEntry *entry)
{
	size_t size = vdso->start ? vdso_size(vdso) : 0;
	autofree unsigned char *copy = malloc(size + 1);
	int error;

	task->space.vdso = entry->start;
	task->space.vdso_end = entry->end;
	if (!vdso->start || entry->end - entry->start != vdso->end - vdso->start)
		return REFUSE(mapping_subject(task, entry), "run 64-bit programs",
			      "its vdso is not the one stasis itself has");
	error = copy ? remote_read(&task->space, entry->start, copy, size) : -ENOMEM;
	if (error)
		return FAIL(-error, mapping_subject(task, entry), NULL, "cannot be read: %s",
			    strerror(-error));
	if (memcmp(copy, (const void *)vdso->start, size))
		return REFUSE(mapping_subject(task, entry), NULL,
			      "its vdso is not as the kernel made it");
	task->mm->has_vdso_hash = true;
	task->mm->vdso_hash = vdso_hash(vdso);
	return 0;
}

int vdso_check(const struct vdso *vdso, const struct task *task, uint64_t *data)
{
	const VmaEntry *code = NULL;
	const char *reason = NULL;

	*data = 0;
	for (size_t i = 0; i < task->memory->count; i++) {
		const VmaEntry *entry = task->memory->mappings[i].entry;

		if (entry->status & VMA_AREA_VVAR && !*data)
			*data = entry->start;
		if (entry->status & VMA_AREA_VDSO)
			code = entry;
	}
	if (!code && !*data)
		return 0;
	if (!code || !*data)
		*data = code ? code->start : *data;
	if (!code)
		reason = "it has the data of a vdso, but no vdso";
	else if (!vdso->start)
		reason = "this kernel has no vdso";
	else if (code->end - code->start != vdso->end - vdso->start ||
		 code->start - *data != vdso->start - vdso->data)
		reason = "the kernel's vdso has another size here";
	else if (!task->mm->has_vdso_hash)
		reason = "the images do not tell which vdso it used";
	else if (task->mm->vdso_hash != vdso_hash(vdso))
		reason = "the kernel's vdso is another one here";
	return reason ? REFUSE(task_subject(task), "restore it on the kernel it was dumped on",
			       "%s", reason)
		      : 0;
}
