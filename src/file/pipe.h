/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include "file/internal.h"
#include "images/pipe-data.pb-c.h"

/* What pipes and FIFOs have in common: pipe.c makes it, fifo.c uses it. */

/* Dump: the pipe's id, the same for all descriptions of it. */
uint32_t pipe_id(struct checkpoint *checkpoint, struct file_inode *inode);
/* Dump: refuses a pipe whose other end is held by a process that is not dumped. */
int pipe_check(struct checkpoint *checkpoint, struct description *description);
/* Dump: stores size and contents, once for each pipe.  type: IMAGE_PIPES_DATA, IMAGE_FIFO_DATA */
int pipe_store(struct checkpoint *checkpoint, struct description *description,
	       enum image_type type);

/* Restore: all that is known of a pipe. */
struct pipe {
	struct description *members; /* all descriptions, linked by next */
	PipeDataEntry *data;         /* or NULL */
	uint64_t offset;             /* of the contents in the image */
};

/* The pipe with this id, which the description becomes a member of. */
struct pipe *pipe_join(struct checkpoint *checkpoint, enum image_type type, uint32_t id,
		       struct description *description);
/* Sets the size of a new pipe and fills it by its writing end, which is left with O_NONBLOCK. */
int pipe_fill(struct checkpoint *checkpoint, const struct pipe *pipe, enum image_type type,
	      int writer);

static inline bool pipe_reads(const struct description *description)
{
	return (description->flags & O_ACCMODE) != O_WRONLY;
}

static inline bool pipe_writes(const struct description *description)
{
	return (description->flags & O_ACCMODE) != O_RDONLY;
}
