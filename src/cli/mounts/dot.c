/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The graph for Graphviz: stasis mounts --dot PID | dot -Tsvg */
#include <sys/sysmacros.h>

#include "cli/mounts/view.h"
#include "mount/text.h"

/* Text inside of a quoted string. */
static void put(FILE *out, struct arena *arena, const char *text)
{
	for (text = path_escaped(arena, text); *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_mount(const struct mounts_view *view, const struct mount *mount, FILE *out)
{
	struct arena *arena = view->graph->arena;

	fprintf(out, "\t\tm%u [label=\"", mount->short_id);
	put(out, arena, mount->path);
	fputs("\\n", out);
	put(out, arena, superblock_type_text(arena, mount->superblock));
	fprintf(out, " %u:%u ", major(mount->superblock->device), minor(mount->superblock->device));
	put(out, arena, mount->root);
	fputs("\\n", out);
	put(out, arena, mount_attributes_text(arena, mount));
	fprintf(out, "\"%s%s];\n", mounts_is_covered(view, mount) ? " style=dashed" : "",
		mount->external ? " peripheries=2" : "");
}

static void put_links(const struct mount *mount, FILE *out)
{
	if (mount->parent)
		fprintf(out, "\tm%u -> m%u;\n", mount->parent->short_id, mount->short_id);
	if (mount->group)
		fprintf(out, "\tg%d -> m%u [style=dotted dir=both];\n", mount->group->id,
			mount->short_id);
	else if (mount->master)
		fprintf(out, "\tg%d -> m%u [style=dotted];\n", mount->master->id, mount->short_id);
}

static void put_group(const struct peer_group *group, FILE *out)
{
	fprintf(out, "\tg%d [shape=ellipse label=\"group %d%s\"];\n", group->id, group->id,
		group->outside || !group->members ? "\\noutside" : "");
	if (group->master && group->members)
		fprintf(out, "\tg%d -> g%d [style=dotted];\n", group->master->id, group->id);
}

void mounts_dot(const struct mounts_view *view, FILE *out)
{
	fputs("digraph mounts {\n\tnode [shape=box fontsize=10];\n", out);
	array_each (&view->graph->trees, tree) {
		fprintf(out, "\tsubgraph cluster_%zu {\n\t\tlabel=\"namespace %u\";\n",
			tree - view->graph->trees.items, (*tree)->id);
		array_each (&(*tree)->mounts, mount)
			put_mount(view, *mount, out);
		fputs("\t}\n", out);
	}
	array_each (&view->graph->groups, group)
		put_group(*group, out);
	array_each (&view->graph->trees, tree)
		array_each (&(*tree)->mounts, mount)
			put_links(*mount, out);
	fputs("}\n", out);
}
