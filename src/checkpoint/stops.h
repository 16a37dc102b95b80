/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

struct checkpoint;

/*
 * Job-control stops, and what parents have heard of them.
 *
 * Dump, of tasks whose core is described: asks each parent, by waitid() without taking anything
 * away, whether a child's stop or continuation is still to be reported.  Of the root nobody can be
 * asked: its parent is taken to have heard.
 */
int stops_describe(struct checkpoint *checkpoint);

/*
 * Restore, when all tasks are born and before any gets its signal state (which takes the SIGCHLDs
 * of this away): puts the tasks that were stopped into their stop, by the same signal, in which
 * they stay when they are let go, and lets parents hear what they had heard.
 */
int stops_restore(struct checkpoint *checkpoint);
