/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Everything a command was asked to do, from the one table of options (cli/options.c) that serves
 * the command line, configuration files, the man page's checks and RPC.
 */
struct options {
	bool as_criu;	      /* called by CRIU's name: its version string, its places */
	const char *command;  /* "dump", "restore", ... */
	char **arguments;     /* what follows the command and is no option */
	size_t argument_count;

	pid_t tree;	      /* -t */
	const char *images_dir, *work_dir, *log_file, *pidfile;
	int verbosity;	      /* enum log_level */
	bool log_pid, display_stats;
	bool leave_running, leave_stopped, restore_detached, restore_sibling, shell_job;
	bool link_remap, force, json, raw, quiet;
	uint64_t ghost_limit; /* bytes */
	unsigned int timeout; /* seconds until a freeze is given up; 0: never */
	char **action_scripts;
	size_t action_script_count;
	int status_fd;	      /* or -1 */
	const char *feature;  /* check --feature */
	bool check_all, check_extra, check_experimental;
	bool skip_file_rwx_check;
	const char *file_validation;
};
