/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/report.h"
#include "cli/options.h"

/* Above the standard descriptors: the log owns what it is given, and closes it. */
static int copy(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
}

static int open_file(const struct options *options, int *fd)
{
	const char *work = options->work_dir ? options->work_dir : options->images_dir;
	autofd int dir = open(work ? work : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return FAIL(errno, SUBJECT("work directory %s", work ? work : "."),
			    "make the directory, or give another with -W or -D",
			    "cannot be opened: %s", strerror(errno));
	*fd = openat(dir, options->log_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC,
		     0600);
	if (*fd < 0)
		return FAIL(errno, SUBJECT("log file %s", options->log_file),
			    "give another with -o", "cannot be opened: %s", strerror(errno));
	return 0;
}

static void introduce(char **argv)
{
	struct utsname kernel;
	char line[1024] = "";

	for (size_t used = 0; *argv && used < sizeof(line); argv++)
		used += snprintf(line + used, sizeof(line) - used, "%s%s", used ? " " : "", *argv);
	if (uname(&kernel) == 0)
		log_info("stasis %s on %s %s %s", STASIS_VERSION, kernel.sysname, kernel.release,
			 kernel.machine);
	log_info("command line: %s", line);
}

int logfile_open(const struct options *options, char **argv)
{
	int fd = -1, error = 0;

	if (options->log_file && strcmp(options->log_file, "-") == 0)
		fd = copy(STDOUT_FILENO);
	else if (options->log_file)
		error = open_file(options, &fd);
	else if (options->verbose)
		fd = copy(STDERR_FILENO);
	log_open(fd, options->verbosity);
	introduce(argv);
	return error;
}
