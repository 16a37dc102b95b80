/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdio.h>

struct contents;

/* The ways to show a checkpoint.  Errors of the stream are the caller's to look at. */
void show_text(struct contents *contents, FILE *out);
void show_json(struct contents *contents, FILE *out);

/* One image file of any type as JSON.  Reports. */
int show_raw(const char *path, FILE *out);
