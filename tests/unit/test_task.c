/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/arena.h"
#include "images/core.pb-c.h"
#include "remote/arch/arch.h"
#include "task/calls.h"
#include "task/proc.h"
#include "task/sched.h"
#include "task/timers.h"

/* ---- /proc -------------------------------------------------------------------------------- */

#define IDS                                                                                        \
	"Name:\tUid:\nUmask:\t0022\nTracerPid:\t77\nUid:\t1000\t1001\t1002\t1003\nGid:"            \
	"\t1\t2\t3\t4294967294\n"
#define SIGNALS                                                                                    \
	"Threads:\t1\nSigPnd:\t0000000000000001\nShdPnd:\t0000000200000000\n"                      \
	"SigBlk:\t0000000000010000\nSigIgn:\t0000000000001000\nSigCgt:\t8000000000000400\n"
#define CAPABILITIES                                                                               \
	"CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001fffeffffff\n"        \
	"CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000002\nNoNewPrivs:\t1\n"

static void status_is_parsed(void **state)
{
	struct proc_status status;

	assert_int_equal(proc_status_parse(IDS "Groups:\t4 24 4294967295 \n" SIGNALS CAPABILITIES
					       "Seccomp:\t2\nSeccomp_filters:\t1\n",
					   &status),
			 0);
	assert_int_equal(status.umask, 022);
	assert_int_equal(status.tracer, 77);
	assert_int_equal(status.uids[1], 1001);
	assert_int_equal(status.gids[3], 4294967294u);
	assert_int_equal(status.group_count, 3);
	assert_int_equal(status.groups[2], 4294967295u);
	assert_true(status.shared_pending == 1ull << 33);
	assert_true(status.caught == (1ull << 63 | 1 << 10));
	assert_true(status.effective == 0x1fffeffffffull);
	assert_int_equal(status.ambient, 2);
	assert_int_equal(status.no_new_privs, 1);
	assert_int_equal(status.seccomp, 2);
	proc_status_free(&status);
}

static void status_without_groups_or_seccomp(void **state)
{
	struct proc_status status;

	assert_int_equal(proc_status_parse(IDS "Groups:\t \n" SIGNALS CAPABILITIES, &status), 0);
	assert_int_equal(status.group_count, 0);
	assert_int_equal(status.seccomp, 0);
	proc_status_free(&status);
}

static void damaged_status_is_refused(void **state)
{
	struct proc_status status;

	assert_int_equal(proc_status_parse("", &status), -EINVAL);
	assert_int_equal(proc_status_parse(IDS "Groups:\tx\n" SIGNALS CAPABILITIES, &status),
			 -EINVAL);
	assert_int_equal(proc_status_parse(IDS "Groups:\t\n" CAPABILITIES, &status), -EINVAL);
	assert_int_equal(proc_status_parse(IDS "Groups:\t1 2\n" SIGNALS, &status), -EINVAL);
	assert_null(status.groups);
}

static void stat_is_parsed(void **state)
{
	struct proc_stat stat;
	const char *text = "42 (a) Z 1 (b) Z 7 8 9 0 -1 4228364 10 11 12 13 14 15 16 17 20 5 1 0 "
			   "21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 17 1 2 3 4 5 6 7 8 "
			   "9 10 11 12 13 2304\n";

	assert_int_equal(proc_stat_parse(text, &stat), 0);
	assert_string_equal(stat.comm, "a) Z 1 (b");
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(stat.ppid, 7);
	assert_int_equal(stat.pgrp, 8);
	assert_int_equal(stat.session, 9);
	assert_int_equal(stat.flags, 4228364);
	assert_int_equal(stat.exit_signal, 17);
	assert_int_equal(stat.exit_code, 2304);
	assert_int_equal(stat.start_code, 25);
	assert_int_equal(stat.start_stack, 27);
	assert_int_equal(stat.start_data, 7);
	assert_int_equal(stat.env_end, 13);
	assert_int_equal(proc_stat_parse("42 (a) Z 7 8 9 0 -1 1 2 3\n", &stat), -EINVAL);
	assert_int_equal(proc_stat_parse("42 )a( Z", &stat), -EINVAL);
	assert_int_equal(proc_stat_parse("", &stat), -EINVAL);
}

static void timers_are_parsed(void **state)
{
	const char *text =
		"ID: 1\nsignal: 60/00007fff86e452a8\nnotify: signal/pid.2634\nClockID: 0\n"
		"ID: 7\nsignal: 0/0000000000000000\nnotify: none/tid.12\nClockID: -6\n";
	struct proc_timer timer;

	assert_int_equal(proc_timer_parse(&text, &timer), 1);
	assert_int_equal(timer.id, 1);
	assert_int_equal(timer.signo, 60);
	assert_true(timer.value == 0x7fff86e452a8);
	assert_int_equal(timer.notify, SIGEV_SIGNAL);
	assert_int_equal(timer.target, 2634);
	assert_int_equal(timer.clock, CLOCK_REALTIME);
	assert_int_equal(proc_timer_parse(&text, &timer), 1);
	assert_int_equal(timer.notify, SIGEV_NONE | SIGEV_THREAD_ID);
	assert_int_equal(timer.clock, -6);
	assert_int_equal(proc_timer_parse(&text, &timer), 0);
	text = "ID: 1\nsignal: 60/0\nnotify: often/pid.1\nClockID: 0\n";
	assert_int_equal(proc_timer_parse(&text, &timer), -EINVAL);
	text = "ID: 1\nsignal: 60/0\n";
	assert_int_equal(proc_timer_parse(&text, &timer), -EINVAL);
}

/* ---- interrupted calls -------------------------------------------------------------------- */

static void fates_are_the_kernels(void **state)
{
	assert_int_equal(call_fate(-512, false, 0), CALL_AGAIN);
	assert_int_equal(call_fate(-512, true, 0), CALL_EINTR);
	assert_int_equal(call_fate(-512, true, SA_RESTART), CALL_AGAIN);
	assert_int_equal(call_fate(-513, true, 0), CALL_AGAIN);
	assert_int_equal(call_fate(-514, false, 0), CALL_AGAIN);
	assert_int_equal(call_fate(-514, true, SA_RESTART), CALL_EINTR);
	assert_int_equal(call_fate(-516, false, 0), CALL_AGAIN);
	assert_int_equal(call_fate(-516, true, SA_RESTART), CALL_EINTR);
	assert_int_equal(call_fate(-EINTR, false, 0), CALL_AS_IT_IS);
	assert_int_equal(call_fate(0, false, 0), CALL_AS_IT_IS);
	assert_int_equal(call_fate(-ENOSYS, true, 0), CALL_AS_IT_IS);
}

#ifdef __x86_64__
static void numbers_are_found_in_code(void **state)
{
	/* mov $0x23,%eax; syscall / mov $0xe6,%rax; syscall / mov %rdi,%rax; syscall */
	assert_int_equal(
		arch_loaded_syscall((unsigned char[]){0x90, 0x90, 0xb8, 0x23, 0, 0, 0, 0x0f, 0x05}),
		SYS_nanosleep);
	assert_int_equal(
		arch_loaded_syscall((unsigned char[]){0x48, 0xc7, 0xc0, 0xe6, 0, 0, 0, 0x0f, 0x05}),
		SYS_clock_nanosleep);
	assert_int_equal(arch_loaded_syscall((unsigned char[]){0x90, 0x90, 0x90, 0x90, 0x48, 0x89,
							       0xf8, 0x0f, 0x05}),
			 -1);
	assert_int_equal(
		arch_loaded_syscall((unsigned char[]){0x90, 0x90, 0xb8, 0x23, 0, 0, 0, 0x0f, 0x34}),
		-1);
}
#endif

/* ---- core images -------------------------------------------------------------------------- */

static CoreEntry *core_with(struct arena *arena, uint64_t cs, uint64_t fs_base)
{
	CoreEntry *core = ARENA_MESSAGE(arena, core_entry, CoreEntry);

	core->mtype = arch_march();
	core->thread_info = ARENA_MESSAGE(arena, thread_info_x86, ThreadInfoX86);
	core->thread_info->gpregs = ARENA_MESSAGE(arena, user_x86_regs_entry, UserX86RegsEntry);
	core->thread_info->gpregs->cs = cs;
	core->thread_info->gpregs->ss = 0x2b;
	core->thread_info->gpregs->fs_base = fs_base;
	core->thread_info->gpregs->orig_ax = SYS_read;
	return core;
}

static void hostile_registers_are_refused(void **state)
{
	struct arena *arena = arena_new();
	struct arch_problem problem;
	struct arch_regs regs;
	CoreEntry *core = core_with(arena, 0x33, 0x7f0000000000);

	assert_int_equal(arch_core_regs(core, &regs, &problem), 0);
	assert_int_equal(arch_syscall_nr(&regs), -1);
	assert_int_equal(arch_core_regs(core_with(arena, 0x10, 0), &regs, &problem), -EINVAL);
	assert_int_equal(arch_core_regs(core_with(arena, 0x23, 0), &regs, &problem), -EINVAL);
	assert_int_equal(arch_core_regs(core_with(arena, 0x33, ~0ull), &regs, &problem), -EINVAL);
	core->thread_info->gpregs->has_mode = true;
	core->thread_info->gpregs->mode = USER_X86_REGS_MODE__COMPAT;
	assert_int_equal(arch_core_regs(core, &regs, &problem), -EOPNOTSUPP);
	core->thread_info = NULL;
	assert_int_equal(arch_core_regs(core, &regs, &problem), -EINVAL);
	assert_null(arch_core_tid_address(core));
	arena_free(arena);
}

/* ---- scheduling --------------------------------------------------------------------------- */

static void default_ioprio_is_known(void **state)
{
	assert_int_equal(ioprio_by_nice(SCHED_NORMAL, 0), 2 << 13 | 4);
	assert_int_equal(ioprio_by_nice(SCHED_BATCH, 19), 2 << 13 | 7);
	assert_int_equal(ioprio_by_nice(SCHED_IDLE, -20), 3 << 13 | 0);
	assert_int_equal(ioprio_by_nice(SCHED_FIFO, 0), 1 << 13 | 4);
}

static void masks_cover(void **state)
{
	const unsigned char mask[] = {0xff, 0x03};

	assert_true(mask_covers(mask, 2, 10));
	assert_true(mask_covers(mask, 2, 0));
	assert_false(mask_covers(mask, 2, 11));
	assert_false(mask_covers(mask, 1, 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_parsed),
		cmocka_unit_test(status_without_groups_or_seccomp),
		cmocka_unit_test(damaged_status_is_refused),
		cmocka_unit_test(stat_is_parsed),
		cmocka_unit_test(timers_are_parsed),
		cmocka_unit_test(fates_are_the_kernels),
#ifdef __x86_64__
		cmocka_unit_test(numbers_are_found_in_code),
#endif
		cmocka_unit_test(hostile_registers_are_refused),
		cmocka_unit_test(default_ioprio_is_known),
		cmocka_unit_test(masks_cover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
