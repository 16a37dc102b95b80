/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The mount table of a process (/proc/self/mountinfo), written so that tables that are the same to
 * a process are the same text: ids, device numbers and groups are numbered in the order of the
 * tree, siblings come by mountpoint.
 */

/* Calls line() with each mount's; `text` is the file's, and is changed. */
void mounts_describe(char *text, void (*line)(void *argument, const char *text), void *argument);
