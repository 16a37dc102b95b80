/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <linux/prctl.h>

#include "task/part.h"

/*
 * Switches: small things that one call reads and another sets, mostly of prctl(2).  An attribute is
 * a row.  Only what does not stand as programs find it is stored; what nothing can set is refused.
 */

/* Newer than the headers of Debian 12; the kernel that brought each. */
enum {
	GET_MDWE = 66, /* 6.3 */
	SET_MDWE = 65,
	GET_MEMORY_MERGE = 68, /* 6.4 */
	SET_MEMORY_MERGE = 67,
	TIMER_IDS = 77, /* 6.15 */
	TIMER_IDS_GET = 2,
	RSEQ_SLICE = 79, /* 7.0 */
	RSEQ_SLICE_GET = 1,
	RSEQ_SLICE_SET = 2,
	PF_IO_FLUSHER = 0x00080000 | 0x00100000, /* PF_MEMALLOC_NOIO, PF_LOCAL_THROTTLE */
};

enum {
	CHOICES = PR_SPEC_ENABLE | PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE | PR_SPEC_DISABLE_NOEXEC
};

#define SPECULATION(title, which, usual)                                                           \
	{                                                                                          \
		.name = "speculation control (" title ")", .call = SYS_prctl,                      \
		.get = PR_GET_SPECULATION_CTRL, .argument = which, .form = CONTROL_RESULT,         \
		.mask = CHOICES, .needs = PR_SPEC_PRCTL, .normal = usual,                          \
		.set = PR_SET_SPECULATION_CTRL, .by_argument = true, .set_argument = which         \
	}

static const struct task_control general_controls[] = {
	{.name = "rdtsc instruction (PR_SET_TSC)",
	 .call = SYS_prctl,
	 .get = PR_GET_TSC,
	 .form = CONTROL_INT,
	 .mask = UINT32_MAX,
	 .normal = PR_TSC_ENABLE,
	 .set = PR_SET_TSC},
	{.name = "memory error policy (PR_MCE_KILL)",
	 .call = SYS_prctl,
	 .get = PR_MCE_KILL_GET,
	 .form = CONTROL_RESULT,
	 .mask = 3,
	 .normal = PR_MCE_KILL_DEFAULT,
	 .set = PR_MCE_KILL,
	 .by_argument = true,
	 .set_argument = PR_MCE_KILL_SET},
	{.name = "I/O flusher state (PR_SET_IO_FLUSHER)",
	 .form = CONTROL_TASK_FLAG,
	 .argument = PF_IO_FLUSHER,
	 .mask = 1,
	 .call = SYS_prctl,
	 .set = PR_SET_IO_FLUSHER,
	 .remedy = "run stasis with CAP_SYS_RESOURCE"},
	SPECULATION("store bypass", PR_SPEC_STORE_BYPASS, PR_SPEC_ENABLE),
	SPECULATION("indirect branches", PR_SPEC_INDIRECT_BRANCH, PR_SPEC_ENABLE),
	SPECULATION("L1 data cache flush", PR_SPEC_L1D_FLUSH, PR_SPEC_DISABLE),
	{.name = "time slice extension (PR_RSEQ_SLICE_EXTENSION)",
	 .call = SYS_prctl,
	 .get = RSEQ_SLICE,
	 .argument = RSEQ_SLICE_GET,
	 .form = CONTROL_RESULT,
	 .mask = 1,
	 .set = RSEQ_SLICE,
	 .by_argument = true,
	 .set_argument = RSEQ_SLICE_SET},
	{.name = "denial of writable code (PR_SET_MDWE)",
	 .call = SYS_prctl,
	 .get = GET_MDWE,
	 .form = CONTROL_RESULT,
	 .mask = 3,
	 .set = SET_MDWE,
	 .process = true},
	{.name = "merging of equal pages (PR_SET_MEMORY_MERGE)",
	 .call = SYS_prctl,
	 .get = GET_MEMORY_MERGE,
	 .form = CONTROL_RESULT,
	 .mask = 1,
	 .set = SET_MEMORY_MERGE,
	 .process = true},
	{.name = "choice of timer numbers (PR_TIMER_CREATE_RESTORE_IDS)",
	 .call = SYS_prctl,
	 .get = TIMER_IDS,
	 .argument = TIMER_IDS_GET,
	 .form = CONTROL_RESULT,
	 .mask = 1,
	 .set = TIMER_IDS,
	 .process = true},
};

enum { GENERAL_CONTROLS = sizeof(general_controls) / sizeof(*general_controls) };

static size_t control_count(void)
{
	return GENERAL_CONTROLS + arch_control_count;
}

static const struct task_control *control_at(size_t index)
{
	return index < GENERAL_CONTROLS ? &general_controls[index]
					: &arch_controls[index - GENERAL_CONTROLS];
}

/* ---- dump --------------------------------------------------------------------------------- */

struct question {
	size_t call;
	uint64_t *buffer;
};

static struct question ask_one(struct batch *batch, const struct task_control *control)
{
	struct question question = {0};
	uint64_t address = 0;

	switch (control->form) {
	case CONTROL_RESULT:
		question.call = batch_call(batch, control->call, control->get, control->argument);
		break;
	case CONTROL_INT:
	case CONTROL_LONG:
	case CONTROL_BUFFER:
		question.buffer = batch_data(batch, sizeof(*question.buffer), &address);
		question.call =
			batch_call(batch, control->call, control->get, address, control->argument);
		break;
	case CONTROL_TASK_FLAG:
		break;
	}
	return question;
}

static void *controls_ask(struct inquiry *inquiry)
{
	struct question *questions =
		arena_new_array(inquiry->arena, struct question, control_count());

	for (size_t i = 0; i < control_count(); i++)
		if (inquiry->leader || !control_at(i)->process)
			questions[i] = ask_one(inquiry->batch, control_at(i));
	return questions;
}

/* A kernel or a processor that does not know the switch has it as programs find it. */
static uint64_t answer_to(const struct inquiry *inquiry, const struct task_control *control,
			  const struct question *question)
{
	int64_t result;

	if (control->form == CONTROL_TASK_FLAG)
		return (inquiry->stat.flags & control->argument) == control->argument;
	result = batch_result(inquiry->batch, question->call);
	if (result < 0)
		return control->normal;
	if (control->form == CONTROL_INT || control->form == CONTROL_LONG)
		result = *question->buffer;
	if ((result & control->needs) != control->needs)
		return control->normal;
	return result & control->mask;
}

static int store(struct inquiry *inquiry, const struct task_control *control, uint64_t value)
{
	ControlEntry *entry = ARENA_MESSAGE(inquiry->arena, control_entry, ControlEntry);

	if (!control->set)
		return REFUSE(thread_subject(inquiry->thread), control->remedy,
			      "its %s cannot be carried over", control->name);
	entry->option = control->set;
	entry->has_argument = control->by_argument;
	entry->argument = control->set_argument;
	entry->value = control->set_value ? control->set_value : value;
	if (control->process)
		inquiry->tc->controls[inquiry->tc->n_controls++] = entry;
	else
		inquiry->thread_core->controls[inquiry->thread_core->n_controls++] = entry;
	return 0;
}

static int controls_answer(struct inquiry *inquiry, void *asked)
{
	const struct question *questions = asked;
	int error = 0;

	inquiry->thread_core->controls =
		arena_new_array(inquiry->arena, ControlEntry *, control_count());
	if (inquiry->leader)
		inquiry->tc->controls =
			arena_new_array(inquiry->arena, ControlEntry *, control_count());
	for (size_t i = 0; i < control_count(); i++) {
		const struct task_control *control = control_at(i);

		if (control->process && !inquiry->leader)
			continue;

		uint64_t value = answer_to(inquiry, control, &questions[i]);

		if (value != control->normal && store(inquiry, control, value))
			error = -EOPNOTSUPP;
	}
	return error;
}

/* ---- restore ------------------------------------------------------------------------------ */

static const struct task_control *control_of(const ControlEntry *entry, bool process)
{
	for (size_t i = 0; i < control_count(); i++) {
		const struct task_control *control = control_at(i);

		if (control->set && control->set == entry->option && control->process == process &&
		    control->by_argument == entry->has_argument &&
		    (!control->by_argument || control->set_argument == entry->argument))
			return control;
	}
	return NULL;
}

static int restore_controls(struct revival *revival, ControlEntry **entries, size_t count,
			    bool process)
{
	for (size_t i = 0; i < count; i++) {
		const ControlEntry *entry = entries[i];
		const struct task_control *control = control_of(entry, process);

		if (!control || (control->set_value ? entry->value != control->set_value
						    : entry->value & ~control->mask))
			return FAIL(EINVAL, thread_subject(revival->thread),
				    "restore it with the stasis that made the image",
				    "its image sets %u to %#lx, which is not understood",
				    entry->option, (unsigned long)entry->value);
		int error = revival_room(revival, 1, 0);

		if (error)
			return error;
		if (control->by_argument)
			revive(revival, control->name, control->remedy, control->call, control->set,
			       control->set_argument, entry->value);
		else
			revive(revival, control->name, control->remedy, control->call, control->set,
			       entry->value);
	}
	return 0;
}

static int controls_restore_process(struct revival *revival)
{
	return restore_controls(revival, revival->tc->controls, revival->tc->n_controls, true);
}

static int controls_restore_thread(struct revival *revival)
{
	return restore_controls(revival, revival->thread_core->controls,
				revival->thread_core->n_controls, false);
}

const struct part controls_part = {
	.ask = controls_ask,
	.answer = controls_answer,
	.restore_process = controls_restore_process,
	.restore_thread = controls_restore_thread,
};
