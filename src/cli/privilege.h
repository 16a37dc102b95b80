/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct options;

/*
 * Whether this process may do what the command is about at all.  Without it, nothing would work,
 * for reasons that a person would be shown by the dozen; which other privileges are needed depends
 * on the application.  0 or -EPERM; reports.
 */
int privilege_check(const struct options *options);
