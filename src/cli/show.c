/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/show.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/report.h"
#include "cli/options.h"
#include "cli/show/contents.h"
#include "cli/show/show.h"

static int show_images(const struct options *options)
{
	if (!options->argument_count)
		return FAIL(EINVAL, SUBJECT("show --raw"), "stasis show --raw DIR/core-42.img",
			    "needs the names of image files");
	for (size_t i = 0; i < options->argument_count; i++) {
		int error = show_raw(options->arguments[i], stdout);

		if (error)
			return error;
	}
	return 0;
}

static int show_checkpoint(const struct options *options)
{
	const char *dir = options->images_dir ? options->images_dir : ".";
	struct contents contents;

	if (options->argument_count > 1)
		return FAIL(EINVAL, SUBJECT("show"), "stasis show DIR",
			    "shows one checkpoint at a time");
	if (options->argument_count)
		dir = options->arguments[0];

	int error = contents_read(dir, &contents);

	if (!error)
		(options->json ? show_json : show_text)(&contents, stdout);
	contents_free(&contents);
	return error;
}

int show_command(const struct options *options)
{
	int error = options->raw ? show_images(options) : show_checkpoint(options);

	if (!error && (fflush(stdout) || ferror(stdout)))
		error = FAIL(errno, SUBJECT("standard output"), NULL, "cannot be written: %s",
			     strerror(errno));
	return error;
}
