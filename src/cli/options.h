/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The commands; an option says with a set of these bits where it has a meaning. */
enum command {
	COMMAND_DUMP = 1 << 0,
	COMMAND_RESTORE = 1 << 1,
	COMMAND_CHECK = 1 << 2,
	COMMAND_SHOW = 1 << 3,
	COMMAND_VERSION = 1 << 4,
	COMMAND_MOUNTS = 1 << 12,
	/* Of CRIU, and not there yet. */
	COMMAND_PRE_DUMP = 1 << 5,
	COMMAND_PAGE_SERVER = 1 << 6,
	COMMAND_LAZY_PAGES = 1 << 7,
	COMMAND_SERVICE = 1 << 8,
	COMMAND_DEDUP = 1 << 9,
	COMMAND_CPUINFO = 1 << 10,
	COMMAND_EXEC = 1 << 11,
};

struct arena;

struct string_list {
	const char **items;
	size_t count;
};

/* --external KIND[KEY]:VALUE; --ext-mount-map KEY:VALUE is the same for mounts. */
struct external {
	const char *kind, *key;
	const char *value; /* NULL: not given */
};

struct external_list {
	struct external *items;
	size_t count;
};

/*
 * Everything a command was asked to do, from the one table of options (cli/options.c) that serves
 * the command line, configuration files, the man page's checks and RPC.  Strings are the
 * command line's or never freed: they live as long as the program.
 */
struct options {
	bool as_criu;        /* called by CRIU's name: its version string, its places */
	const char *command; /* "dump", "restore", ...; NULL: none was given */
	struct arena *arena; /* of all that options point to */
	char **arguments;    /* what follows the command and is no option; NULL-terminated */
	size_t argument_count;
	bool help, version; /* -h, -V: whatever else was asked, only this is done */

	pid_t tree; /* -t; 0: not given */
	const char *images_dir, *work_dir, *log_file, *pidfile;
	int verbosity; /* enum log_level; 0: no log */
	bool verbose;  /* a verbosity was asked for: without a log file, log to stderr */
	bool display_stats;
	bool leave_running, leave_stopped, restore_detached, restore_sibling, shell_job;
	bool exec_cmd; /* after a restore, become the program in arguments */
	bool link_remap, json, raw;
	bool dot, diff, plan; /* mounts */
	uint64_t ghost_limit; /* bytes */
	unsigned int timeout; /* seconds until a freeze is given up; 0: never */
	struct string_list action_scripts;
	struct string_list features; /* check --feature */
	bool check_all, check_extra, check_experimental;
	bool skip_file_rwx_check;
	const char *root; /* of the restored mount namespace; NULL: found */
	struct external_list external;
	bool external_auto; /* mnt[]: external mounts are found */
	bool external_sharing, external_masters;
	struct string_list skip_mounts, enable_fs;
};

/* A row of the table of options. */
struct option {
	const char *name;     /* without the dashes */
	char letter;          /* the short form, or 0 */
	const char *argument; /* what help calls it; in brackets: may be left out; NULL: a flag */
	unsigned int commands;
	/*
	 * Takes the value over: NULL for a flag and for an argument left out.  Returns what is
	 * wrong with it, to be read behind "--name VALUE: ", or NULL.
	 */
	const char *(*set)(struct options *options, const struct option *option, const char *value,
			   bool negated);
	size_t field; /* offset in struct options of what it sets */
	/* Refused, as a plural that is "not supported yet", unless negated or `harmless` is asked.
	 */
	const char *capability;
	const char *harmless;
	const char *moot; /* accepted with a warning: why it changes nothing */
	bool ours;        /* CRIU has no such option */
	const char *help;
};

extern const struct option option_table[];
extern const size_t option_count;

struct command_row {
	const char *name;
	enum command command;
	const char *usage;      /* what follows the name */
	const char *capability; /* as above: the command is not supported yet */
	const char *help;
};

extern const struct command_row command_table[];
extern const size_t command_count;

const struct command_row *command_find(const char *name);

/*
 * Fills in options from the configuration files and the command line, in this order of growing
 * weight: /etc, the home directory, the environment's file, --config, command line.  Reports all
 * that is wrong and returns a negative errno; options then hold what could be understood.
 */
int options_parse(struct options *options, int argc, char **argv);

/* What no option asks for. */
void options_init(struct options *options);
/* Frees all that options point to (and was not the command line's). */
void options_free(struct options *options);
/* Finds out whether the options make sense together, for their command.  Reports. */
int options_check(const struct options *options);

/* Prints help for the command, or, when there is none, for the program, on standard output. */
void help_print(const struct options *options);
