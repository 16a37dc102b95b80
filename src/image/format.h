/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "image/image.h"

/* What is known of the types of image: the numbers and names of CRIU 4.3's magic.py. */
enum {
	IMAGE_MAGIC_COMMON = 0x54564319,  /* starts every image that is part of a checkpoint, */
	IMAGE_MAGIC_SERVICE = 0x55105940, /* every image beside it, such as statistics; */
					  /* and the inventory, as the oldest file, has neither. */
};

struct image_format {
	const char *magic_name; /* as crit prints it; NULL: a file without magic and messages */
	uint32_t magic;
	uint32_t prefix; /* IMAGE_MAGIC_*, or 0 */
	const char
		*file; /* the file's name, a printf format for an unsigned long if it has an id */
	const ProtobufCMessageDescriptor *message,
		*first; /* first: of the first entry, if not NULL */
	bool nests;     /* the message may contain itself */
};

/* The row of a type; for IMAGE_OTHER, NULL. */
const struct image_format *image_format(enum image_type type);
/* The row with this magic number (of several, the first), or NULL. */
const struct image_format *image_format_by_magic(uint32_t magic);
/* All rows: those of enum image_type, then the others. */
extern const struct image_format image_formats[];
extern const size_t image_format_count;
