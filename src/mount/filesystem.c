/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Types of filesystems, and how they are made anew.  Options are what mountinfo shows of them, and
 * are given back by fsconfig(2); the names are those of Linux 6.18's show_options() functions.
 */
#include "mount/filesystem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"

enum { LONGEST_SETTING = 255 /* of a value of fsconfig(2), without its NUL */ };

/* ---- the table ------------------------------------------------------------------------------ */

/* Labels of security modules are kept with the files; the option says that there are any. */
static const struct filesystem_option common_options[] = {{"seclabel", OPTION_SHOWN}, {NULL}};

static const struct filesystem_option no_options[] = {{NULL}};

static const struct filesystem_option tmpfs_options[] = {
	{"size", OPTION_VALUE},
	{"nr_inodes", OPTION_VALUE},
	{"mode", OPTION_VALUE},
	{"uid", OPTION_VALUE},
	{"gid", OPTION_VALUE},
	{"huge", OPTION_VALUE},
	{"mpol", OPTION_VALUE},
	{"inode32", OPTION_FLAG},
	{"inode64", OPTION_FLAG},
	{"noswap", OPTION_FLAG},
	{"casefold", OPTION_VALUE},
	{"strict_encoding", OPTION_FLAG},
	{NULL},
};

static const struct filesystem_option ramfs_options[] = {{"mode", OPTION_VALUE}, {NULL}};

static const struct filesystem_option proc_options[] = {
	{"gid", OPTION_VALUE},
	{"hidepid", OPTION_VALUE},
	{"subset", OPTION_VALUE},
	{NULL},
};

static const struct filesystem_option devpts_options[] = {
	{"uid", OPTION_VALUE},      {"gid", OPTION_VALUE}, {"mode", OPTION_VALUE},
	{"ptmxmode", OPTION_VALUE}, {"max", OPTION_VALUE}, {NULL},
};

static const struct filesystem_option hugetlbfs_options[] = {
	{"uid", OPTION_VALUE},       {"gid", OPTION_VALUE},
	{"mode", OPTION_VALUE},      {"size", OPTION_VALUE},
	{"nr_inodes", OPTION_VALUE}, {"pagesize", OPTION_VALUE},
	{"min_size", OPTION_VALUE},  {NULL},
};

static const char *const no_names[] = {NULL};
static const char *const devpts_names[] = {"ptmx", NULL};
static const char *const bpf_names[] = {"maps.debug", "progs.debug", NULL};

static const struct filesystem_option bpf_options[] = {
	{"uid", OPTION_VALUE},
	{"gid", OPTION_VALUE},
	{"mode", OPTION_VALUE},
	{"delegate_cmds", OPTION_VALUE},
	{"delegate_maps", OPTION_VALUE},
	{"delegate_progs", OPTION_VALUE},
	{"delegate_attachs", OPTION_VALUE},
	{NULL},
};

static const struct filesystem_option overlay_options[] = {
	{"lowerdir", OPTION_VALUE},
	{"lowerdir+", OPTION_VALUE},
	{"datadir+", OPTION_VALUE},
	{"upperdir", OPTION_VALUE},
	{"workdir", OPTION_VALUE},
	{"default_permissions", OPTION_FLAG},
	{"redirect_dir", OPTION_VALUE},
	{"index", OPTION_VALUE},
	{"uuid", OPTION_VALUE},
	{"nfs_export", OPTION_VALUE},
	{"xino", OPTION_VALUE},
	{"metacopy", OPTION_VALUE},
	{"verity", OPTION_VALUE},
	{"userxattr", OPTION_FLAG},
	{"volatile", OPTION_FLAG},
	{"fsync", OPTION_VALUE}, /* =volatile, in newer kernels */
	{"override_creds", OPTION_FLAG},
	{"nooverride_creds", OPTION_FLAG},
	{NULL},
};

/* They say which hierarchy it is.  Its release agent and whether new groups are clones is the
 * machine's concern. */
static const struct filesystem_option cgroup_options[] = {
	{"name", OPTION_VALUE},
	{"blkio", OPTION_FLAG},
	{"cpu", OPTION_FLAG},
	{"cpuacct", OPTION_FLAG},
	{"cpuset", OPTION_FLAG},
	{"debug", OPTION_FLAG},
	{"devices", OPTION_FLAG},
	{"dmem", OPTION_FLAG},
	{"freezer", OPTION_FLAG},
	{"hugetlb", OPTION_FLAG},
	{"memory", OPTION_FLAG},
	{"misc", OPTION_FLAG},
	{"net_cls", OPTION_FLAG},
	{"net_prio", OPTION_FLAG},
	{"perf_event", OPTION_FLAG},
	{"pids", OPTION_FLAG},
	{"rdma", OPTION_FLAG},
	{"noprefix", OPTION_SHOWN},
	{"xattr", OPTION_SHOWN},
	{"cpuset_v2_mode", OPTION_SHOWN},
	{"favordynmods", OPTION_SHOWN},
	{"clone_children", OPTION_SHOWN},
	{"release_agent", OPTION_SHOWN},
	{NULL},
};

/* They are the machine's: see add_cgroup2_options(). */
static const struct filesystem_option cgroup2_options[] = {
	{"nsdelegate", OPTION_SHOWN},
	{"favordynmods", OPTION_SHOWN},
	{"memory_localevents", OPTION_SHOWN},
	{"memory_recursiveprot", OPTION_SHOWN},
	{"memory_hugetlb_accounting", OPTION_SHOWN},
	{"pids_localevents", OPTION_SHOWN},
	{NULL},
};

/* The machine has one; its options are the machine's. */
#define MACHINE(type_, image_)                                                                     \
	{                                                                                          \
		.type = (type_), .image = (image_), .singleton = true, .namespace = NAMESPACE_NONE \
	}

/* What is on it is somewhere else. */
#define OUTSIDE(type_, image_)                                                                     \
	{                                                                                          \
		.type = (type_), .image = (image_), .outside = true, .namespace = NAMESPACE_NONE   \
	}

static const struct filesystem filesystems[] = {
	{.type = "tmpfs",
	 .image = FSTYPE__TMPFS,
	 .namespace = NAMESPACE_NONE,
	 .options = tmpfs_options,
	 .describe = contents_describe,
	 .store = contents_store,
	 .fill = contents_fill,
	 .seal = contents_seal},
	{.type = "ramfs",
	 .image = FSTYPE__UNSUPPORTED,
	 .namespace = NAMESPACE_NONE,
	 .options = ramfs_options,
	 .describe = contents_describe,
	 .store = contents_store,
	 .fill = contents_fill,
	 .seal = contents_seal},
	{.type = "overlay",
	 .image = FSTYPE__OVERLAYFS,
	 .namespace = NAMESPACE_NONE,
	 .options = overlay_options},
	{.type = "proc",
	 .image = FSTYPE__PROC,
	 .namespace = NAMESPACE_PID,
	 .options = proc_options},
	{.type = "sysfs",
	 .image = FSTYPE__SYSFS,
	 .singleton = true,
	 .namespace = NAMESPACE_NET,
	 .options = no_options},
	{.type = "devpts",
	 .image = FSTYPE__DEVPTS,
	 .namespace = NAMESPACE_NONE,
	 .options = devpts_options,
	 .names = devpts_names,
	 .describe = contents_describe,
	 .store = contents_store,
	 .fill = contents_fill,
	 .seal = contents_seal},
	{.type = "mqueue",
	 .image = FSTYPE__MQUEUE,
	 .singleton = true,
	 .namespace = NAMESPACE_IPC,
	 .options = no_options},
	{.type = "cgroup",
	 .image = FSTYPE__CGROUP,
	 .singleton = true,
	 .namespace = NAMESPACE_CGROUP,
	 .options = cgroup_options},
	{.type = "cgroup2",
	 .image = FSTYPE__CGROUP2,
	 .singleton = true,
	 .namespace = NAMESPACE_CGROUP,
	 .options = cgroup2_options},
	{.type = "hugetlbfs",
	 .image = FSTYPE__UNSUPPORTED,
	 .namespace = NAMESPACE_NONE,
	 .options = hugetlbfs_options,
	 .names = no_names,
	 .describe = contents_refuse,
	 .store = contents_store,
	 .fill = contents_fill,
	 .seal = contents_seal},
	{.type = "bpf",
	 .image = FSTYPE__UNSUPPORTED,
	 .namespace = NAMESPACE_NONE,
	 .options = bpf_options,
	 .names = bpf_names,
	 .describe = contents_refuse,
	 .store = contents_store,
	 .fill = contents_fill,
	 .seal = contents_seal},
	{.type = "binfmt_misc",
	 .image = FSTYPE__BINFMT_MISC,
	 .singleton = true,
	 .namespace = NAMESPACE_USER},
	/* Never made: its mounts are clones of a namespace's descriptor. */
	{.type = "nsfs",
	 .image = FSTYPE__UNSUPPORTED,
	 .singleton = true,
	 .namespace = NAMESPACE_NONE},
	MACHINE("devtmpfs", FSTYPE__DEVTMPFS),
	MACHINE("debugfs", FSTYPE__DEBUGFS),
	MACHINE("tracefs", FSTYPE__TRACEFS),
	MACHINE("securityfs", FSTYPE__SECURITYFS),
	MACHINE("selinuxfs", FSTYPE__UNSUPPORTED),
	MACHINE("pstore", FSTYPE__PSTORE),
	MACHINE("fusectl", FSTYPE__FUSECTL),
	MACHINE("configfs", FSTYPE__UNSUPPORTED),
	MACHINE("efivarfs", FSTYPE__UNSUPPORTED),
	OUTSIDE("ext2", FSTYPE__UNSUPPORTED),
	OUTSIDE("ext3", FSTYPE__UNSUPPORTED),
	OUTSIDE("ext4", FSTYPE__UNSUPPORTED),
	OUTSIDE("xfs", FSTYPE__UNSUPPORTED),
	OUTSIDE("btrfs", FSTYPE__UNSUPPORTED),
	OUTSIDE("bcachefs", FSTYPE__UNSUPPORTED),
	OUTSIDE("f2fs", FSTYPE__UNSUPPORTED),
	OUTSIDE("zfs", FSTYPE__UNSUPPORTED),
	OUTSIDE("erofs", FSTYPE__UNSUPPORTED),
	OUTSIDE("squashfs", FSTYPE__UNSUPPORTED),
	OUTSIDE("iso9660", FSTYPE__UNSUPPORTED),
	OUTSIDE("udf", FSTYPE__UNSUPPORTED),
	OUTSIDE("vfat", FSTYPE__UNSUPPORTED),
	OUTSIDE("exfat", FSTYPE__UNSUPPORTED),
	OUTSIDE("ntfs3", FSTYPE__UNSUPPORTED),
	OUTSIDE("simfs", FSTYPE__SIMFS),
	OUTSIDE("aufs", FSTYPE__AUFS),
	OUTSIDE("fuse", FSTYPE__FUSE),
	OUTSIDE("fuseblk", FSTYPE__FUSE),
	OUTSIDE("autofs", FSTYPE__AUTOFS),
	OUTSIDE("nfs", FSTYPE__UNSUPPORTED),
	OUTSIDE("nfs4", FSTYPE__UNSUPPORTED),
	OUTSIDE("cifs", FSTYPE__UNSUPPORTED),
	OUTSIDE("smb3", FSTYPE__UNSUPPORTED),
	OUTSIDE("ceph", FSTYPE__UNSUPPORTED),
	OUTSIDE("9p", FSTYPE__UNSUPPORTED),
	OUTSIDE("virtiofs", FSTYPE__UNSUPPORTED),
};

const struct filesystem *filesystem_find(const char *type)
{
	for (size_t i = 0; i < sizeof(filesystems) / sizeof(*filesystems); i++)
		if (!strcmp(filesystems[i].type, type))
			return &filesystems[i];
	return NULL;
}

const struct filesystem *filesystem_of_image(uint32_t number)
{
	for (size_t i = 0; i < sizeof(filesystems) / sizeof(*filesystems); i++)
		if (number != FSTYPE__UNSUPPORTED && filesystems[i].image == number)
			return &filesystems[i];
	return NULL;
}

struct subject superblock_subject(const struct superblock *superblock)
{
	const struct mount *mount = superblock->mounts;

	return mount && mount->path ? SUBJECT("%s at %s", superblock->type, mount->path)
				    : SUBJECT("%s filesystem", superblock->type);
}

/* ---- options -------------------------------------------------------------------------------- */

/* Undoes what seq_show_option() of the kernel does to odd bytes: \040. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; to++) {
		unsigned int byte;

		if (text[0] == '\\' && strspn(text + 1, "01234567") >= 3) {
			byte = (text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0');
			text += 4;
		} else {
			byte = *text++;
		}
		*to = byte;
	}
	*to = 0;
}

/* The end of the option at text: a list of NUMA nodes (mpol=bind:0,2) has commas of its own. */
static size_t option_length(const char *text)
{
	size_t length = strcspn(text, ",");

	while (text[length] && !strncmp(text, "mpol=", 5) && text[length + 1] >= '0' &&
	       text[length + 1] <= '9')
		length += 1 + strcspn(text + length + 1, ",");
	return length;
}

/* The next option of a list, cut out of *list (which is changed); NULL: no more. */
static bool next_option(char **list, struct filesystem_setting *setting)
{
	char *text = *list, *value;

	while (*text == ',')
		text++;
	if (!*text)
		return false;

	size_t length = option_length(text);

	*list = text + length + (text[length] == ',');
	text[length] = 0;
	value = strchr(text, '=');
	if (value) {
		*value++ = 0;
		unescape(value);
	}
	unescape(text);
	*setting = (struct filesystem_setting){.name = text, .value = value};
	return true;
}

static const struct filesystem_option *find_option(const struct filesystem_option *options,
						   const char *name)
{
	for (; options->name; options++)
		if (!strcmp(options->name, name))
			return options;
	return NULL;
}

/* Whether an option is given back.  known: false if it is not understood. */
static bool option_is_given(const struct filesystem *filesystem,
			    const struct filesystem_setting *setting, bool *known)
{
	const struct filesystem_option *option = find_option(common_options, setting->name);

	*known = true;
	if (option)
		return false;
	if (!filesystem || !filesystem->options)
		return !filesystem || !filesystem->singleton;
	option = find_option(filesystem->options, setting->name);
	*known = option && (option->use == OPTION_SHOWN ||
			    (option->use == OPTION_VALUE) == (setting->value != NULL));
	return *known && option->use != OPTION_SHOWN;
}

static int refuse_option(const struct superblock *superblock,
			 const struct filesystem_setting *setting)
{
	return REFUSE(superblock_subject(superblock), "mount it without the option",
		      "its option %s%s%s is not understood", setting->name,
		      setting->value ? "=" : "", setting->value ? setting->value : "");
}

/*
 * The options of the one filesystem of its type that the machine has, if it is mounted where we see
 * it; "" else.  In the arena.
 */
static char *machine_options(struct arena *arena, const char *type)
{
	autofree char *text = NULL;
	const char *pattern = arena_printf(arena, " - %s ", type);
	char *found = NULL;

	if (!fd_read_file(AT_FDCWD, "/proc/self/mountinfo", &text, NULL))
		found = strstr(text, pattern);
	if (found)
		found = strchr(found + strlen(pattern), ' ');
	if (!found)
		return arena_strdup(arena, "");
	found[strcspn(found, "\n")] = 0;
	return arena_strdup(arena, found + 1);
}

/* In the machine's first cgroup namespace, mounting it sets the options for the whole machine. */
static void add_cgroup2_options(struct checkpoint *checkpoint, filesystem_settings *settings)
{
	char *list = machine_options(checkpoint->arena, "cgroup2");
	struct filesystem_setting setting;

	while (next_option(&list, &setting))
		if (find_option(cgroup2_options, setting.name))
			*array_push(settings) = setting;
}

/* The options that are given back, in the order they are shown. */
static int add_options(struct checkpoint *checkpoint, const struct superblock *superblock,
		       filesystem_settings *settings)
{
	char *list = arena_strdup(checkpoint->arena, superblock->options ?: "");
	struct filesystem_setting setting;
	int error = 0;

	while (next_option(&list, &setting)) {
		bool known, given = option_is_given(superblock->filesystem, &setting, &known);

		if (!known)
			error = refuse_option(superblock, &setting);
		else if (given)
			*array_push(settings) = setting;
	}
	return error;
}

/* The superblock's flags that fsconfig(2) takes. */
static void add_flags(const struct superblock *superblock, filesystem_settings *settings)
{
	static const struct {
		unsigned int flag;
		const char *name;
	} flags[] = {
		{MS_RDONLY, "ro"},       {MS_SYNCHRONOUS, "sync"}, {MS_MANDLOCK, "mand"},
		{MS_DIRSYNC, "dirsync"}, {1 << 25, "lazytime"},
	};
	bool filled = superblock->filesystem && superblock->filesystem->fill;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if ((superblock->flags & flags[i].flag) && !(flags[i].flag == MS_RDONLY && filled))
			array_push(settings)->name = flags[i].name;
}

static bool has_flag(const filesystem_settings *settings)
{
	array_each (settings, setting)
		if (!setting->value)
			return true;
	return false;
}

int filesystem_settings_of(struct checkpoint *checkpoint, const struct superblock *superblock,
			   filesystem_settings *settings)
{
	int error;

	if (superblock->source && *superblock->source)
		*array_push(settings) = (struct filesystem_setting){"source", superblock->source};
	error = add_options(checkpoint, superblock, settings);
	/* A hierarchy of cgroups that has a name and no controllers. */
	if (!strcmp(superblock->type, "cgroup") && !has_flag(settings))
		array_push(settings)->name = "none";
	if (!strcmp(superblock->type, "cgroup2"))
		add_cgroup2_options(checkpoint, settings);
	add_flags(superblock, settings);
	return error;
}

/* The next option that counts when filesystems are compared. */
static bool next_own_option(const struct filesystem *filesystem, char **list,
			    struct filesystem_setting *setting)
{
	bool known;

	while (next_option(list, setting))
		if (option_is_given(filesystem, setting, &known) || !known)
			return true;
	return false;
}

bool filesystem_same_options(const char *type, const char *left, const char *right)
{
	const struct filesystem *filesystem = filesystem_find(type);
	autofree char *left_copy = strdup(left), *right_copy = strdup(right);
	char *left_list = left_copy, *right_list = right_copy;
	struct filesystem_setting a, b;
	bool more;

	if (!left_copy || !right_copy)
		die_of_memory();
	for (;;) {
		more = next_own_option(filesystem, &left_list, &a);
		if (next_own_option(filesystem, &right_list, &b) != more)
			return false;
		if (!more)
			return true;
		if (strcmp(a.name, b.name) || strcmp(a.value ?: "", b.value ?: ""))
			return false;
	}
}

/* ---- dump ----------------------------------------------------------------------------------- */

/* --enable-fs: a type that is not known has no contents to lose, and any options. */
static bool is_enabled(const struct checkpoint *checkpoint, const char *type)
{
	const struct string_list *enabled = &checkpoint->options->enable_fs;

	for (size_t i = 0; i < enabled->count; i++)
		if (!strcmp(enabled->items[i], type) || !strcmp(enabled->items[i], "all"))
			return true;
	return false;
}

int filesystem_describe(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct filesystem *filesystem = filesystem_find(superblock->type);
	filesystem_settings settings = {0};
	int error;

	superblock->filesystem = filesystem;
	if (!filesystem && !is_enabled(checkpoint, superblock->type))
		return REFUSE(
			superblock_subject(superblock),
			"unmount it, make it external (--external mnt[PATH]:KEY), or say that "
			"a new one will do (--enable-fs)",
			"filesystems of type %s are not known", superblock->type);
	error = filesystem_settings_of(checkpoint, superblock, &settings);
	array_free(&settings);
	if (!error && filesystem && filesystem->describe)
		error = filesystem->describe(checkpoint, superblock);
	return error;
}

int filesystem_store(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct filesystem *filesystem = superblock->filesystem;

	return filesystem && filesystem->store ? filesystem->store(checkpoint, superblock) : 0;
}

/* ---- restore -------------------------------------------------------------------------------- */

/* What the kernel wrote about it, without "e " or "w " in front; or the error's name. */
static const char *context_message(int context, int error, char message[256])
{
	ssize_t length = read(context, message, 255);

	if (length <= 2)
		return strerror(error);
	message[length] = 0;
	message[strcspn(message, "\n")] = 0;
	return message + 2;
}

static int cannot_be_made(const struct superblock *superblock, int context, int error,
			  const struct filesystem_setting *setting)
{
	char message[256];
	const char *text = context_message(context, error, message);

	if (!setting)
		return FAIL(error, superblock_subject(superblock), NULL, "cannot be made: %s",
			    text);
	return FAIL(error, superblock_subject(superblock),
		    "the kernel it was dumped on may have been newer",
		    "option %s%s%s is not accepted: %s", setting->name, setting->value ? "=" : "",
		    setting->value ? setting->value : "", text);
}

/* A detached mount of the filesystem that the settings describe. */
static int make_by_context(struct superblock *superblock, const filesystem_settings *settings)
{
	autofd int context = fsopen(superblock->type, FSOPEN_CLOEXEC);

	if (context < 0)
		return FAIL(errno, superblock_subject(superblock),
			    errno == ENODEV ? "load the kernel's module for it" : NULL,
			    "cannot be made: %s",
			    errno == ENODEV ? "this kernel has no such type of filesystem"
					    : strerror(errno));
	array_each (settings, setting)
		if (fsconfig(context, setting->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     setting->name, setting->value, 0))
			return cannot_be_made(superblock, context, errno, setting);
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return cannot_be_made(superblock, context, errno, NULL);
	superblock->fd = fsmount(context, FSMOUNT_CLOEXEC, 0);
	if (superblock->fd < 0)
		return cannot_be_made(superblock, context, errno, NULL);
	return 0;
}

/* The same by mount(2), on "/", which is uncovered again: its page of options is longer. */
static int make_by_mount(struct superblock *superblock, const filesystem_settings *settings)
{
	const unsigned long flags = superblock->flags & (MS_SYNCHRONOUS | MS_DIRSYNC | 1 << 25);
	autofree char *data = NULL;
	const char *source = NULL;
	size_t size;
	FILE *text = open_memstream(&data, &size);

	if (!text)
		die_of_memory();
	array_each (settings, setting) {
		if (!strcmp(setting->name, "source"))
			source = setting->value;
		else if (setting->value)
			fprintf(text, ",%s=%s", setting->name, setting->value);
		else
			fprintf(text, ",%s", setting->name);
	}
	if (fclose(text))
		die_of_memory();
	if (mount(source, "/", superblock->type, flags, *data ? data + 1 : data))
		return FAIL(errno, superblock_subject(superblock), NULL, "cannot be made: %s",
			    strerror(errno));
	/* ".." of the root leads to what covers it. */
	superblock->fd = open_tree(AT_FDCWD, "/..", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	int error = superblock->fd < 0 ? errno : 0;

	umount2("/..", MNT_DETACH);
	return error ? FAIL(error, superblock_subject(superblock), NULL, "cannot be made: %s",
			    strerror(error))
		     : 0;
}

/*
 * An overlay that is not synchronised marks its layers, so that they are not used after a crash. On
 * layers in memory, which have just been made, the mark means nothing.
 */
static void unmark_volatile(const filesystem_settings *settings)
{
	const char *directory = NULL;
	bool is_volatile = false;
	autofree char *mark = NULL;
	struct statfs about;

	array_each (settings, setting) {
		if (!strcmp(setting->name, "workdir"))
			directory = setting->value;
		is_volatile |=
			!strcmp(setting->name, "volatile") ||
			(!strcmp(setting->name, "fsync") && !strcmp(setting->value, "volatile"));
	}
	if (!is_volatile || !directory || statfs(directory, &about) || about.f_type != TMPFS_MAGIC)
		return;
	if (asprintf(&mark, "%s/work/incompat/volatile/dirty", directory) < 0)
		die_of_memory();
	unlink(mark);
	*strrchr(mark, '/') = 0;
	rmdir(mark);
}

/* Is a value longer than fsconfig(2) takes? */
static bool is_long(const filesystem_settings *settings)
{
	array_each (settings, setting)
		if (setting->value && strlen(setting->value) > LONGEST_SETTING)
			return true;
	return false;
}

int filesystem_make(struct checkpoint *checkpoint, struct superblock *superblock)
{
	filesystem_settings settings = {0};
	int error;

	superblock->filesystem = filesystem_find(superblock->type);
	error = filesystem_settings_of(checkpoint, superblock, &settings);
	if (!strcmp(superblock->type, "overlay"))
		unmark_volatile(&settings);
	if (!error)
		error = is_long(&settings) ? make_by_mount(superblock, &settings)
					   : make_by_context(superblock, &settings);
	array_free(&settings);
	return error ? error : filesystem_fill(checkpoint, superblock);
}

int filesystem_fill(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct filesystem *filesystem = superblock->filesystem;

	return filesystem && filesystem->fill ? filesystem->fill(checkpoint, superblock) : 0;
}

/* Options are given again: devpts takes those back that are not. */
static int configure_read_only(int context, const filesystem_settings *settings)
{
	array_each (settings, setting)
		if (fsconfig(context, setting->value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     setting->name, setting->value, 0))
			return errno;
	if (fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) ||
	    fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0))
		return errno;
	return 0;
}

static int make_read_only(struct checkpoint *checkpoint, struct superblock *superblock)
{
	autofd int context = fspick(superblock->fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);
	filesystem_settings settings = {0};
	char message[256];
	int error;

	if (context < 0)
		return FAIL(errno, superblock_subject(superblock), NULL,
			    "cannot be made read-only: %s", strerror(errno));
	error = add_options(checkpoint, superblock, &settings);
	if (!error) {
		add_flags(superblock, &settings);
		error = configure_read_only(context, &settings);
	}
	array_free(&settings);
	return error > 0 ? FAIL(error, superblock_subject(superblock), NULL,
				"cannot be made read-only: %s",
				context_message(context, error, message))
			 : error;
}

/* Only filesystems that were made for the checkpoint: the machine's stay as they are. */
int filesystem_seal(struct checkpoint *checkpoint, struct superblock *superblock)
{
	const struct filesystem *filesystem = superblock->filesystem;
	struct statvfs about;
	int error = 0;

	if (filesystem && filesystem->seal)
		error = filesystem->seal(checkpoint, superblock);
	if (error || !(superblock->flags & MS_RDONLY) ||
	    (filesystem && filesystem->singleton && filesystem->namespace != NAMESPACE_IPC))
		return error;
	if (fstatvfs(superblock->fd, &about))
		return FAIL(errno, superblock_subject(superblock), NULL,
			    "its flags cannot be read: %s", strerror(errno));
	return about.f_flag & ST_RDONLY ? 0 : make_read_only(checkpoint, superblock);
}
