/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/array.h"
#include "base/names.h"
#include "base/text.h"
#include "cli/show/contents.h"
#include "cli/show/show.h"

/* A checkpoint for a person: a table of all processes, then what each of them is. */

/* Tables: cells in rows, each column as wide as its widest cell. */

struct table {
	const char *const *titles; /* one that starts with '>' is of a column that ends together */
	size_t columns;
	ARRAY(const char *) cells;
};

#define TABLE(...)                                                                                 \
	{                                                                                          \
		.titles = (const char *const[]){__VA_ARGS__},                                      \
		.columns = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)             \
	}

static void add_cell(struct table *table, const char *cell)
{
	*(const char **)array_push(&table->cells) = cell;
}

static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80; /* the first byte of each character */
	return width;
}

/* Prints and empties it; nothing but a title row is not printed. */
static void print_table(struct table *table, unsigned int indent, FILE *out)
{
	size_t rows = table->cells.count / table->columns;
	size_t widths[table->columns];

	for (size_t column = 0; column < table->columns; column++) {
		widths[column] = width_of(table->titles[column] + (*table->titles[column] == '>'));
		for (size_t row = 0; row < rows; row++) {
			size_t width = width_of(table->cells.items[row * table->columns + column]);

			if (width > widths[column])
				widths[column] = width;
		}
	}
	for (size_t row = 0; rows && row <= rows; row++) {
		size_t blanks = indent;

		for (size_t column = 0; column < table->columns; column++) {
			const char *title = table->titles[column];
			bool right = *title == '>';
			const char *cell =
				row ? table->cells.items[(row - 1) * table->columns + column]
				    : title + right;
			size_t rest = widths[column] - width_of(cell);

			/* Blanks are printed only before something: no line ends with them. */
			blanks += right ? rest : 0;
			if (*cell) {
				fprintf(out, "%*s%s", (int)blanks, "", cell);
				blanks = 0;
			}
			blanks += 2 + (right ? 0 : rest);
		}
		putc('\n', out);
	}
	array_free(&table->cells);
}

/* Words for what there is. */

static const char *escaped(struct contents *contents, const char *text)
{
	return text ? text_escape(contents->arena, text, strlen(text)) : "?";
}

static const char *size_cell(struct contents *contents, uint64_t bytes)
{
	char text[TEXT_SIZE];

	return arena_strdup(contents->arena, text_size(bytes, text));
}

static const char *number_cell(struct contents *contents, uint64_t number)
{
	return arena_printf(contents->arena, "%llu", (unsigned long long)number);
}

static const char *command(struct contents *contents, const struct task *task)
{
	size_t size;
	const char *arguments = task_arguments(contents, task, &size);

	if (arguments && *arguments)
		return text_command(contents->arena, arguments, size);
	return arena_printf(contents->arena, "[%s]",
			    escaped(contents, thread_name(&task->threads[0])));
}

/* "" for a process that just runs. */
static const char *state_detail(struct contents *contents, const struct task *task)
{
	const TaskCoreEntry *core = task->threads[0].core->tc;
	char name[NAMES_SIZE];

	if (task->state == TASK_STOPPED && core->stop_signo)
		return arena_printf(contents->arena, " (by %s)",
				    signal_name(core->stop_signo, name));
	if (task->state != TASK_DEAD)
		return "";
	if (WIFSIGNALED(core->exit_code))
		return arena_printf(contents->arena, " (killed by %s)",
				    signal_name(WTERMSIG(core->exit_code), name));
	return arena_printf(contents->arena, " (exited with %d)", WEXITSTATUS(core->exit_code));
}

static const char *pending_list(struct contents *contents, const SignalQueueEntry *queue)
{
	char *text = NULL, name[NAMES_SIZE];
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		die_of_memory();
	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		struct pending pending = pending_signal(queue->signals[i]);

		fprintf(out, "%s%s", i ? ", " : "", signal_name(pending.signal, name));
		if (pending.from_process)
			fprintf(out, " from pid %d", pending.pid);
	}
	fclose(out);
	const char *list = arena_strdup(contents->arena, text);

	free(text);
	return list;
}

/* The parts. */

static void show_head(struct contents *contents, FILE *out)
{
	size_t zombies = 0, stopped = 0, threads = 0;
	char size[TEXT_SIZE];

	tree_each_task (&contents->checkpoint.tree, task) {
		zombies += task->state == TASK_DEAD;
		stopped += task->state == TASK_STOPPED;
		threads += task->thread_count;
	}
	fprintf(out, "Checkpoint %s\n", escaped(contents, contents->path));
	fprintf(out, "processes: %zu", contents->checkpoint.tree.count);
	if (stopped)
		fprintf(out, ", of them stopped: %zu", stopped);
	if (zombies)
		fprintf(out, ", of them zombies: %zu", zombies);
	fprintf(out, "; threads: %zu; stored memory: %s\n", threads,
		text_size(contents->pages_size, size));
}

static void show_tree(struct contents *contents, const struct placed *order, FILE *out)
{
	enum { DEEPEST = 20 }; /* deeper ones are not moved further to the right */
	struct table table =
		TABLE(">PID", "STATE", ">THREADS", ">MAPPED", ">STORED", ">FDS", "COMMAND");

	for (size_t i = 0; i < contents->checkpoint.tree.count; i++) {
		const struct task *task = order[i].task;
		unsigned int depth = order[i].depth < DEEPEST ? order[i].depth : DEEPEST;
		bool alive = task->state != TASK_DEAD;
		struct memory_summary memory = memory_summary(contents, task);

		add_cell(&table, number_cell(contents, task->id));
		add_cell(&table, name_of(&state_names, task->state));
		add_cell(&table, number_cell(contents, task->thread_count));
		add_cell(&table, alive ? size_cell(contents, memory.all.mapped) : "");
		add_cell(&table, alive ? size_cell(contents, memory.all.stored) : "");
		add_cell(&table, alive ? number_cell(contents, task->fdinfo_count) : "");
		add_cell(&table,
			 arena_printf(contents->arena, "%*s%s%s%s", depth ? depth * 3 - 3 : 0, "",
				      depth ? "\\_ " : "", command(contents, task),
				      state_detail(contents, task)));
	}
	putc('\n', out);
	print_table(&table, 2, out);
}

static void show_identity(struct contents *contents, const struct task *task, FILE *out)
{
	const ThreadCoreEntry *core = task->threads[0].core->thread_core;
	const char *root = file_path(contents, task->fs->root_id);

	fprintf(out, "  parent %d, group %d, session %d", task->parent ? task->parent->id : 0,
		task->pgid, task->sid);
	if (core && core->creds) {
		fprintf(out, "; user %u", core->creds->uid);
		if (core->creds->euid != core->creds->uid)
			fprintf(out, " as %u", core->creds->euid);
		fprintf(out, ", group %u", core->creds->gid);
		if (core->creds->egid != core->creds->gid)
			fprintf(out, " as %u", core->creds->egid);
	}
	fprintf(out, "\n  executable %s\n",
		escaped(contents, file_path(contents, task->mm->exe_file_id)));
	fprintf(out, "  directory %s", escaped(contents, file_path(contents, task->fs->cwd_id)));
	if (!root || strcmp(root, "/"))
		fprintf(out, ", root %s", escaped(contents, root));
	if (task->fs->has_umask)
		fprintf(out, ", umask %04o", task->fs->umask);
	putc('\n', out);
}

static void show_threads(struct contents *contents, const struct task *task, FILE *out)
{
	struct table table = TABLE(">THREAD", "NAME", "BLOCKED SIGNALS", "PENDING SIGNALS");
	char names[NAMES_SIZE];

	for (size_t i = 0; i < task->thread_count; i++) {
		const struct thread *thread = &task->threads[i];
		const ThreadCoreEntry *core = thread->core->thread_core;

		add_cell(&table, number_cell(contents, thread->id));
		add_cell(&table, escaped(contents, thread_name(thread)));
		add_cell(&table, arena_strdup(contents->arena,
					      signal_set_name(thread_blocked(thread), names)));
		add_cell(&table, pending_list(contents, core ? core->signals_p : NULL));
	}
	putc('\n', out);
	print_table(&table, 2, out);
}

static void show_memory(struct contents *contents, const struct task *task, FILE *out)
{
	struct memory_summary summary = memory_summary(contents, task);
	struct table table = TABLE("MEMORY", ">MAPPINGS", ">MAPPED", ">STORED");

	for (enum memory_kind kind = 0; kind < MEMORY_KINDS; kind++) {
		const struct memory_use *use = &summary.kinds[kind];

		if (!use->mappings)
			continue;
		add_cell(&table, memory_kind_names[kind]);
		add_cell(&table, number_cell(contents, use->mappings));
		add_cell(&table, size_cell(contents, use->mapped));
		add_cell(&table, size_cell(contents, use->stored));
	}
	putc('\n', out);
	print_table(&table, 2, out);
}

static void show_descriptors(struct contents *contents, const struct task *task, FILE *out)
{
	enum { LARGEFILE = 0100000 }; /* the kernel's; the C library has 0 */
	struct table table = TABLE(">FD", "KIND", "FLAGS", ">POSITION", "FILE");
	char names[NAMES_SIZE];

	for (size_t i = 0; i < task->fdinfo_count; i++) {
		const FdinfoEntry *entry = task->fdinfo[i];
		struct open_file file =
			describe_file(contents, hash_get(&contents->files, entry->id));
		const char *path = file.path ? escaped(contents, file.path) : "";
		bool both = *path && *file.detail;

		if (both)
			path = arena_printf(contents->arena, "%s (%s)", path, file.detail);
		/* Every file has O_LARGEFILE.  FD_CLOEXEC is the descriptor's own, not the file's.
		 */
		const char *flags =
			file.flags ? open_flags_name(*file.flags & ~LARGEFILE, names) : "";

		if (entry->flags)
			flags = arena_printf(contents->arena, "%s%sFD_CLOEXEC", flags,
					     *flags ? "|" : "");
		add_cell(&table, number_cell(contents, entry->fd));
		add_cell(&table, file.kind);
		add_cell(&table, arena_strdup(contents->arena, flags));
		add_cell(&table, file.position ? number_cell(contents, *file.position) : "");
		add_cell(&table, *path ? path : file.detail);
	}
	if (task->fdinfo_count)
		putc('\n', out);
	print_table(&table, 2, out);
}

static void show_signals(struct contents *contents, const struct task *task, FILE *out)
{
	const TaskCoreEntry *core = task->threads[0].core->tc;
	struct table table = TABLE("SIGNAL", "ACTION");
	char names[NAMES_SIZE];
	uint64_t ignored = 0;

	for (size_t i = 0; i < core->n_sigactions; i++) {
		const SaEntry *action = core->sigactions[i];
		int signal = action_signal(i);

		if (action->sigaction == (uintptr_t)SIG_IGN && signal <= 64)
			ignored |= 1ull << (signal - 1);
		if (action->sigaction == (uintptr_t)SIG_IGN ||
		    action->sigaction == (uintptr_t)SIG_DFL)
			continue;

		const char *path = path_at(contents, task, action->sigaction);

		add_cell(&table, arena_strdup(contents->arena, signal_name(signal, names)));
		add_cell(&table,
			 arena_printf(contents->arena, "%#llx%s%s, %s",
				      (unsigned long long)action->sigaction, path ? " in " : "",
				      path ? escaped(contents, path) : "",
				      names_of(&action_names, action->flags, names)));
	}
	if (core->signals_s && core->signals_s->n_signals)
		fprintf(out, "\n  signals pending: %s\n", pending_list(contents, core->signals_s));
	if (ignored)
		fprintf(out, "\n  signals ignored: %s\n", signal_set_name(ignored, names));
	if (table.cells.count)
		putc('\n', out);
	print_table(&table, 2, out);
}

void show_text(struct contents *contents, FILE *out)
{
	const struct placed *order = contents_order(contents);

	show_head(contents, out);
	show_tree(contents, order, out);
	for (size_t i = 0; i < contents->checkpoint.tree.count; i++) {
		const struct task *task = order[i].task;

		if (task->state == TASK_DEAD)
			continue;
		fprintf(out, "\nProcess %d: %s%s\n", task->id, command(contents, task),
			state_detail(contents, task));
		show_identity(contents, task, out);
		show_threads(contents, task, out);
		show_memory(contents, task, out);
		show_descriptors(contents, task, out);
		show_signals(contents, task, out);
	}
}
