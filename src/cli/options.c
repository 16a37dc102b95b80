/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of options: CRIU 4.3's and our own.  docs/stasis.1 says the same in prose. */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/array.h"
#include "base/log.h"
#include "base/report.h"

/* ---- taking values over ------------------------------------------------------------------- */

#define FIELD(options, option, type) ((type *)((char *)(options) + (option)->field))

static const char *set_flag(struct options *options, const struct option *option, const char *value,
			    bool negated)
{
	*FIELD(options, option, bool) = !negated;
	return NULL;
}

static const char *set_string(struct options *options, const struct option *option,
			      const char *value, bool negated)
{
	if (!*value)
		return "must not be empty";
	*FIELD(options, option, const char *) = value;
	return NULL;
}

/* A whole number of decimal digits, at most `most`. */
static bool parse_number(const char *text, unsigned long long most, unsigned long long *number)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && !*end && *number <= most;
}

static const char *set_pid(struct options *options, const struct option *option, const char *value,
			   bool negated)
{
	unsigned long long pid;

	if (!parse_number(value, INT_MAX, &pid) || !pid)
		return "is not a process id (a number from 1)";
	*FIELD(options, option, pid_t) = pid;
	return NULL;
}

static const char *set_seconds(struct options *options, const struct option *option,
			       const char *value, bool negated)
{
	unsigned long long seconds;

	if (!parse_number(value, INT_MAX, &seconds))
		return "is not a number of seconds";
	*FIELD(options, option, unsigned int) = seconds;
	return NULL;
}

static const char *set_size(struct options *options, const struct option *option, const char *value,
			    bool negated)
{
	static const char units[] = "KMG";
	char *end;
	unsigned int shift = 0;

	errno = 0;

	unsigned long long size = isdigit((unsigned char)*value) ? strtoull(value, &end, 10) : 0;
	const char *unit = isdigit((unsigned char)*value) && !errno && *end && !end[1]
				   ? strchr(units, toupper((unsigned char)*end))
				   : NULL;

	if (!isdigit((unsigned char)*value) || errno || (*end && !unit))
		return "is not a size (bytes, or a number with K, M or G)";
	if (unit)
		shift = 10 * (unit - units + 1);
	if (size > UINT64_MAX >> shift)
		return "is too large";
	*FIELD(options, option, uint64_t) = size << shift;
	return NULL;
}

/* -v, -vvv and --verbosity raise the level; -v4 and --verbosity=4 set it. */
static const char *set_verbosity(struct options *options, const struct option *option,
				 const char *value, bool negated)
{
	unsigned long long level;
	size_t more = value ? strspn(value, "v") : 0;

	if (!value)
		options->verbosity++;
	else if (more && !value[more])
		options->verbosity += more + 1;
	else if (parse_number(value, INT_MAX, &level))
		options->verbosity = level;
	else
		return "is not a level from 0 (nothing) to 4 (everything)";
	if (options->verbosity > LOG_DEBUG)
		options->verbosity = LOG_DEBUG;
	options->verbose = true;
	return NULL;
}

/* What becomes of the tasks: the later of --leave-running and --leave-stopped counts, as in CRIU.
 */
static const char *set_end(struct options *options, const struct option *option, const char *value,
			   bool negated)
{
	options->leave_running = options->leave_stopped = false;
	return set_flag(options, option, value, negated);
}

/* Each use of the option adds one. */
static const char *add_string(struct options *options, const struct option *option,
			      const char *value, bool negated)
{
	struct string_list *list = FIELD(options, option, struct string_list);

	const char **items = arena_new_array(options->arena, const char *, list->count + 1);

	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	items[list->count++] = value;
	list->items = items;
	return NULL;
}

/*
 * A script's path is the caller's: found from the directory stasis was started in, while it is
 * run in the work directory.  A name without a slash is looked for in PATH.
 */
static const char *add_script(struct options *options, const struct option *option,
			      const char *value, bool negated)
{
	char path[PATH_MAX];

	if (!strchr(value, '/'))
		return add_string(options, option, value, negated);
	if (!realpath(value, path))
		return strerror(errno);
	return add_string(options, option, arena_strdup(options->arena, path), negated);
}

/* Each part between commas adds one. */
static const char *add_names(struct options *options, const struct option *option,
			     const char *value, bool negated)
{
	const char *problem = NULL;

	for (char *rest = arena_strdup(options->arena, value), *name; (name = strsep(&rest, ","));)
		problem = *name ? add_string(options, option, name, negated)
				: "has an empty name in it";
	return problem;
}

static const char *add_external(struct options *options, const char *kind, const char *key,
				const char *value)
{
	struct external_list *list = &options->external;
	struct external *items = arena_new_array(options->arena, struct external, list->count + 1);

	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	items[list->count++] = (struct external){kind, key, value};
	list->items = items;
	return NULL;
}

/* mnt[]:FLAGS */
static const char *set_external_auto(struct options *options, const char *flags)
{
	for (options->external_auto = true; flags && *flags; flags++)
		if (*flags == 'm')
			options->external_masters = true;
		else if (*flags == 's')
			options->external_sharing = true;
		else
			return "has a flag other than m (masters) and s (sharing)";
	return NULL;
}

static const char *set_external(struct options *options, const struct option *option,
				const char *value, bool negated)
{
	char *kind = arena_strdup(options->arena, value), *key = strchr(kind, '[');
	char *end = key ? strstr(key, "]:") : NULL;

	if (key && !end && key[strlen(key) - 1] == ']')
		end = key + strlen(key) - 1;
	if (!end)
		return "is not of the form KIND[KEY]:VALUE";

	const char *rest = end[1] ? end + 2 : NULL;

	*key++ = *end = 0;
	if (strcmp(kind, "mnt") && strcmp(kind, "dev"))
		return "is of a kind that is not supported yet (mnt and dev are)";
	if (!*key && !strcmp(kind, "mnt"))
		return set_external_auto(options, rest);
	if (!rest || !*rest || !*key)
		return "needs a key and a value: KIND[KEY]:VALUE";
	return add_external(options, kind, key, rest);
}

static const char *set_mount_map(struct options *options, const struct option *option,
				 const char *value, bool negated)
{
	char *key = arena_strdup(options->arena, value), *colon = strchr(key, ':');

	if (!strcmp(value, "auto"))
		return set_external_auto(options, NULL);
	if (!colon || colon == key || !colon[1])
		return "is neither KEY:VALUE nor auto";
	*colon = 0;
	return add_external(options, "mnt", key, colon + 1);
}

/* At once, as the caller asks for it before anything is done. */
static const char *close_fd(struct options *options, const struct option *option, const char *value,
			    bool negated)
{
	unsigned long long fd;

	if (!parse_number(value, INT_MAX, &fd))
		return "is not the number of a descriptor";
	return close(fd) < 0 ? strerror(errno) : NULL;
}

/* What these ask for is seen to while the options are read (parse.c). */
static const char *set_elsewhere(struct options *options, const struct option *option,
				 const char *value, bool negated)
{
	return NULL;
}

/* ---- the table ---------------------------------------------------------------------------- */

enum {
	D = COMMAND_DUMP,
	R = COMMAND_RESTORE,
	C = COMMAND_CHECK,
	S = COMMAND_SHOW,
	M = COMMAND_MOUNTS,
	P = COMMAND_PRE_DUMP,
	PS = COMMAND_PAGE_SERVER,
	LP = COMMAND_LAZY_PAGES,
	SV = COMMAND_SERVICE,
	DD = COMMAND_DEDUP,
	CI = COMMAND_CPUINFO,
	WORK = D | R | P | PS | LP | SV | DD | CI, /* on images */
	ALL = ~0,
};

#define AT(member) .field = offsetof(struct options, member)
#define ROW(name_, letter_, argument_, commands_, help_)                                           \
	.name = name_, .letter = letter_, .argument = argument_, .commands = commands_,            \
	.help = help_
#define FLAG(name, letter, commands, member, help)                                                 \
	{                                                                                          \
		ROW(name, letter, NULL, commands, help), .set = set_flag, AT(member)               \
	}
#define VALUE(name, letter, argument, commands, setter, member, help)                              \
	{                                                                                          \
		ROW(name, letter, argument, commands, help), .set = setter, AT(member)             \
	}
/* Of a capability that is not there yet. */
#define LATER(name, letter, argument, commands, capability_, help)                                 \
	{                                                                                          \
		ROW(name, letter, argument, commands, help), .capability = capability_             \
	}
/* Likewise, but for one value of its argument, which asks for what is done anyway. */
#define LATER_BUT(name, letter, argument, commands, capability_, harmless_, help)                  \
	{                                                                                          \
		ROW(name, letter, argument, commands, help), .capability = capability_,            \
							     .harmless = harmless_                 \
	}
#define MOOT(name, letter, argument, commands, reason, help)                                       \
	{                                                                                          \
		ROW(name, letter, argument, commands, help), .moot = reason                        \
	}
#define OURS(name, letter, commands, member, help)                                                 \
	{                                                                                          \
		ROW(name, letter, NULL, commands, help), .set = set_flag, AT(member), .ours = true \
	}

#define CGROUPS    "control groups"
#define COMPRESSED "compressed images"
#define EXTERNAL   "external resources"
#define INCREMENTS "incremental dumps"
#define LABELS     "labels of security modules"
#define LAZY       "lazy migrations"
#define MOUNTS     "mount namespaces"
#define NETWORKS   "network namespaces"
#define PAGES      "page servers"
#define PLUGINS    "plugins"
#define TCP        "TCP connections"
#define WATCHES    "inotify and fanotify watches"

/* clang-format off */
const struct option option_table[] = {
	/* What to do */
	VALUE("tree", 't', "PID", D | P | C, set_pid, tree,
	      "the process tree that begins with PID"),
	{ ROW("leave-running", 'R', NULL, D, "let the application run on after the dump"),
	  .set = set_end, AT(leave_running) },
	{ ROW("leave-stopped", 's', NULL, D | R, "leave the application stopped afterwards"),
	  .set = set_end, AT(leave_stopped) },
	FLAG("restore-detached", 'd', R, restore_detached, "end when the restore is complete"),
	FLAG("restore-sibling", 'S', R, restore_sibling,
	     "restore the root task as a child of stasis' parent (with -d)"),
	FLAG("exec-cmd", 0, R, exec_cmd,
	     "after the restore become the program given behind --, parent of the root task"),
	FLAG("shell-job", 'j', D | R | C, shell_job,
	     "the tree is a job of a shell: its session and terminal are the caller's"),
	FLAG("link-remap", 0, D | C, link_remap,
	     "unlinked files that have other names are linked back during the checkpoint"),
	VALUE("ghost-limit", 0, "SIZE", D | C, set_size, ghost_limit,
	      "the largest unlinked file to store (K, M, G; default 1M)"),
	MOOT("ghost-fiemap", 0, NULL, D, "holes of unlinked files are found with SEEK_HOLE, which "
	     "every filesystem answers", "find holes of unlinked files with fiemap"),
	VALUE("timeout", 0, "SECONDS", D | P | C, set_seconds, timeout,
	      "give up when the tree does not stop in time (default 10, 0: never)"),
	VALUE("action-script", 0, "FILE", D | R | P, add_script, action_scripts,
	      "run FILE at each stage (may be repeated)"),
	LATER_BUT("file-validation", 0, "MODE", D | R, "checks of build ids", "filesize",
		  "how to see that a file has not changed: filesize (always) or buildid"),
	FLAG("skip-file-rwx-check", 0, R, skip_file_rwx_check,
	     "do not compare the permissions of files"),

	/* Where */
	VALUE("images-dir", 'D', "DIR", WORK, set_string, images_dir,
	      "directory of the image files (default: the current one)"),
	VALUE("work-dir", 'W', "DIR", WORK, set_string, work_dir,
	      "directory of logs, pid file and statistics (default: -D)"),
	VALUE("pidfile", 0, "FILE", R | PS | LP | SV, set_string, pidfile, "write the root task's id to FILE"),
	{ ROW("close", 0, "FD", ALL, "close FD before anything else"), .set = close_fd },

	/* What to tell */
	VALUE("log-file", 'o', "FILE", ALL, set_string, log_file,
	      "write a log to FILE (in the work directory); -: standard output"),
	VALUE("verbosity", 'v', "[LEVEL]", ALL, set_verbosity, verbosity,
	      "what is logged: 0 nothing, 1 errors, 2 warnings, 3 steps, 4 details"),
	MOOT("log-pid", 0, NULL, ALL, "one process does all the work and has one log",
	     "a log file for each process"),
	FLAG("display-stats", 0, D | R, display_stats, "print statistics at the end"),

	/* check */
	VALUE("feature", 0, "NAME", C, add_string, features,
	      "check only for this (list: print the names)"),
	FLAG("extra", 0, C, check_extra, "check for what some applications need, too"),
	FLAG("experimental", 0, C, check_experimental, "check for what is experimental, too"),
	FLAG("all", 0, C, check_all, "check for everything"),
	MOOT("ms", 0, NULL, C, "features are told from their absence in the kernel by trying",
	     "do not check for what is not merged into the kernel"),

	/* show */
	OURS("json", 0, S | M, json, "print JSON, for programs"),
	OURS("raw", 0, S, raw, "print image files as they are, as JSON"),

	/* mounts */
	OURS("dot", 0, M, dot, "print a graph for Graphviz' dot"),
	OURS("diff", 0, M, diff, "print in what the mounts of two differ"),
	OURS("plan", 0, M, plan, "print how a restore would build them"),

	/* Configuration */
	{ ROW("config", 0, "FILE", ALL, "read options from FILE, too"), .set = set_elsewhere },
	{ ROW("no-default-config", 0, NULL, ALL, "do not read the default configuration files"),
	  .set = set_elsewhere },
	MOOT("deprecated", 0, NULL, ALL, "nothing that stasis does is deprecated",
	     "allow what is deprecated"),
	FLAG("help", 'h', ALL, help, "print this help"),
	FLAG("version", 'V', ALL, version, "print the version"),

	/* Sockets and networks */
	LATER("tcp-established", 0, NULL, D | R, TCP, "established TCP connections"),
	LATER("tcp-close", 0, NULL, D | R, TCP, "TCP connections, as closed ones"),
	LATER("skip-in-flight", 0, NULL, D, TCP, "leave out TCP connections that are being made"),
	LATER_BUT("network-lock", 0, "MODE", D | R, TCP, "skip",
		  "how to lock the network: iptables, nftables or skip"),
	LATER("ext-unix-sk", 'x', "[INODES]", D | R, "Unix sockets",
	      "Unix sockets whose other end is not in the tree"),
	LATER("veth-pair", 0, "IN=OUT", R, NETWORKS, "outer name of a virtual Ethernet device"),
	LATER("empty-ns", 0, "NS", D | R, NETWORKS, "make a namespace and leave it empty"),
	LATER("weak-sysctls", 0, NULL, R, NETWORKS, "skip settings that the kernel lacks"),

	/* Namespaces and mounts */
	LATER("join-ns", 'J', "NS:PLACE", R, "other namespaces", "restore in an existing namespace"),
	VALUE("root", 'r', "DIR", R, set_string, root,
	      "the mount that becomes the root of the restored mount namespace"),
	{ ROW("external", 0, "RESOURCE", D | R | C,
	      "what belongs to the outside: mnt[KEY]:VALUE, mnt[]:FLAGS, dev[KEY]:VALUE"),
	  .set = set_external },
	LATER("inherit-fd", 0, "fd[N]:RESOURCE", R, EXTERNAL, "use descriptor N for RESOURCE"),
	{ ROW("ext-mount-map", 'M', "KEY:VALUE", D | R | C, "the same as --external mnt[KEY]:VALUE"),
	  .set = set_mount_map },
	FLAG("enable-external-sharing", 0, D | R | C, external_sharing,
	     "external mounts may be in one peer group with mounts outside"),
	FLAG("enable-external-masters", 0, D | R | C, external_masters,
	     "external mounts may be slaves of mounts outside"),
	VALUE("skip-mnt", 0, "DIR", D | C, add_string, skip_mounts,
	      "leave out the mount at DIR, with what is mounted on it"),
	VALUE("enable-fs", 0, "NAMES", D | R | C, add_names, enable_fs,
	      "filesystems to mount again as they were, without knowing them; or all"),
	MOOT("mntns-compat-mode", 0, NULL, R, "there is one mount engine", "CRIU's older mount engine"),

	/* Files */
	LATER("file-locks", 'l', NULL, D | R, "file locks", "locks on files"),
	LATER("evasive-devices", 0, NULL, D, "devices without a path",
	      "any path of a device whose own is gone"),
	LATER("force-irmap", 0, NULL, D, WATCHES, "find names of watched files by searching"),
	LATER("irmap-scan-path", 0, "DIR", D, WATCHES, "where to search for them"),

	/* Control groups, security modules, processors */
	LATER("freeze-cgroup", 0, "DIR", D | P, CGROUPS, "freeze the tree with a cgroup"),
	LATER_BUT("manage-cgroups", 0, "[MODE]", D | R, CGROUPS, "ignore",
		  "cgroups: none, props, soft, full, strict or ignore"),
	LATER("cgroup-root", 0, "[CTRL:]/DIR", D | R, CGROUPS, "root of the cgroups"),
	LATER("cgroup-props", 0, "SPEC", D, CGROUPS, "properties of cgroups to store"),
	LATER("cgroup-props-file", 0, "FILE", D, CGROUPS, "the same, from a file"),
	LATER("cgroup-dump-controller", 0, "NAME", D, CGROUPS, "store only this controller"),
	LATER("cgroup-yard", 0, "DIR", D | R, CGROUPS, "where cgroups are mounted already"),
	LATER("lsm-profile", 0, "TYPE:NAME", R, LABELS, "profile of the restored tasks"),
	LATER("lsm-mount-context", 0, "CONTEXT", R, LABELS, "context of the restored mounts"),
	LATER("cpu-cap", 0, "[CAPS]", D | R | CI, "checks of processor features",
	      "processor features to compare: cpu, fpu, ins, all, none"),
	LATER("allow-uprobes", 0, NULL, D | R, "uprobes", "uprobes in the application"),
	LATER("unprivileged", 0, NULL, ALL, "dumps and restores without root",
	      "accept the limits of another user than root"),

	/* Images */
	LATER("compress", 'c', NULL, D | P, COMPRESSED, "compress pages"),
	LATER("compress-block", 0, "SIZE", D | P, COMPRESSED, "compress blocks of SIZE"),
	LATER("compress-acceleration", 0, "N", D | P, COMPRESSED, "speed against size"),
	LATER("decompress-threads", 0, "N", R, COMPRESSED, "threads that decompress"),
	LATER_BUT("image-io-mode", 0, "MODE", D | R, "images without the page cache", "writeback",
		  "how pages are written and read: writeback or direct"),
	LATER("stream", 0, NULL, D | R, "streamed images", "images through criu-image-streamer"),

	/* Migration */
	LATER("prev-images-dir", 0, "DIR", D | P | PS, INCREMENTS, "the previous dump"),
	LATER("track-mem", 0, NULL, D | P, INCREMENTS, "track changes of memory"),
	LATER("pre-dump-mode", 0, "MODE", P, INCREMENTS, "splice or read"),
	LATER("auto-dedup", 0, NULL, D | R | P | PS, INCREMENTS, "remove pages stored twice"),
	LATER("lazy-pages", 0, NULL, D | R | PS, LAZY, "fill memory when it is used"),
	LATER("page-server", 0, NULL, D | P, PAGES, "send pages to a page server"),
	LATER("address", 0, "ADDRESS", D | R | P | PS | LP | SV, PAGES, "of the server or service"),
	LATER("port", 0, "PORT", D | P | PS | LP, PAGES, "of the server"),
	LATER("ps-socket", 0, "FD", D | P | PS | LP, PAGES, "socket of the server"),
	LATER("status-fd", 0, "FD", PS | LP | SV, PAGES, "write a zero byte to FD when ready"),
	LATER("daemon", 0, NULL, PS | LP | SV, PAGES, "run in the background"),
	LATER("tls", 0, NULL, D | P | PS | LP, PAGES, "encrypt connections"),
	LATER("tls-cacert", 0, "FILE", D | P | PS | LP, PAGES, "trusted authority"),
	LATER("tls-cacrl", 0, "FILE", D | P | PS | LP, PAGES, "revoked certificates"),
	LATER("tls-cert", 0, "FILE", D | P | PS | LP, PAGES, "certificate"),
	LATER("tls-key", 0, "FILE", D | P | PS | LP, PAGES, "private key"),
	LATER("tls-no-cn-verify", 0, NULL, D | P | PS | LP, PAGES, "accept any name"),

	/* Plugins */
	LATER("libdir", 'L', "DIR", ALL, PLUGINS, "directory of plugins"),
	LATER("plugin-option", 0, "NAME[=VALUE]", D | R | P, PLUGINS, "an option of a plugin"),
};
/* clang-format on */

const size_t option_count = sizeof(option_table) / sizeof(*option_table);

const struct command_row command_table[] = {
	{"dump", COMMAND_DUMP, "-t PID [OPTIONS]", NULL, "store a process tree in image files"},
	{"restore", COMMAND_RESTORE, "[OPTIONS] [-- PROGRAM...]", NULL,
	 "bring a process tree back from image files"},
	{"check", COMMAND_CHECK, "[-t PID | --feature NAME] [OPTIONS]", NULL,
	 "tell what this kernel offers, or what stands against dumping PID"},
	{"show", COMMAND_SHOW, "DIR [--json] | --raw FILE...", NULL,
	 "print what a checkpoint holds"},
	{"mounts", COMMAND_MOUNTS, "PID | DIR [--json | --dot | --plan] | --diff A B", NULL,
	 "print the mounts of a process or a checkpoint"},
	{"version", COMMAND_VERSION, "", NULL, "print the version"},
	{"pre-dump", COMMAND_PRE_DUMP, "-t PID", INCREMENTS, "store memory ahead of a dump"},
	{"page-server", COMMAND_PAGE_SERVER, "", PAGES, "receive pages"},
	{"lazy-pages", COMMAND_LAZY_PAGES, "", LAZY, "fill memory when it is used"},
	{"service", COMMAND_SERVICE, "", "services and RPC", "serve requests on a socket"},
	{"swrk", COMMAND_SERVICE, "FD", "services and RPC", "serve requests on FD"},
	{"dedup", COMMAND_DEDUP, "", INCREMENTS, "remove pages that are stored twice"},
	{"cpuinfo", COMMAND_CPUINFO, "dump | check", "checks of processor features",
	 "store or compare processor features"},
	{"exec", COMMAND_EXEC, "PID NAME...", "system calls on request (deprecated)",
	 "make a task issue a system call"},
};

const size_t command_count = sizeof(command_table) / sizeof(*command_table);

const struct command_row *command_find(const char *name)
{
	for (size_t i = 0; name && i < command_count; i++)
		if (strcmp(command_table[i].name, name) == 0)
			return &command_table[i];
	return NULL;
}

/* ---- together ----------------------------------------------------------------------------- */

void options_init(struct options *options)
{
	*options = (struct options){
		.arena = arena_new(), .verbosity = LOG_WARN, .ghost_limit = 1 << 20, .timeout = 10};
}

void options_free(struct options *options)
{
	arena_free(options->arena);
	options->arena = NULL;
}

int options_check(const struct options *options)
{
	const struct command_row *row = command_find(options->command);
	unsigned int command = row ? row->command : 0;
	int error = 0;

	if (!row)
		return 0;
	if (row->capability)
		return REFUSE(SUBJECT("%s", row->name), "stasis --help lists the commands",
			      "%s are not supported yet", row->capability);
	if (command == COMMAND_DUMP && !options->tree)
		error = FAIL(EINVAL, SUBJECT("dump"), "name the root of the tree with -t PID",
			     "which process?");
	if (options->restore_sibling && !options->restore_detached && command == COMMAND_RESTORE)
		error = FAIL(EINVAL, SUBJECT("--restore-sibling"), "add --restore-detached (-d)",
			     "stasis could not wait for a task that is not its child");
	if (options->exec_cmd && !options->argument_count && command == COMMAND_RESTORE)
		error = FAIL(EINVAL, SUBJECT("--exec-cmd"),
			     "give it behind the options: -- PROGRAM", "no program to become");
	if (options->exec_cmd && options->restore_sibling && command == COMMAND_RESTORE)
		error = FAIL(EINVAL, SUBJECT("--exec-cmd"), "leave --restore-sibling out",
			     "a sibling has another parent");
	if (options->argument_count && !(command & (COMMAND_SHOW | COMMAND_MOUNTS)) &&
	    !(command == COMMAND_RESTORE && options->exec_cmd))
		error = FAIL(EINVAL, SUBJECT("%s", options->arguments[0]),
			     "stasis --help shows how commands are written",
			     "is no option, and %s takes no arguments", options->command);
	return error;
}
