/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The names of numbers, as data: for messages, `stasis show` and its JSON. */
struct name {
	uint64_t value;
	const char *name;
};

struct names {
	const struct name *rows;
	size_t count;
};

extern const struct names signal_names;  /* SIGHUP...; real-time ones see signal_name() */
extern const struct names open_names;    /* O_*, but for the access mode */
extern const struct names vma_names;     /* vma_entry.status */
extern const struct names prot_names;    /* PROT_* */
extern const struct names map_names;     /* MAP_* */
extern const struct names action_names;  /* SA_* */
extern const struct names seal_names;    /* F_SEAL_* */
extern const struct names pagemap_names; /* pagemap_entry.flags */
extern const struct names state_names;   /* task_core_entry.task_state */
extern const struct names clock_names;   /* CLOCK_* */
extern const struct names policy_names;  /* SCHED_* */
extern const struct names rlimit_names;  /* RLIMIT_* */

/* The name of the value, or NULL. */
const char *name_of(const struct names *names, uint64_t value);

enum { NAMES_SIZE = 1024 };

/*
 * All the flags of a value, "O_APPEND|O_NONBLOCK|0x40000000", "0" for none; what has no name is
 * a number.  In a buffer of the caller's, which is returned; what does not fit is cut off.
 */
const char *names_of(const struct names *names, uint64_t value, char buffer[NAMES_SIZE]);
/* Likewise for open flags, whose access mode is a number: "O_RDWR|O_APPEND". */
const char *open_flags_name(uint64_t flags, char buffer[NAMES_SIZE]);
/* "SIGTERM", "SIGRTMIN+3" (of the C library's SIGRTMIN, 34), "signal 99". */
const char *signal_name(int number, char buffer[NAMES_SIZE]);
/* The signals of a mask (bit 0 is signal 1): "SIGINT SIGRTMIN+3", "all but SIGTRAP", "" for none.
 */
const char *signal_set_name(uint64_t mask, char buffer[NAMES_SIZE]);
