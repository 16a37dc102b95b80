/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The I/O priority of a thread that never chose one. */
int ioprio_by_nice(uint32_t policy, int32_t nice);
/* Are the first `count` bits of the mask set? */
bool mask_covers(const unsigned char *mask, size_t bytes, size_t count);
