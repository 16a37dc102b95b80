/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The restore of mounts: read, planned, built, and read back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/phase.h"
#include "checkpoint/checkpoint.h"
#include "mount/archive.h"
#include "mount/build.h"
#include "mount/collect.h"
#include "mount/compare.h"
#include "mount/external.h"
#include "mount/filesystem.h"
#include "mount/place.h"
#include "mount/superblock.h"

int mounts_read(struct checkpoint *checkpoint)
{
	struct mount_state *state = &checkpoint->mounts;

	array_each (&checkpoint->namespaces.all, each) {
		struct namespace *namespace = *each;
		int error;

		if (namespace->kind != NAMESPACE_MNT)
			continue;
		if (!state->graph)
			state->graph = graph_new(checkpoint->arena);
		error = mount_image_read(checkpoint->images, checkpoint->arena, namespace->id,
					 state->graph);
		if (error)
			return error;
		state->graph->trees.items[state->graph->trees.count - 1]->namespace = namespace;
	}
	if (state->graph)
		array_each (&state->graph->superblocks, each)
			(*each)->filesystem = filesystem_find((*each)->type);
	return externals_read(checkpoint);
}

/* Now: where filesystems are made there is nothing to load from. */
static int load_for_contents(const struct mount_graph *graph)
{
	int error = 0;

	array_each (&graph->superblocks, each) {
		const struct filesystem *filesystem = (*each)->filesystem;

		if (!error && filesystem && filesystem->fill && !(*each)->providers.count)
			error = libarchive_load();
	}
	return error;
}

int mounts_plan(struct checkpoint *checkpoint)
{
	struct mount_state *state = &checkpoint->mounts;
	int error;

	if (!state->graph || report_count())
		return 0;
	superblocks_order(checkpoint);
	error = load_for_contents(state->graph);
	return error ? error : plan_make(state->graph, &state->plan);
}

int mounts_build(struct checkpoint *checkpoint)
{
	struct mount_state *state = &checkpoint->mounts;
	struct phase phase = phase_begin("mounts", NULL);
	int error = 0;

	if (state->graph) {
		state->builder = builder_new(checkpoint);
		error = build_steps(state->builder, 0, state->plan.late);
	}
	phase_end(&phase);
	return error;
}

int mounts_finish(struct checkpoint *checkpoint)
{
	struct mount_state *state = &checkpoint->mounts;

	return state->graph ? build_steps(state->builder, state->plan.late, state->plan.steps.count)
			    : 0;
}

/* ---- when all files are open ----------------------------------------------------------------- */

static int seal(struct checkpoint *checkpoint)
{
	struct mount_graph *graph = checkpoint->mounts.graph;
	int error = builder_remove(checkpoint->mounts.builder);

	array_each (&graph->superblocks, each)
		if (!error && (*each)->fd >= 0)
			error = filesystem_seal(checkpoint, *each);
	array_each (&graph->superblocks, each)
		fd_close(&(*each)->fd);
	array_each (&graph->trees, tree)
		array_each (&(*tree)->mounts, mount) {
			fd_close(&(*mount)->fd);
			places_close(*mount);
		}
	return error;
}

static int collect_again(struct mount_graph *wanted, struct mount_graph *built)
{
	int error = 0;

	array_each (&wanted->trees, each) {
		struct mount_tree *tree;

		if (!error)
			error = mounts_collect(built, (*each)->id, (*each)->namespace->fd, &tree);
	}
	return error;
}

static int report_differences(struct arena *arena, const mount_differences *differences)
{
	enum { MOST_SHOWN = 20 };
	int result = 0;

	array_each (differences, difference) {
		const struct mount *mount = difference->left ? difference->left : difference->right;

		if ((size_t)(difference - differences->items) < MOST_SHOWN)
			result = FAIL(EIO, mount_subject(arena, mount),
				      "report this: it is a fault of stasis",
				      "it differs from what was dumped: %s", difference->text);
	}
	return result;
}

/* What the kernel says of the new namespaces has to be what the images say. */
int mounts_verify(struct checkpoint *checkpoint)
{
	struct mount_graph *wanted = checkpoint->mounts.graph, *built;
	struct phase phase = phase_begin("compare mounts", NULL);
	mount_differences differences = {0};
	int error = 0;

	if (wanted) {
		built = graph_new(checkpoint->arena);
		error = seal(checkpoint);
		externals_close(checkpoint);
		if (!error)
			error = collect_again(wanted, built);
		if (!error)
			graphs_compare(wanted, built, &differences);
		if (differences.count)
			error = report_differences(checkpoint->arena, &differences);
		array_free(&differences);
		graph_free(built);
	}
	phase_end(&phase);
	return error;
}

void mounts_close(struct checkpoint *checkpoint)
{
	struct mount_state *state = &checkpoint->mounts;

	if (state->builder)
		builder_close(state->builder);
	externals_close(checkpoint);
	plan_free(&state->plan);
	if (!state->graph)
		return;
	array_each (&state->graph->superblocks, each)
		fd_close(&(*each)->fd);
	array_each (&state->graph->trees, tree)
		array_each (&(*tree)->mounts, mount) {
			fd_close(&(*mount)->fd);
			places_close(*mount);
		}
	graph_free(state->graph);
	state->graph = NULL;
}
