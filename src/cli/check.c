/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/report.h"
#include "checkpoint/checkpoint.h"
#include "cli/features.h"
#include "cli/options.h"
#include "cli/privilege.h"
#include "cli/suggest.h"

/* ---- --feature ---------------------------------------------------------------------------- */

static const char *feature_name(unsigned long index)
{
	return index < feature_count ? feature_table[index].name : NULL;
}

static int list_features(void)
{
	for (size_t i = 0; i < feature_count; i++)
		printf("%s%s", i ? " " : "", feature_table[i].name);
	printf("\n");
	return 0;
}

static int check_feature(const char *name)
{
	const struct feature *feature = feature_find(name);
	char near[SUGGEST_SIZE];

	if (!feature) {
		suggest(name, feature_name, "", near);
		return FAIL(EINVAL, SUBJECT("--feature %s", name),
			    *near ? near : "stasis check --feature list prints the names",
			    "no such feature");
	}
	if (feature->capability)
		return REFUSE(SUBJECT("%s", name), NULL, "%s are not supported yet",
			      feature->capability);
	if (!feature->probe())
		return FAIL(EOPNOTSUPP, SUBJECT("%s", name), feature->origin, "%s", feature->loss);
	return 0;
}

static int check_features(const struct string_list *names)
{
	int error = 0;

	for (size_t i = 0; i < names->count; i++) {
		int one = strcmp(names->items[i], "list") == 0 ? list_features()
							       : check_feature(names->items[i]);

		error = error ? error : one;
	}
	return error;
}

/* ---- the whole kernel --------------------------------------------------------------------- */

static bool print_feature(const struct feature *feature)
{
	bool there = feature->probe();

	printf("  %-3s  %-24s ", there ? "yes" : "no", feature->name);
	if (there)
		printf("%s\n", feature->gain);
	else
		printf("without it %s (%s)\n", feature->loss, feature->origin);
	return there;
}

/* How many features of the level are missing. */
static size_t print_level(enum feature_level level, const char *title)
{
	size_t missing = 0;

	printf("%s:\n", title);
	for (size_t i = 0; i < feature_count; i++)
		if (feature_table[i].level == level && !feature_table[i].capability)
			missing += !print_feature(&feature_table[i]);
	return missing;
}

/*
 * Everything is shown; what is missing decides only where it was asked for, as with CRIU.  There
 * is nothing experimental: --experimental asks for nothing more.
 */
static int check_kernel(const struct options *options)
{
	size_t required = print_level(FEATURE_REQUIRED, "Required");
	size_t extra = print_level(FEATURE_EXTRA, "For some applications, or for speed");

	if (required) {
		printf("Does not look good.\n");
		return FAIL(EOPNOTSUPP, SUBJECT("kernel"), "use Linux 6.1 or newer, as root",
			    "%zu required feature%s missing", required,
			    required == 1 ? " is" : "s are");
	}
	if (extra && (options->check_extra || options->check_all)) {
		printf("Looks good but some kernel features are missing\n"
		       "which, depending on your process tree, may cause\n"
		       "dump or restore failure.\n");
		return -EOPNOTSUPP;
	}
	printf("Looks good.\n");
	return 0;
}

/* ---- a process tree ----------------------------------------------------------------------- */

static int check_tree(const struct options *options)
{
	int error = privilege_check(options);

	if (!error)
		error = checkpoint_check(options);
	if (!error)
		printf("Looks good.\n");
	return error;
}

int check_command(const struct options *options)
{
	if (options->features.count)
		return check_features(&options->features);
	return options->tree ? check_tree(options) : check_kernel(options);
}
