/* SPDX-License-Identifier: GPL-2.0-or-later */
/* /proc/PID/mountinfo: proc(5), and show_mountinfo() in Linux' fs/proc_namespace.c. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "base/fd.h"
#include "base/report.h"
#include "mount/collect.h"
#include "mount/record.h"
#include "mount/text.h"

/* ---- fields ------------------------------------------------------------------------------- */

/* "\040" becomes a space, and so on, in place. */
static char *unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		const char *digits = from + 1;

		if (*from == '\\' && digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' &&
		    digits[1] <= '7' && digits[2] >= '0' && digits[2] <= '7') {
			*to = (digits[0] - '0') << 6 | (digits[1] - '0') << 3 | (digits[2] - '0');
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
	return text;
}

/* A decimal number from the beginning of text, at most `most`; what is behind it, or NULL. */
static const char *number(const char *text, uint64_t most, uint64_t *value)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	*value = strtoull(text, &end, 10);
	return errno || *value > most ? NULL : end;
}

static bool whole_number(const char *text, uint64_t most, uint64_t *value)
{
	const char *end = number(text, most, value);

	return end && !*end;
}

/* In the order of the file. */
static const struct {
	const char *name;
	unsigned int set, clear;
} attribute_names[] = {
	{"rw", 0, MOUNT_ATTR_RDONLY},
	{"ro", MOUNT_ATTR_RDONLY, 0},
	{"nosuid", MOUNT_ATTR_NOSUID, 0},
	{"nodev", MOUNT_ATTR_NODEV, 0},
	{"noexec", MOUNT_ATTR_NOEXEC, 0},
	{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
	{"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
	{"relatime", 0, MOUNT_ATTR__ATIME},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
	{"idmapped", MOUNT_ATTR_IDMAP, 0},
};

static const char *parse_attributes(char *text, struct mount *mount)
{
	unsigned int attributes = MOUNT_ATTR_STRICTATIME;
	char *name;

	while ((name = strsep(&text, ","))) {
		size_t i = 0, count = sizeof(attribute_names) / sizeof(*attribute_names);

		while (i < count && strcmp(attribute_names[i].name, name) != 0)
			i++;
		if (i == count)
			return "it has an attribute that is not known";
		attributes &= ~attribute_names[i].clear;
		attributes |= attribute_names[i].set;
	}
	if (attributes & MOUNT_ATTR_IDMAP)
		mount->uid_map = mount->gid_map = "";
	mount->attributes = attributes & ~MOUNT_ATTR_IDMAP;
	return NULL;
}

/* The superblock's flags come first, in this order; what follows is the filesystem's. */
static const struct {
	const char *name;
	unsigned int flag;
} flag_names[] = {
	{"rw", 0},
	{"ro", MS_RDONLY},
	{"sync", MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC},
	{"mand", MS_MANDLOCK},
	{"lazytime", 1 << 25},
};

static void parse_options(char *text, struct mount_record *record)
{
	for (size_t i = 0; i < sizeof(flag_names) / sizeof(*flag_names); i++) {
		size_t length = strcspn(text, ",");

		if (strlen(flag_names[i].name) != length ||
		    memcmp(flag_names[i].name, text, length) != 0)
			continue;
		record->flags |= flag_names[i].flag;
		text += length + (text[length] == ',');
	}
	record->options = text;
}

static const char *parse_tag(const char *text, struct mount_record *record)
{
	uint64_t value;
	const char *number_ = strchr(text, ':');

	if (strcmp(text, "unbindable") == 0) {
		record->mount.unbindable = true;
		return NULL;
	}
	if (!number_ || !whole_number(number_ + 1, INT_MAX, &value) || !value)
		return "its propagation is not understood";
	if (strncmp(text, "shared:", 7) == 0)
		record->group = value;
	else if (strncmp(text, "master:", 7) == 0)
		record->master = value;
	else if (strncmp(text, "propagate_from:", 15) != 0) /* follows from the others */
		return "its propagation is not understood";
	return NULL;
}

static bool parse_ids(char **rest, struct mount_record *record)
{
	const char *id = strsep(rest, " "), *parent = strsep(rest, " "),
		   *device = strsep(rest, " ");
	uint64_t number_, major, minor;

	if (!device || !whole_number(id, UINT32_MAX, &number_) ||
	    !whole_number(parent, UINT32_MAX, &record->parent))
		return false;
	device = number(device, UINT_MAX, &major);
	if (!device || *device != ':' || !whole_number(device + 1, UINT_MAX, &minor))
		return false;
	record->mount.id = record->mount.short_id = number_;
	record->device = makedev(major, minor);
	return true;
}

/* What is wrong with the line, or NULL.  Fields can be empty: each ends at the next space. */
static const char *parse_line(char *line, struct mount_record *record)
{
	char *rest = line, *root, *path, *attributes, *field, *type;
	const char *error;

	if (!parse_ids(&rest, record))
		return "its numbers are not understood";
	root = strsep(&rest, " ");
	path = strsep(&rest, " ");
	attributes = strsep(&rest, " ");
	if (!attributes)
		return "it is incomplete";
	record->mount.root = unescape(root);
	record->mount.path = unescape(path);
	error = parse_attributes(attributes, &record->mount);
	for (field = strsep(&rest, " "); !error && field && strcmp(field, "-") != 0;
	     field = strsep(&rest, " "))
		error = parse_tag(field, record);
	if (error)
		return error;
	type = strsep(&rest, " ");
	field = strsep(&rest, " ");
	if (!rest)
		return "it is incomplete";
	/* Only FUSE has subtypes, and no type has a dot in its name. */
	record->type = unescape(strsep(&type, "."));
	record->subtype = type ? unescape(type) : NULL;
	record->source = unescape(field);
	parse_options(rest, record);
	return NULL;
}

static int add_lines(struct mount_graph *graph, struct mount_tree *tree, char *text,
		     const char *what)
{
	unsigned int count = 0;
	char *line;

	while ((line = strsep(&text, "\n"))) {
		struct mount_record record = {0};
		const char *error;

		count++;
		if (!*line && !text)
			break;
		error = parse_line(line, &record);
		if (error)
			return FAIL(EBADMSG, SUBJECT("%s, line %u", what, count), NULL,
				    "is no line of a mountinfo file that is understood: %s", error);
		record_add(graph, tree, &record);
	}
	return 0;
}

int mountinfo_add(struct mount_graph *graph, struct mount_tree *tree, const char *text, size_t size,
		  const char *what)
{
	autofree char *copy = strndup(text, size);

	if (!copy)
		die_of_memory();
	if (strlen(copy) < size)
		return FAIL(EBADMSG, SUBJECT("%s", what), NULL, "is no mountinfo file");
	return add_lines(graph, tree, copy, what);
}

int mounts_parse(struct mount_graph *graph, uint32_t id, const char *text, size_t size,
		 const char *what, struct mount_tree **tree)
{
	int error;

	*tree = graph_add_tree(graph, id);
	error = mountinfo_add(graph, *tree, text, size, what);
	return error ? error : graph_finish(graph, *tree, what);
}

/* ---- the other way ------------------------------------------------------------------------ */

static const char *append(struct arena *arena, const char *list, const char *name)
{
	return arena_printf(arena, "%s%s%s", list, *list ? "," : "", name);
}

const char *mount_attributes_text(struct arena *arena, const struct mount *mount)
{
	unsigned int attributes = mount->attributes | (mount->uid_map ? MOUNT_ATTR_IDMAP : 0);
	const char *text = "";

	for (size_t i = 0; i < sizeof(attribute_names) / sizeof(*attribute_names); i++) {
		unsigned int set = attribute_names[i].set, clear = attribute_names[i].clear;

		if (set ? attributes & set : !(attributes & clear))
			text = append(arena, text, attribute_names[i].name);
	}
	return text;
}

const char *mount_sharing_text(struct arena *arena, const struct mount *mount)
{
	const char *text = "";

	if (mount->group)
		text = arena_printf(arena, "shared:%d", mount->group->id);
	if (mount->master)
		text = arena_printf(arena, "%s%smaster:%d", text, *text ? " " : "",
				    mount->master->id);
	return mount->unbindable ? arena_printf(arena, "%s%sunbindable", text, *text ? " " : "")
				 : text;
}

const char *superblock_type_text(struct arena *arena, const struct superblock *superblock)
{
	return superblock->subtype
		       ? arena_printf(arena, "%s.%s", superblock->type, superblock->subtype)
		       : superblock->type;
}

const char *superblock_options_text(struct arena *arena, const struct superblock *superblock)
{
	const char *text = superblock->flags & MS_RDONLY ? "ro" : "rw";

	for (size_t i = 2; i < sizeof(flag_names) / sizeof(*flag_names); i++)
		if (superblock->flags & flag_names[i].flag)
			text = append(arena, text, flag_names[i].name);
	return *superblock->options ? append(arena, text, superblock->options) : text;
}

const char *mount_source_text(const struct mount *mount)
{
	const char *source = mount->source ? mount->source : mount->superblock->source;

	return source ? source : "none";
}
