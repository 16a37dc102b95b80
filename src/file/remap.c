/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that are open but whose name leads nowhere: remap-fpath.img. */
#include <errno.h>
#include <sys/stat.h>

#include "file/remap.h"

struct remap_state {
	ARRAY(struct remap *) all;
};

static struct remap_state *remap_state(struct checkpoint *checkpoint)
{
	struct file_state *files = checkpoint->files.state;

	if (!files->remaps)
		files->remaps = arena_new_object(checkpoint->arena, struct remap_state);
	return files->remaps;
}

static struct remap *remap_add(struct checkpoint *checkpoint, struct description *file)
{
	struct remap *remap = arena_new_object(checkpoint->arena, struct remap);

	remap->file = file;
	*(struct remap **)array_push(&remap_state(checkpoint)->all) = remap;
	return remap;
}

/* ---- dump ----------------------------------------------------------------------------------- */

int remap_describe(struct checkpoint *checkpoint, struct description *description)
{
	struct remap remap = {0};

	/* Some filesystems count a link of a directory that was removed. */
	if (!description->stat.st_nlink || S_ISDIR(description->stat.st_mode))
		remap.ghost = ghost_describe(checkpoint, description);
	else
		remap.link = link_describe(checkpoint, description);
	if (!remap.ghost && !remap.link)
		return -EOPNOTSUPP;

	struct remap *added = remap_add(checkpoint, description);

	added->ghost = remap.ghost;
	added->link = remap.link;
	return 0;
}

int remap_store(struct checkpoint *checkpoint)
{
	int error = ghosts_store(checkpoint);

	return error ? error : links_store(checkpoint);
}

int remap_write(struct checkpoint *checkpoint)
{
	struct remap_state *state = remap_state(checkpoint);
	struct image_writer *writer;

	if (!state->all.count)
		return image_remove(checkpoint->images, IMAGE_REMAP_FPATH, 0);
	writer = image_create(checkpoint->images, IMAGE_REMAP_FPATH, 0);
	array_each (&state->all, each) {
		struct remap *remap = *each;
		RemapFilePathEntry entry = REMAP_FILE_PATH_ENTRY__INIT;

		entry.orig_id = remap->file->id;
		entry.has_remap_type = true;
		entry.remap_type = remap->ghost ? REMAP_TYPE__GHOST : REMAP_TYPE__LINKED;
		if (remap->ghost)
			entry.remap_id = ghost_id(remap->ghost);
		else
			link_write(remap->link, &entry);
		image_put(writer, &entry);
	}
	return image_finish(writer);
}

/* ---- restore -------------------------------------------------------------------------------- */

static int read_entry(struct checkpoint *checkpoint, const RemapFilePathEntry *entry)
{
	struct description *file = hash_get(&checkpoint->files.by_id, entry->orig_id);
	RemapType type = entry->has_remap_type ? entry->remap_type : REMAP_TYPE__GHOST;
	struct remap *remap;

	if (!file || file->kind != &regular_kind || !file->entry->reg || file->state)
		return FAIL(EBADMSG, SUBJECT("remap-fpath.img"),
			    "the checkpoint is damaged: take another copy of it",
			    "an entry is of no file, or comes twice (%#x)", entry->orig_id);
	if (type != REMAP_TYPE__GHOST && type != REMAP_TYPE__LINKED)
		return REFUSE(description_subject(file), NULL,
			      "files of a process in /proc are a later capability");
	remap = remap_add(checkpoint, file);
	if (type == REMAP_TYPE__GHOST)
		remap->ghost = ghost_read(checkpoint, entry->remap_id, file);
	else
		remap->link = link_read(checkpoint, entry);
	file->state = remap;
	return remap->ghost || remap->link ? 0 : -EBADMSG;
}

int remap_read(struct checkpoint *checkpoint)
{
	struct image_reader *reader = NULL;
	RemapFilePathEntry *entry;
	int result = 0;
	int got = image_open(checkpoint->images, IMAGE_REMAP_FPATH, 0, checkpoint->arena, &reader);

	if (got == -ENOENT)
		return 0;
	while (!got && (got = image_get(reader, &entry)) == 1) {
		got = read_entry(checkpoint, entry);
		result = result ? result : got;
		got = 0;
	}
	image_close(reader);
	return result ? result : got;
}

static struct ghost *ghost_of(const struct description *description)
{
	struct remap *remap = description->state;

	return remap ? remap->ghost : NULL;
}

bool remap_made(const struct description *description)
{
	return ghost_of(description);
}

struct description *remap_next(struct description *description)
{
	return ghost_of(description) ? description->next : description;
}

const char *remap_name(struct checkpoint *checkpoint, struct description *description,
		       unsigned int *flags)
{
	struct remap *remap = description->state;

	if (!remap)
		return path_reach(checkpoint, description, description->entry->reg->name, false);
	return remap->ghost ? ghost_name(checkpoint, remap->ghost, description, flags)
			    : link_name(checkpoint, remap, flags);
}

int remap_take(struct description *description)
{
	struct ghost *ghost = ghost_of(description);

	return ghost ? ghost_take(ghost, description) : -1;
}

int remap_unname(struct checkpoint *checkpoint, struct description *description)
{
	struct remap *remap = description->state;

	if (!remap)
		return 0;
	return remap->ghost ? ghost_unname(checkpoint, remap->ghost)
			    : link_unname(checkpoint, remap);
}

void remap_close(struct checkpoint *checkpoint, bool failed)
{
	struct remap_state *state = checkpoint->files.state->remaps;

	if (state)
		array_free(&state->all);
	ghosts_close(checkpoint, failed);
	links_close(checkpoint, failed);
}
