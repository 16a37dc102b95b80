/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/names.h"
#include "cli/show/contents.h"
#include "cli/show/show.h"

/* A checkpoint for programs: the same as show_text() tells, with numbers as numbers. */

static void put_signal(struct json *json, const char *key, int signal)
{
	char name[NAMES_SIZE];

	json_string(json, key, signal_name(signal, name));
}

static void put_signals(struct json *json, const char *key, uint64_t mask)
{
	json_open_list(json, key);
	for (int signal = 1; signal <= 64; signal++)
		if (mask & 1ull << (signal - 1))
			put_signal(json, NULL, signal);
	json_close_list(json);
}

static void put_pending(struct json *json, const SignalQueueEntry *queue)
{
	json_open_array(json, "pending");
	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		struct pending pending = pending_signal(queue->signals[i]);

		json_open_object(json, NULL);
		put_signal(json, "signal", pending.signal);
		json_signed(json, "code", pending.code);
		if (pending.from_process) {
			json_signed(json, "pid", pending.pid);
			json_unsigned(json, "uid", pending.uid);
		}
		json_close_object(json);
	}
	json_close_array(json);
}

static void put_state(struct json *json, const struct task *task)
{
	const TaskCoreEntry *core = task->threads[0].core->tc;

	json_string(json, "state", name_of(&state_names, task->state));
	if (task->state == TASK_STOPPED && core->stop_signo)
		put_signal(json, "stopped_by", core->stop_signo);
	if (task->state != TASK_DEAD)
		return;
	if (WIFSIGNALED(core->exit_code))
		put_signal(json, "killed_by", WTERMSIG(core->exit_code));
	else
		json_signed(json, "exit_status", WEXITSTATUS(core->exit_code));
}

/* null: the command line is not in the checkpoint. */
static void put_command(struct json *json, struct contents *contents, const struct task *task)
{
	size_t size;
	const char *arguments = task_arguments(contents, task, &size);

	if (!arguments) {
		json_string(json, "command", NULL);
		return;
	}
	json_open_list(json, "command");
	for (size_t i = 0, length; i < size; i += length + 1) {
		length = strnlen(arguments + i, size - i);
		json_text(json, NULL, arguments + i, length);
	}
	json_close_list(json);
}

static void put_identity(struct json *json, struct contents *contents, const struct task *task)
{
	const ThreadCoreEntry *core = task->threads[0].core->thread_core;

	json_string(json, "executable", file_path(contents, task->mm->exe_file_id));
	json_string(json, "directory", file_path(contents, task->fs->cwd_id));
	json_string(json, "root", file_path(contents, task->fs->root_id));
	if (task->fs->has_umask)
		json_unsigned(json, "umask", task->fs->umask);
	if (!core || !core->creds)
		return;
	json_unsigned(json, "uid", core->creds->uid);
	json_unsigned(json, "gid", core->creds->gid);
	json_unsigned(json, "euid", core->creds->euid);
	json_unsigned(json, "egid", core->creds->egid);
}

static void put_threads(struct json *json, const struct task *task)
{
	json_open_array(json, "threads");
	for (size_t i = 0; i < task->thread_count; i++) {
		const struct thread *thread = &task->threads[i];
		const ThreadCoreEntry *core = thread->core->thread_core;

		json_open_object(json, NULL);
		json_signed(json, "tid", thread->id);
		json_string(json, "name", thread_name(thread));
		put_signals(json, "blocked", thread_blocked(thread));
		put_pending(json, core ? core->signals_p : NULL);
		json_close_object(json);
	}
	json_close_array(json);
}

static void put_use(struct json *json, const char *kind, const struct memory_use *use)
{
	json_open_object(json, NULL);
	json_string(json, "kind", kind);
	json_unsigned(json, "mappings", use->mappings);
	json_unsigned(json, "mapped", use->mapped);
	json_unsigned(json, "stored", use->stored);
	json_close_object(json);
}

static void put_memory(struct json *json, struct contents *contents, const struct task *task)
{
	struct memory_summary summary = memory_summary(contents, task);

	json_open_array(json, "memory");
	for (enum memory_kind kind = 0; kind < MEMORY_KINDS; kind++)
		if (summary.kinds[kind].mappings)
			put_use(json, memory_kind_names[kind], &summary.kinds[kind]);
	json_close_array(json);
}

static void put_descriptors(struct json *json, struct contents *contents, const struct task *task)
{
	char names[NAMES_SIZE];

	json_open_array(json, "descriptors");
	for (size_t i = 0; i < task->fdinfo_count; i++) {
		const FdinfoEntry *entry = task->fdinfo[i];
		struct open_file file =
			describe_file(contents, hash_get(&contents->files, entry->id));

		json_open_object(json, NULL);
		json_unsigned(json, "fd", entry->fd);
		json_string(json, "kind", file.kind);
		/* Descriptors with the same id share one open file. */
		json_unsigned(json, "id", entry->id);
		json_bool(json, "close_on_exec", entry->flags);
		if (file.flags)
			json_string(json, "flags", open_flags_name(*file.flags, names));
		if (file.path)
			json_string(json, "path", file.path);
		if (file.position)
			json_unsigned(json, "position", *file.position);
		if (*file.detail)
			json_string(json, "detail", file.detail);
		json_close_object(json);
	}
	json_close_array(json);
}

static void put_actions(struct json *json, struct contents *contents, const struct task *task)
{
	const TaskCoreEntry *core = task->threads[0].core->tc;
	char names[NAMES_SIZE];
	uint64_t ignored = 0;

	put_pending(json, core->signals_s);
	json_open_array(json, "handled");
	for (size_t i = 0; i < core->n_sigactions; i++) {
		const SaEntry *action = core->sigactions[i];
		int signal = action_signal(i);

		if (action->sigaction == (uintptr_t)SIG_IGN && signal <= 64)
			ignored |= 1ull << (signal - 1);
		if (action->sigaction == (uintptr_t)SIG_IGN ||
		    action->sigaction == (uintptr_t)SIG_DFL)
			continue;
		json_open_object(json, NULL);
		put_signal(json, "signal", signal);
		json_unsigned(json, "address", action->sigaction);
		json_string(json, "file", path_at(contents, task, action->sigaction));
		json_string(json, "flags", names_of(&action_names, action->flags, names));
		json_close_object(json);
	}
	json_close_array(json);
	put_signals(json, "ignored", ignored);
}

static void put_task(struct json *json, struct contents *contents, const struct task *task)
{
	json_open_object(json, NULL);
	json_signed(json, "pid", task->id);
	json_signed(json, "parent", task->parent ? task->parent->id : 0);
	json_signed(json, "group", task->pgid);
	json_signed(json, "session", task->sid);
	json_string(json, "name", thread_name(&task->threads[0]));
	put_state(json, task);
	if (task->state != TASK_DEAD) {
		put_command(json, contents, task);
		put_identity(json, contents, task);
		put_threads(json, task);
		put_memory(json, contents, task);
		put_descriptors(json, contents, task);
		json_open_object(json, "signals");
		put_actions(json, contents, task);
		json_close_object(json);
	}
	json_close_object(json);
}

void show_json(struct contents *contents, FILE *out)
{
	const struct placed *order = contents_order(contents);
	struct json json = {.file = out};

	json_open_object(&json, NULL);
	json_string(&json, "checkpoint", contents->path);
	json_unsigned(&json, "image_version", contents->inventory->img_version);
	json_unsigned(&json, "stored", contents->pages_size);
	json_open_array(&json, "processes");
	for (size_t i = 0; i < contents->checkpoint.tree.count; i++)
		put_task(&json, contents, order[i].task);
	json_close_array(&json);
	json_close_object(&json);
	json_finish(&json);
}
