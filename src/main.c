/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "cli/check.h"
#include "cli/logfile.h"
#include "cli/mounts.h"
#include "cli/options.h"
#include "cli/privilege.h"
#include "cli/show.h"

static int version_command(const struct options *options)
{
	puts(options->as_criu ? "Version: 4.3" : "stasis " STASIS_VERSION);
	return 0;
}

static int dump_command(const struct options *options)
{
	int error = privilege_check(options);

	return error ? error : checkpoint_dump(options);
}

/* CRIU's --exec-cmd: the program takes stasis' place and with it becomes the root's parent. */
static int restore_command(const struct options *options)
{
	struct options detached = *options;
	int error = privilege_check(options);

	if (error)
		return error;
	if (!options->exec_cmd)
		return checkpoint_restore(options);
	detached.restore_detached = true;
	error = checkpoint_restore(&detached);
	if (error)
		return error;
	execvp(options->arguments[0], options->arguments);
	return FAIL(errno, SUBJECT("%s", options->arguments[0]), "the restored application runs",
		    "cannot be executed: %s", strerror(errno));
}

static const struct {
	enum command command;
	int (*run)(const struct options *options);
} commands[] = {
	{COMMAND_DUMP, dump_command},     {COMMAND_RESTORE, restore_command},
	{COMMAND_CHECK, check_command},   {COMMAND_SHOW, show_command},
	{COMMAND_MOUNTS, mounts_command}, {COMMAND_VERSION, version_command},
};

static int run(const struct options *options)
{
	const struct command_row *row = command_find(options->command);

	for (size_t i = 0; row && i < sizeof(commands) / sizeof(*commands); i++)
		if (commands[i].command == row->command)
			return commands[i].run(options);
	return FAIL(EINVAL, SUBJECT("command line"), "stasis --help lists the commands",
		    "names no command");
}

/* What the caller left us with must not change what waiting, time limits and printing do. */
static void settle_ourselves(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	/* Nothing that is opened later may take the place of a standard stream. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", O_RDWR);
}

static int run_logged(const struct options *options, int error, char **argv)
{
	int log_error;

	if (!error)
		error = options_check(options);
	/* Also for options that make no sense: clients look for errors in the log. */
	log_error = logfile_open(options, argv);
	if (!error)
		error = log_error;
	return error ? error : run(options);
}

int main(int argc, char **argv)
{
	struct options options;
	int error;

	settle_ourselves();
	error = options_parse(&options, argc, argv);
	if (!error && options.version)
		error = version_command(&options);
	else if (!error && options.help)
		help_print(&options);
	else
		error = run_logged(&options, error, argv);
	/* Whoever fails says why; should it ever be forgotten, there is at least a word. */
	if (error < 0 && !report_count())
		FAIL(-error, SUBJECT("stasis"), "the log has more", "failed: %s", strerror(-error));
	report_print();
	report_clear();
	log_close();
	options_free(&options);
	return error ? 1 : 0;
}
