/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum feature_level {
	FEATURE_REQUIRED, /* nothing works without it */
	FEATURE_EXTRA,    /* some applications need it, or something takes longer without */
};

/* What a kernel may offer.  Names are CRIU's where CRIU has one. */
struct feature {
	const char *name;
	enum feature_level level;
	/* Tries it out, harmlessly and at once. */
	bool (*probe)(void);
	const char *gain;       /* what it is there for */
	const char *loss;       /* what is so without it */
	const char *origin;     /* where it comes from: the kernel's version, its configuration */
	const char *capability; /* of CRIU's: stasis cannot do what it is for yet; no probe */
};

extern const struct feature feature_table[];
extern const size_t feature_count;

const struct feature *feature_find(const char *name);
