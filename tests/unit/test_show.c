/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../fuzz/fill.h"
#include "base/arena.h"
#include "base/fd.h"
#include "base/report.h"
#include "cli/show/contents.h"
#include "cli/show/show.h"
#include "image/constants.h"
#include "image/image.h"
#include "images/core.pb-c.h"
#include "images/inventory.pb-c.h"
#include "images/mm.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/pstree.pb-c.h"

/* A checkpoint of three processes, as small as one can be, and what is shown of it. */

enum { SHELL = 10, CHILD = 11, ZOMBIE = 12, FILE_ID = 1, PIPE_ID = 2, MAPPED = 0x400000 };

static char directory[] = "/tmp/stasis-test-XXXXXX";
static int dir;

static void put(enum image_type type, unsigned long id, const void *message)
{
	assert_int_equal(image_write_one(dir, type, id, message), 0);
}

static void put_tree(void)
{
	static const uint32_t pids[] = {SHELL, CHILD, ZOMBIE}, parents[] = {0, SHELL, SHELL};
	struct image_writer *writer = image_create(dir, IMAGE_PSTREE, 0);

	for (size_t i = 0; i < 3; i++) {
		PstreeEntry entry = PSTREE_ENTRY__INIT;

		entry.pid = pids[i];
		entry.ppid = parents[i];
		entry.pgid = entry.sid = SHELL;
		entry.n_threads = 1;
		entry.threads = (uint32_t *)&pids[i];
		image_put(writer, &entry);
	}
	assert_int_equal(image_finish(writer), 0);
}

static void put_core(struct arena *arena, pid_t pid, enum task_state state)
{
	CoreEntry *core = fill_message(arena, &core_entry__descriptor);
	siginfo_t info = {.si_signo = SIGUSR2, .si_code = SI_USER};

	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->tc->task_state = state;
	core->tc->exit_code = SIGKILL;
	core->tc->stop_signo = SIGTSTP;
	core->ids->files_id = pid;
	core->thread_core->comm = "sh\x1b[m";
	core->thread_core->blk_sigset = 1ull << (SIGINT - 1);
	core->thread_core->signals_p = NULL;
	core->tc->signals_s->n_signals = pid == SHELL;
	info.si_pid = 7;
	core->tc->signals_s->signals[0]->siginfo.data = (uint8_t *)&info;
	core->tc->signals_s->signals[0]->siginfo.len = sizeof(info);
	/* SIGHUP ignored, SIGINT handled */
	core->tc->sigactions[0]->sigaction = (uintptr_t)SIG_IGN;
	core->tc->sigactions[1]->sigaction = MAPPED + 0x10;
	core->tc->sigactions[1]->flags = SA_RESTART;
	put(IMAGE_CORE, pid, core);
	put(IMAGE_IDS, pid, core->ids);
}

static void put_memory(struct arena *arena, pid_t pid)
{
	MmEntry *mm = fill_message(arena, &mm_entry__descriptor);
	VmaEntry *vma = mm->vmas[0], *heap = mm->vmas[1];
	FsEntry fs = FS_ENTRY__INIT;

	mm->mm_arg_start = MAPPED + 2 * IMAGE_PAGE_SIZE;
	mm->mm_arg_end = mm->mm_arg_start + 8;
	mm->exe_file_id = FILE_ID;
	vma->start = MAPPED;
	vma->end = heap->start = MAPPED + 2 * IMAGE_PAGE_SIZE;
	heap->end = heap->start + 2 * IMAGE_PAGE_SIZE;
	vma->status = VMA_AREA_REGULAR | VMA_FILE_PRIVATE;
	vma->shmid = FILE_ID;
	heap->status = VMA_AREA_REGULAR | VMA_ANON_PRIVATE | VMA_AREA_HEAP;
	put(IMAGE_MM, pid, mm);
	fs.cwd_id = fs.root_id = FILE_ID;
	fs.has_umask = true;
	fs.umask = 022;
	put(IMAGE_FS, pid, &fs);
}

/* The shell has its arguments stored; its child shares them. */
static void put_pages(pid_t pid)
{
	struct image_writer *writer = image_create(dir, IMAGE_PAGEMAP, pid);
	static const char page[IMAGE_PAGE_SIZE] = "sh\0a b\nc";
	PagemapHead head = PAGEMAP_HEAD__INIT;
	PagemapEntry entry = PAGEMAP_ENTRY__INIT;
	autofd int fd = image_create_pages(dir, pid);

	head.pages_id = pid;
	image_put(writer, &head);
	entry.vaddr = MAPPED + 2 * IMAGE_PAGE_SIZE;
	entry.has_flags = entry.has_nr_pages = true;
	entry.nr_pages = 1;
	entry.flags = pid == SHELL ? PE_PRESENT : 0;
	entry.has_in_process = pid != SHELL;
	entry.in_process = SHELL;
	image_put(writer, &entry);
	assert_int_equal(image_finish(writer), 0);
	if (pid == SHELL)
		assert_int_equal(fd_write_all(fd, page, sizeof(page)), 0);
}

static void put_files(struct arena *arena)
{
	struct image_writer *files = image_create(dir, IMAGE_FILES, 0);
	FileEntry *file = fill_message(arena, &file_entry__descriptor);
	PipeDataEntry data = PIPE_DATA_ENTRY__INIT;

	file->type = FD_TYPES__REG;
	file->id = FILE_ID;
	file->reg->name = "/new\nline";
	file->reg->flags = O_RDWR | O_APPEND;
	file->reg->pos = 123;
	file->reg->mode = 0100644;
	file->reg->ext = false;
	image_put(files, file);
	file->type = FD_TYPES__PIPE;
	file->id = PIPE_ID;
	file->pipe->pipe_id = 77;
	file->pipe->flags = O_WRONLY;
	image_put(files, file);
	assert_int_equal(image_finish(files), 0);

	struct image_writer *pipes = image_create(dir, IMAGE_PIPES_DATA, 0);

	data.pipe_id = 77;
	data.bytes = 3;
	image_put(pipes, &data);
	image_put_raw(pipes, "abc", 3);
	assert_int_equal(image_finish(pipes), 0);
}

static void put_descriptors(pid_t pid)
{
	struct image_writer *writer = image_create(dir, IMAGE_FDINFO, pid);

	for (uint32_t id = FILE_ID; id <= PIPE_ID; id++) {
		FdinfoEntry entry = FDINFO_ENTRY__INIT;

		entry.id = id;
		entry.fd = id + 2;
		entry.flags = id == PIPE_ID;
		entry.type = id == FILE_ID ? FD_TYPES__REG : FD_TYPES__PIPE;
		image_put(writer, &entry);
	}
	assert_int_equal(image_finish(writer), 0);
}

static int set_up(void **state)
{
	struct arena *arena = arena_new();
	InventoryEntry inventory = INVENTORY_ENTRY__INIT;

	if (!mkdtemp(directory))
		return -1;
	dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	inventory.img_version = 3;
	inventory.has_fdinfo_per_id = inventory.fdinfo_per_id = true;
	inventory.has_ns_per_id = inventory.ns_per_id = true;
	put(IMAGE_INVENTORY, 0, &inventory);
	put_tree();
	put_files(arena);
	put_core(arena, SHELL, TASK_ALIVE);
	put_core(arena, CHILD, TASK_STOPPED);
	put_core(arena, ZOMBIE, TASK_DEAD);
	for (pid_t pid = SHELL; pid <= CHILD; pid++) {
		put_memory(arena, pid);
		put_pages(pid);
		put_descriptors(pid);
	}
	arena_free(arena);
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	close(dir);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

static char *shown(void (*show)(struct contents *contents, FILE *out))
{
	struct contents contents;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (contents_read(directory, &contents))
		fail_msg("%s: %s", report_get(0)->subject, report_get(0)->reason);
	show(&contents, out);
	contents_free(&contents);
	fclose(out);
	return text;
}

static void for_a_person(void **state)
{
	static const char expected[] =
		"processes: 3, of them stopped: 1, of them zombies: 1; threads: 3; stored memory: "
		"4 KiB\n"
		"\n"
		"  PID  STATE    THREADS  MAPPED  STORED  FDS  COMMAND\n"
		"   10  alive          1  16 KiB   4 KiB    2  sh $'a b\\nc'\n"
		"   11  stopped        1  16 KiB     0 B    2  \\_ sh $'a b\\nc' (by SIGTSTP)\n"
		"   12  zombie         1                       \\_ [sh\\x1b[m] (killed by "
		"SIGKILL)\n"
		"\n"
		"Process 10: sh $'a b\\nc'\n"
		"  parent 0, group 10, session 10; user 3, group 3\n"
		"  executable /new\\nline\n"
		"  directory /new\\nline, root /new\\nline, umask 0022\n"
		"\n"
		"  THREAD  NAME      BLOCKED SIGNALS  PENDING SIGNALS\n"
		"      10  sh\\x1b[m  SIGINT\n"
		"\n"
		"  MEMORY         MAPPINGS  MAPPED  STORED\n"
		"  heap                  1   8 KiB   4 KiB\n"
		"  file, private         1   8 KiB     0 B\n"
		"\n"
		"  FD  KIND  FLAGS                POSITION  FILE\n"
		"   3  file  O_RDWR|O_APPEND           123  /new\\nline\n"
		"   4  pipe  O_WRONLY|FD_CLOEXEC            pipe 77, 3 bytes waiting\n"
		"\n"
		"  signals pending: SIGUSR2 from pid 7\n"
		"\n"
		"  signals ignored: SIGHUP\n"
		"\n"
		"  SIGNAL  ACTION\n"
		"  SIGINT  0x400010 in /new\\nline, SA_RESTART\n"
		"\n"
		"Process 11: sh $'a b\\nc' (by SIGTSTP)\n";
	char *text = shown(show_text), *rest = strchr(text, '\n') + 1;

	assert_int_equal(strncmp(text, "Checkpoint /tmp/stasis-test-", 28), 0);
	rest[sizeof(expected) - 1] = '\0';
	assert_string_equal(rest, expected);
	free(text);
}

static void for_programs(void **state)
{
	static const char *const parts[] = {
		"\"stored\": 4096,",          "\"command\": [\"sh\", \"a b\\nc\"],",
		"\"killed_by\": \"SIGKILL\"", "\"stopped_by\": \"SIGTSTP\"",
		"\"path\": \"/new\\nline\",", "\"blocked\": [\"SIGINT\"],",
		"\"ignored\": [\"SIGHUP\"]",  "\"name\": \"sh\\u001b[m\",",
	};
	char *text = shown(show_json);

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (!strstr(text, parts[i]))
			fail_msg("%s is not in %s", parts[i], text);
	free(text);
}

static void damaged_is_not_shown(void **state)
{
	struct contents contents;

	assert_int_equal(image_remove(dir, IMAGE_MM, CHILD), 0);
	assert_true(contents_read(directory, &contents) < 0);
	contents_free(&contents);
	assert_non_null(strstr(report_get(0)->subject, "mm-11.img"));
	report_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(for_a_person),
		cmocka_unit_test(for_programs),
		cmocka_unit_test(damaged_is_not_shown),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
