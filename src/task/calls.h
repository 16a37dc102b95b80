/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "remote/arch/arch.h"

struct inquiry;
struct revival;
struct thread;

/*
 * System calls that a stop interrupts.
 *
 * A call that answers EINTR for no other reason than our stop is made again (calls_settle(), before
 * anything runs in the thread).  calls_prepare() makes registers for the core image, in which no
 * kernel will finish the call: it is made again, or is answered, as the kernel would have done when
 * the task goes on.  calls_resume() gives a restored thread that slept the rest of its sleep; regs
 * are what the thread will get.
 */
int calls_settle(struct thread *thread);
void calls_prepare(struct inquiry *inquiry, struct arch_regs *regs);
int calls_resume(struct revival *revival, struct arch_regs *regs);

/* What becomes of a call, by the result it stands at (a negative errno of the kernel). */
enum call_fate { CALL_AS_IT_IS, CALL_AGAIN, CALL_EINTR };
/* handler: a signal with a handler waits, and its flags (SA_RESTART). */
enum call_fate call_fate(int64_t result, bool handler, uint64_t handler_flags);
