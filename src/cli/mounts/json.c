/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/sysmacros.h>

#include "base/json.h"
#include "cli/mounts/view.h"
#include "mount/text.h"

static void write_filesystem(struct json *json, struct arena *arena,
			     const struct superblock *superblock)
{
	json_open_object(json, NULL);
	json_unsigned(json, "id", superblock->id);
	json_string(
		json, "device",
		arena_printf(arena, "%u:%u", major(superblock->device), minor(superblock->device)));
	json_string(json, "type", superblock->type);
	if (superblock->subtype)
		json_string(json, "subtype", superblock->subtype);
	json_string(json, "options", superblock_options_text(arena, superblock));
	json_close_object(json);
}

static void write_group(struct json *json, const struct peer_group *group)
{
	json_open_object(json, NULL);
	json_signed(json, "id", group->id);
	if (group->master)
		json_signed(json, "master", group->master->id);
	json_bool(json, "outside", group->outside || !group->members);
	json_close_object(json);
}

static void write_mount(struct json *json, const struct mounts_view *view,
			const struct mount *mount)
{
	json_open_object(json, NULL);
	json_unsigned(json, "id", mount->short_id);
	if (mount->parent)
		json_unsigned(json, "parent", mount->parent->short_id);
	json_string(json, "path", mount->path);
	json_string(json, "mountpoint", mount->mountpoint);
	json_unsigned(json, "filesystem", mount->superblock->id);
	json_string(json, "source", mount->source ? mount->source : mount->superblock->source);
	json_string(json, "root", mount->root);
	json_bool(json, "deleted", mount->root_deleted);
	json_string(json, "attributes", mount_attributes_text(view->graph->arena, mount));
	if (mount->group)
		json_signed(json, "shared", mount->group->id);
	if (mount->master)
		json_signed(json, "master", mount->master->id);
	json_bool(json, "unbindable", mount->unbindable);
	json_bool(json, "covered", mounts_is_covered(view, mount));
	if (mount->external)
		json_string(json, "external", mount->external);
	if (mount->uid_map) {
		json_string(json, "uid_map", mount->uid_map);
		json_string(json, "gid_map", mount->gid_map);
	}
	json_close_object(json);
}

void mounts_json(const struct mounts_view *view, FILE *out)
{
	struct json json = {.file = out};

	json_open_object(&json, NULL);
	json_open_array(&json, "namespaces");
	array_each (&view->graph->trees, tree) {
		json_open_object(&json, NULL);
		json_unsigned(&json, "id", (*tree)->id);
		json_open_array(&json, "mounts");
		array_each (&(*tree)->mounts, mount)
			write_mount(&json, view, *mount);
		json_close_array(&json);
		json_close_object(&json);
	}
	json_close_array(&json);
	json_open_array(&json, "filesystems");
	array_each (&view->graph->superblocks, superblock)
		write_filesystem(&json, view->graph->arena, *superblock);
	json_close_array(&json);
	json_open_array(&json, "groups");
	array_each (&view->graph->groups, group)
		write_group(&json, *group);
	json_close_array(&json);
	json_close_object(&json);
	json_finish(&json);
}
