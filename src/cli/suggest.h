/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

enum { SUGGEST_SIZE = 160 };

/*
 * "did you mean --tree or --track-mem?": the names nearest to a mistyped one, or "" when none is
 * near.  `name_at` gives the names by index, NULL behind the last; `prefix` is set before each.
 */
void suggest(const char *mistyped, const char *(*name_at)(unsigned long index), const char *prefix,
	     char text[SUGGEST_SIZE]);
