/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mountpoints-ID.img: the graph's trees in CRIU's messages. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "base/report.h"
#include "base/text.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "mount/filesystem.h"
#include "mount/mount.h"
#include "mount/record.h"

/* Attributes are flags of mount(2) there. */
static const struct {
	unsigned int attribute, flag;
} attribute_flags[] = {
	{MOUNT_ATTR_RDONLY, MS_RDONLY},         {MOUNT_ATTR_NOSUID, MS_NOSUID},
	{MOUNT_ATTR_NODEV, MS_NODEV},           {MOUNT_ATTR_NOEXEC, MS_NOEXEC},
	{MOUNT_ATTR_NODIRATIME, MS_NODIRATIME}, {MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW},
	{MOUNT_ATTR_NOATIME, MS_NOATIME},       {MOUNT_ATTR_STRICTATIME, MS_STRICTATIME},
};

enum {
	ATTRIBUTE_FLAGS = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME |
			  MS_NOSYMFOLLOW | MS_NOATIME | MS_STRICTATIME | MS_RELATIME,
	SHARING_FLAGS = MS_SHARED | MS_SLAVE | MS_PRIVATE | MS_UNBINDABLE,
	SUPERBLOCK_FLAGS = MS_RDONLY | MS_SYNCHRONOUS | MS_DIRSYNC | MS_MANDLOCK | 1 << 25,
	DEVICE_SHIFT = 20, /* of the major number */
};

/* ---- writing ------------------------------------------------------------------------------ */

static uint32_t flags_of(const struct mount *mount)
{
	uint32_t flags = mount->attributes & MOUNT_ATTR__ATIME ? 0 : MS_RELATIME;

	for (size_t i = 0; i < sizeof(attribute_flags) / sizeof(*attribute_flags); i++)
		if (mount->attributes & attribute_flags[i].attribute)
			flags |= attribute_flags[i].flag;
	if (mount->group)
		flags |= MS_SHARED;
	if (mount->master)
		flags |= MS_SLAVE;
	if (mount->unbindable)
		flags |= MS_UNBINDABLE;
	return flags & SHARING_FLAGS ? flags : flags | MS_PRIVATE;
}

static bool is_text(const char *bytes)
{
	size_t left = strlen(bytes), length;

	for (; left; bytes += length, left -= length) {
		length = text_character(bytes, left);
		if (!length)
			return false;
	}
	return true;
}

/* What a string field can hold of this; *raw is all of it, if that is less. */
static char *put_text(struct arena *arena, const char *bytes, protobuf_c_boolean *has_raw,
		      ProtobufCBinaryData *raw)
{
	if (is_text(bytes))
		return (char *)bytes;
	*has_raw = true;
	*raw = (ProtobufCBinaryData){strlen(bytes), (uint8_t *)bytes};
	return (char *)path_escaped(arena, bytes);
}

#define PUT_TEXT(arena, entry, field, bytes)                                                       \
	((entry)->field =                                                                          \
		 put_text((arena), (bytes), &(entry)->has_raw_##field, &(entry)->raw_##field))

static void put_superblock(struct arena *arena, MntEntry *entry, const struct mount *mount)
{
	const struct superblock *superblock = mount->superblock;
	const struct filesystem *filesystem = filesystem_find(superblock->type);
	const char *source = mount->source ? mount->source : superblock->source;

	entry->fstype = filesystem         ? filesystem->image
			: superblock->anew ? FSTYPE__AUTO
					   : FSTYPE__UNSUPPORTED;
	if (!filesystem || filesystem_of_image(entry->fstype) != filesystem)
		entry->fsname = (char *)superblock->type;
	entry->root_dev = major(superblock->device) << DEVICE_SHIFT | minor(superblock->device);
	entry->has_sb_flags = true;
	entry->sb_flags = superblock->flags;
	entry->subtype = (char *)superblock->subtype;
	PUT_TEXT(arena, entry, options, superblock->options);
	PUT_TEXT(arena, entry, source, source ? source : "none");
	entry->has_no_source = entry->no_source = !source;
	entry->device_key = (char *)superblock->device_key;
	entry->has_machine = entry->machine = superblock->machine;
	entry->has_pid_namespace = superblock->pid_namespace;
	entry->pid_namespace = superblock->pid_namespace;
	entry->has_fsid = superblock->fsid != 0;
	entry->fsid = superblock->fsid;
}

static void put_sharing(MntEntry *entry, const struct mount *mount)
{
	entry->has_shared_id = mount->group != NULL;
	entry->shared_id = mount->group ? mount->group->id : 0;
	entry->has_shared_outside = entry->shared_outside = mount->group && mount->group->outside;
	entry->has_internal_sharing = entry->internal_sharing =
		mount->external && mount->group && !mount->group->outside;
	entry->has_master_id = mount->master != NULL;
	entry->master_id = mount->master ? mount->master->id : 0;
}

static void put_mount(struct arena *arena, struct image_writer *writer, const struct mount *mount)
{
	MntEntry entry = MNT_ENTRY__INIT;

	entry.mnt_id = mount->short_id;
	entry.parent_mnt_id = mount->parent ? mount->parent->short_id : 0;
	entry.flags = flags_of(mount);
	PUT_TEXT(arena, &entry, root, mount->root);
	PUT_TEXT(arena, &entry, mountpoint, mount->path);
	entry.has_deleted = entry.deleted = mount->root_deleted;
	entry.has_shown_id = entry.has_shown_cflag = mount->shown_id;
	entry.shown_id = mount->shown_id;
	entry.shown_cflag = mount->shown_flag;
	entry.has_ghost_id = mount->ghost_id;
	entry.ghost_id = mount->ghost_id;
	entry.has_ext_mount = entry.ext_mount = mount->external != NULL;
	entry.ext_key = (char *)mount->external;
	entry.uid_map = (char *)mount->uid_map;
	entry.gid_map = (char *)mount->gid_map;
	put_sharing(&entry, mount);
	put_superblock(arena, &entry, mount);
	image_put(writer, &entry);
}

int mount_images_write(struct checkpoint *checkpoint, const struct mount_graph *graph)
{
	int error = 0;

	array_each (&graph->superblocks, item) {
		struct superblock *superblock = *item;
		struct statfs statfs;

		if (superblock->fd >= 0 && fstatfs(superblock->fd, &statfs) == 0)
			memcpy(&superblock->fsid, &statfs.f_fsid, sizeof(superblock->fsid));
	}
	array_each (&graph->trees, tree) {
		struct image_writer *writer =
			image_create(checkpoint->images, IMAGE_MNTS, (*tree)->id);

		array_each (&(*tree)->mounts, mount)
			put_mount(checkpoint->arena, writer, *mount);
		if (!error)
			error = image_finish(writer);
		else
			image_discard(writer);
	}
	return error;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* From "/" down, without empty names, "." or "..". */
static bool is_clean_path(const char *path)
{
	if (strcmp(path, "/") == 0)
		return true;
	while (*path == '/') {
		size_t length = strcspn(++path, "/");

		if (!length || (length <= 2 && strncmp(path, "..", length) == 0))
			return false;
		path += length;
	}
	return !*path;
}

/* Names of types become names of modules and files. */
static bool is_type(const char *text)
{
	return *text && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "0123456789_-.+") == strlen(text);
}

/* Lines of three numbers; NULL is one, too. */
static bool is_id_map(const char *map)
{
	if (map && !*map)
		return false;
	while (map && *map) {
		for (int i = 0; i < 3; i++) {
			char *end;

			map += strspn(map, " ");
			errno = 0;
			if (!isdigit((unsigned char)*map) || strtoul(map, &end, 10) > UINT32_MAX ||
			    errno)
				return false;
			map = end;
		}
		if (*map++ != '\n')
			return false;
	}
	return true;
}

static const char *get_text(struct arena *arena, const char *text, protobuf_c_boolean has_raw,
			    const ProtobufCBinaryData *raw)
{
	char *bytes;

	if (!has_raw)
		return text;
	if (memchr(raw->data, 0, raw->len))
		return NULL;
	bytes = arena_alloc(arena, raw->len + 1);
	return memcpy(bytes, raw->data, raw->len);
}

#define GET_TEXT(arena, entry, field)                                                              \
	get_text((arena), (entry)->field, (entry)->has_raw_##field, &(entry)->raw_##field)

/* What is wrong with the entry, or NULL. */
static const char *get_mount(struct arena *arena, const MntEntry *entry,
			     struct mount_record *record)
{
	struct mount *mount = &record->mount;

	*mount = (struct mount){
		.id = entry->mnt_id,
		.short_id = entry->mnt_id,
		.root = GET_TEXT(arena, entry, root),
		.root_deleted = entry->deleted,
		.shown_id = entry->shown_id,
		.shown_flag = entry->shown_cflag,
		.ghost_id = entry->ghost_id,
		.path = GET_TEXT(arena, entry, mountpoint),
		.uid_map = entry->uid_map,
		.gid_map = entry->gid_map,
		.unbindable = entry->flags & MS_UNBINDABLE,
		.external = entry->ext_key,
	};
	if (entry->with_plugin)
		return "only a plugin of CRIU's can make it";
	if (entry->ext_mount && !entry->ext_key)
		return "it is external, and has no key";
	if (!mount->path || !is_clean_path(mount->path))
		return "its path is none";
	/* A namespace's file has a root such as "net:[4026531840]". */
	if (!mount->root ||
	    (strchr(mount->root, '/') ? !is_clean_path(mount->root) : !*mount->root))
		return "its root is no path";
	if (!is_id_map(mount->uid_map) || !is_id_map(mount->gid_map) ||
	    !mount->uid_map != !mount->gid_map)
		return "its id maps are not understood";
	if (entry->flags & ~(ATTRIBUTE_FLAGS | SHARING_FLAGS))
		return "it has flags that are not known";
	for (size_t i = 0; i < sizeof(attribute_flags) / sizeof(*attribute_flags); i++)
		if (entry->flags & attribute_flags[i].flag)
			mount->attributes |= attribute_flags[i].attribute;
	if (!(entry->flags & (MS_NOATIME | MS_RELATIME)))
		mount->attributes |= MOUNT_ATTR_STRICTATIME;
	if (mount->attributes & MOUNT_ATTR_NOATIME && mount->attributes & MOUNT_ATTR_STRICTATIME)
		return "its flags contradict each other";
	return NULL;
}

static const char *get_superblock(struct arena *arena, const MntEntry *entry,
				  struct mount_record *record)
{
	const struct filesystem *filesystem = filesystem_of_image(entry->fstype);

	record->device = makedev(entry->root_dev >> DEVICE_SHIFT,
				 entry->root_dev & ((1 << DEVICE_SHIFT) - 1));
	record->type = entry->fsname ? entry->fsname : filesystem ? filesystem->type : "";
	record->subtype = entry->subtype;
	record->options = (char *)GET_TEXT(arena, entry, options);
	record->source = GET_TEXT(arena, entry, source);
	record->flags = entry->sb_flags;
	if (!is_type(record->type) || (record->subtype && !is_type(record->subtype)))
		return "its type of filesystem is not known";
	if (!record->options || !record->source)
		return "its options or its source are no text";
	if (record->flags & ~SUPERBLOCK_FLAGS)
		return "its filesystem has flags that are not known";
	if (entry->no_source)
		record->source = NULL;
	return NULL;
}

static const char *get_sharing(const MntEntry *entry, struct mount_record *record)
{
	if (entry->shared_id > INT_MAX || entry->master_id > INT_MAX)
		return "its groups are no numbers of groups";
	record->group = entry->shared_id;
	record->master = entry->master_id;
	return NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Do the mounts of a superblock agree on what it is? */
static const char *check_superblock(struct mount_graph *graph, const struct mount_record *record,
				    const MntEntry *entry)
{
	struct superblock *superblock = graph_superblock(graph, record->device, record->type);

	if (!superblock->mounts) {
		superblock->fsid = entry->fsid;
		superblock->machine = entry->machine;
		superblock->device_key = entry->device_key;
		superblock->pid_namespace = entry->pid_namespace;
		superblock->anew = entry->fstype == FSTYPE__AUTO;
		return NULL;
	}
	if (superblock->flags != record->flags ||
	    !same_text(superblock->options, record->options) ||
	    !same_text(superblock->subtype, record->subtype))
		return "another mount has other options of the same filesystem";
	return NULL;
}

static const char *add_entry(struct mount_graph *graph, struct mount_tree *tree,
			     struct arena *arena, const MntEntry *entry)
{
	struct mount_record record = {.parent = entry->parent_mnt_id};
	const char *wrong = get_mount(arena, entry, &record);

	if (!wrong)
		wrong = get_superblock(arena, entry, &record);
	if (!wrong)
		wrong = get_sharing(entry, &record);
	if (!wrong)
		wrong = check_superblock(graph, &record, entry);
	if (wrong)
		return wrong;
	record_add(graph, tree, &record);
	if (record.group && entry->shared_outside)
		graph_group(graph, record.group)->outside = true;
	return NULL;
}

int mount_image_read(int directory, struct arena *arena, uint32_t id, struct mount_graph *graph)
{
	struct mount_tree *tree = graph_add_tree(graph, id);
	struct image_reader *reader;
	MntEntry *entry;
	char name[64];
	int result = image_open(directory, IMAGE_MNTS, id, arena, &reader);

	image_name(IMAGE_MNTS, id, name);
	if (result == -ENOENT)
		return FAIL(ENOENT, SUBJECT("%s", name), "the checkpoint is not complete",
			    "there is no such image");
	if (result < 0)
		return result;
	while ((result = image_get(reader, &entry)) > 0) {
		const char *wrong = add_entry(graph, tree, arena, entry);

		if (!wrong)
			continue;
		result = FAIL(EBADMSG,
			      SUBJECT("%s, mount %u (%s)", name, entry->mnt_id, entry->mountpoint),
			      NULL, "%s", wrong);
		break;
	}
	image_close(reader);
	return result < 0 ? result : graph_finish(graph, tree, name);
}
