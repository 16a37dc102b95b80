/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "image/image.h"
#include "namespace/namespace.h"

/* Shared by the files of namespace/ only: the kinds that hold something. */
extern const struct namespace_content uts_content;

/* Its image with one message, which must be there.  Reports. */
int namespace_read_one(struct checkpoint *checkpoint, struct namespace *namespace,
		       enum image_type type, void *message_pointer);
/* Dump: what is in a namespace that has just been found. */
int namespace_survey(struct checkpoint *checkpoint, struct namespace *namespace);
