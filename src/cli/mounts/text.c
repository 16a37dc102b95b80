/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <sys/sysmacros.h>

#include "cli/mounts/view.h"
#include "mount/text.h"

enum {
	MOST_DRAWN = 32, /* levels of the tree; deeper ones are not moved to the right any more */
	COLUMNS = 6,
};

static const char *const titles[COLUMNS] = {"PATH",   "DEVICE", "TYPE",
					    "SOURCE", "ROOT",   "ATTRIBUTES"};
/* A longer entry moves the rest of its line. */
static const size_t most[COLUMNS] = {60, 10, 16, 24, 32, 48};

struct row {
	const struct mount *mount;
	unsigned int depth;
	uint32_t lines; /* levels at which more siblings follow */
	const char *cells[COLUMNS], *notes;
};
typedef ARRAY(struct row) rows;

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static const char *branch(struct arena *arena, const struct row *row)
{
	const char *text = "";
	unsigned int depth = row->depth < MOST_DRAWN ? row->depth : MOST_DRAWN;

	for (unsigned int i = 1; i < depth; i++)
		text = arena_printf(arena, "%s%s", text, row->lines & 1U << (i - 1) ? "│ " : "  ");
	if (!depth)
		return text;
	return arena_printf(arena, "%s%s", text, row->lines & 1U << (depth - 1) ? "├─" : "└─");
}

static const char *note(struct arena *arena, const char *notes, const char *more)
{
	return *more ? arena_printf(arena, "%s%s%s", notes, *notes ? " " : "", more) : notes;
}

/* "0 1000 1\n5 5 7\n" as "0:1000:1,5:5:7" */
static const char *map_text(struct arena *arena, const char *map)
{
	char *text = arena_strdup(arena, map), *c;

	for (c = text; *c; c++)
		*c = *c == ' ' ? ':' : *c == '\n' ? ',' : *c;
	if (c > text)
		c[-1] = 0;
	return *text ? text : "?";
}

static const char *notes_of(const struct mounts_view *view, const struct mount *mount)
{
	struct arena *arena = view->graph->arena;
	const char *notes = mount_sharing_text(arena, mount);

	if (mount->group && mount->group->outside)
		notes = note(arena, notes, "(peers outside)");
	else if (mount->master && !mount->master->members)
		notes = note(arena, notes, "(master outside)");
	if (mount->root_deleted)
		notes = note(arena, notes, "deleted");
	if (mounts_is_covered(view, mount))
		notes = note(arena, notes, "covered");
	if (mount->external)
		notes = note(
			arena, notes,
			arena_printf(arena, "external:%s", path_escaped(arena, mount->external)));
	if (mount->uid_map)
		notes = note(arena, notes,
			     arena_printf(arena, "uids:%s gids:%s", map_text(arena, mount->uid_map),
					  map_text(arena, mount->gid_map)));
	return notes;
}

static void fill(const struct mounts_view *view, struct row *row)
{
	struct arena *arena = view->graph->arena;
	const struct mount *mount = row->mount;
	const struct superblock *superblock = mount->superblock;

	row->cells[0] =
		arena_printf(arena, "%s%s", branch(arena, row), path_escaped(arena, mount->path));
	row->cells[1] =
		arena_printf(arena, "%u:%u", major(superblock->device), minor(superblock->device));
	row->cells[2] = path_escaped(arena, superblock_type_text(arena, superblock));
	row->cells[3] = path_escaped(arena, mount_source_text(mount));
	row->cells[4] = path_escaped(arena, mount->root);
	row->cells[5] = mount_attributes_text(arena, mount);
	row->notes = notes_of(view, mount);
}

/* Children behind their parents, in their order. */
static void list(const struct mounts_view *view, const struct mount_tree *tree, rows *list)
{
	rows stack = {0};

	array_push(&stack)->mount = tree->root;
	while (stack.count) {
		struct row row = stack.items[--stack.count];
		const struct mount *mount = row.mount;

		for (size_t i = mount->child_count; i-- > 0;) {
			struct row *child = array_push(&stack);

			*child = (struct row){mount->children[i], row.depth + 1, row.lines};
			if (row.depth < MOST_DRAWN && i + 1 < mount->child_count)
				child->lines |= 1U << row.depth;
		}
		fill(view, &row);
		*array_push(list) = row;
	}
	array_free(&stack);
}

static void print_cells(FILE *out, const char *const *cells, const size_t *widths,
			const char *notes)
{
	for (size_t i = 0; i < COLUMNS; i++) {
		bool last = i == COLUMNS - 1 && !*notes;
		size_t width = width_of(cells[i]);

		fprintf(out, "%s%*s", *cells[i] ? cells[i] : "-",
			last                ? 0
			: width < widths[i] ? (int)(widths[i] - width) + 2
					    : 2,
			"");
	}
	fprintf(out, "%s\n", notes);
}

static void print_tree(const struct mounts_view *view, const struct mount_tree *tree, FILE *out)
{
	size_t widths[COLUMNS];
	rows lines = {0};

	list(view, tree, &lines);
	for (size_t i = 0; i < COLUMNS; i++) {
		widths[i] = strlen(titles[i]);
		array_each (&lines, line) {
			size_t width = width_of(line->cells[i]);

			if (width > widths[i] && width <= most[i])
				widths[i] = width;
		}
	}
	print_cells(out, titles, widths, "SHARING");
	array_each (&lines, line)
		print_cells(out, line->cells, widths, line->notes);
	array_free(&lines);
}

void mounts_text(const struct mounts_view *view, FILE *out)
{
	bool several = view->graph->trees.count > 1;

	array_each (&view->graph->trees, tree) {
		if (several)
			fprintf(out, "%sNamespace %u, %zu mounts\n",
				tree > view->graph->trees.items ? "\n" : "", (*tree)->id,
				(*tree)->mounts.count);
		print_tree(view, *tree, out);
	}
}
