/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "checkpoint/action.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/phase.h"
#include "base/report.h"
#include "cli/options.h"

enum { OWN_VARIABLES = 3 };

/* The caller's environment and, in front of it, what a script is told. */
struct environment {
	char **items;
	char *own[OWN_VARIABLES];
};

static void environment_free(struct environment *environment)
{
	for (size_t i = 0; i < OWN_VARIABLES; i++)
		free(environment->own[i]);
	free(environment->items);
}

__attribute__((format(printf, 2, 3))) static void set(char **variable, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	if (vasprintf(variable, format, list) < 0)
		die_of_memory();
	va_end(list);
}

static int environment_make(struct environment *environment, const struct options *options,
			    const char *stage, pid_t init_pid)
{
	const char *images = options->images_dir ? options->images_dir : ".";
	autofree char *path = realpath(images, NULL);
	size_t inherited = 0, count = 0;

	*environment = (struct environment){0};
	if (!path)
		return FAIL(errno, SUBJECT("images directory %s", images), "give another with -D",
			    "cannot be found: %s", strerror(errno));
	set(&environment->own[0], "CRTOOLS_SCRIPT_ACTION=%s", stage);
	set(&environment->own[1], "CRTOOLS_IMAGE_DIR=%s", path);
	if (init_pid)
		set(&environment->own[2], "CRTOOLS_INIT_PID=%d", init_pid);
	while (environ[inherited])
		inherited++;
	environment->items = calloc(inherited + OWN_VARIABLES + 1, sizeof(char *));
	if (!environment->items)
		die_of_memory();
	for (size_t i = 0; i < OWN_VARIABLES; i++)
		if (environment->own[i])
			environment->items[count++] = environment->own[i];
	/* One that stasis itself was given (it is run by a script) must not hide ours. */
	for (size_t i = 0; i < inherited; i++)
		if (strncmp(environ[i], "CRTOOLS_", strlen("CRTOOLS_")) != 0)
			environment->items[count++] = environ[i];
	return 0;
}

/*
 * The script gets standard input, output and error and nothing else of ours, and signals as they
 * are by default: stasis ignores or blocks some.
 */
static int spawn(const struct options *options, const char *script, char **environment, pid_t *pid)
{
	char *arguments[] = {(char *)script, NULL};
	const char *work = options->work_dir ? options->work_dir : options->images_dir;
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int error;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attributes);
	posix_spawn_file_actions_addchdir_np(&files, work ? work : ".");
	posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	error = posix_spawnp(pid, script, &files, &attributes, arguments, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&files);
	return -error;
}

static int run(const struct options *options, const char *script, const char *stage,
	       char **environment)
{
	struct subject subject = SUBJECT("action script %s (%s)", script, stage);
	pid_t pid;
	int status, error = spawn(options, script, environment, &pid);

	if (error)
		return FAIL(-error, subject, "make it executable; a script needs its #! line",
			    "cannot be run: %s", strerror(-error));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return FAIL(errno, subject, NULL, "was lost: %s", strerror(errno));
	if (WIFSIGNALED(status))
		return FAIL(EIO, subject, NULL, "was killed by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status))
		return FAIL(EIO, subject, "a script that agrees ends with 0", "ended with %d",
			    WEXITSTATUS(status));
	log_info("action script %s (%s) agrees", script, stage);
	return 0;
}

int action_run(const struct options *options, const char *stage, pid_t init_pid)
{
	struct environment environment;
	struct phase phase;
	int error;

	if (!options->action_scripts.count)
		return 0;
	phase = phase_begin(stage, NULL);
	error = environment_make(&environment, options, stage, init_pid);
	for (size_t i = 0; i < options->action_scripts.count && !error; i++)
		error = run(options, options->action_scripts.items[i], stage, environment.items);
	environment_free(&environment);
	phase_end(&phase);
	return error;
}
