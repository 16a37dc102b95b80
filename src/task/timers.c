/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "task/timers.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/fd.h"
#include "task/part.h"

/*
 * Timers: the three of setitimer(2), and those of timer_create(2) with their numbers.  What is
 * stored is the time that remains; they go on from there when the task does.
 */

enum { ITIMERS = 3, NANOSECONDS = 1000000000 };

/* ---- /proc/PID/timers --------------------------------------------------------------------- */

static int parse_notify(const char *how, const char *whom, int *notify)
{
	static const struct {
		const char *name;
		int notify;
	} names[] = {{"signal", SIGEV_SIGNAL}, {"none", SIGEV_NONE}, {"thread", SIGEV_THREAD}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(how, names[i].name)) {
			*notify = names[i].notify | (!strcmp(whom, "tid") ? SIGEV_THREAD_ID : 0);
			return 1;
		}
	return -EINVAL;
}

int proc_timer_parse(const char **text, struct proc_timer *timer)
{
	char how[8], whom[4];
	int length = 0;

	if (!**text)
		return 0;
	*timer = (struct proc_timer){0};
	/* The value is printed as a pointer is, with or without 0x. */
	if (sscanf(*text, "ID: %u signal: %d/%lx notify: %7[a-z]/%3[a-z].%d ClockID: %d%n",
		   &timer->id, &timer->signo, &timer->value, how, whom, &timer->target,
		   &timer->clock, &length) != 7 ||
	    !length)
		return -EINVAL;
	*text += length;
	*text += strspn(*text, "\n");
	return parse_notify(how, whom, &timer->notify);
}

/* ---- dump --------------------------------------------------------------------------------- */

struct asked {
	struct itimerval *itimers[ITIMERS];
};

static void *timers_ask(struct inquiry *inquiry)
{
	struct asked *asked;
	uint64_t address;

	if (!inquiry->leader)
		return NULL;
	asked = arena_new_object(inquiry->arena, struct asked);
	for (int which = 0; which < ITIMERS; which++) {
		asked->itimers[which] =
			batch_data(inquiry->batch, sizeof(struct itimerval), &address);
		batch_call(inquiry->batch, SYS_getitimer, which, address);
	}
	return asked;
}

static ItimerEntry *store_itimer(struct arena *arena, const struct itimerval *itimer)
{
	ItimerEntry *entry = ARENA_MESSAGE(arena, itimer_entry, ItimerEntry);

	entry->isec = itimer->it_interval.tv_sec;
	entry->iusec = itimer->it_interval.tv_usec;
	entry->vsec = itimer->it_value.tv_sec;
	entry->vusec = itimer->it_value.tv_usec;
	return entry;
}

/*
 * Clocks that mean the same in the restored task.  A clock of a processor's time is one of a
 * process or thread; the kernel shows its owner's id in the number, or none at all for the process
 * itself and for the thread that made the timer.  Which thread that was is not shown.
 * The number is as the task itself gave it.
 */
static bool clock_is_ours(const struct task *task, int clock)
{
	pid_t owner = ~(clock >> 3);

	if (clock >= 0)
		return clock != CLOCK_THREAD_CPUTIME_ID || task->thread_count == 1;
	if ((clock & 7) == 3) /* of a descriptor */
		return false;
	if (owner == 0)
		return !(clock & 4) || task->thread_count == 1;
	for (size_t i = 0; i < task->thread_count; i++)
		if (thread_own(&task->threads[i]) == owner)
			return true;
	return false;
}

/* The thread that gets the signal; NULL: any may, or (SIGEV_THREAD_ID) it has ended. */
static const struct thread *target_of(const struct task *task, const struct proc_timer *timer)
{
	for (size_t i = 0; timer->notify & SIGEV_THREAD_ID && i < task->thread_count; i++)
		if (task->threads[i].tid == timer->target)
			return &task->threads[i];
	return NULL;
}

static bool target_is_ours(const struct task *task, const struct proc_timer *timer)
{
	return !(timer->notify & SIGEV_THREAD_ID) || target_of(task, timer);
}

static int check_timer(const struct inquiry *inquiry, const struct proc_timer *timer)
{
	struct subject subject;

	if (clock_is_ours(inquiry->task, timer->clock) && target_is_ours(inquiry->task, timer))
		return 0;
	subject = SUBJECT("%s, timer %u", thread_subject(inquiry->thread).text, timer->id);
	if (!clock_is_ours(inquiry->task, timer->clock))
		return REFUSE(subject, "delete the timer before the dump",
			      "it measures the time of another process, of an unknown thread or of "
			      "a device (clock %d)",
			      timer->clock);
	return REFUSE(subject, "delete the timer before the dump",
		      "it signals thread %d, which has ended", timer->target);
}

struct reading {
	const struct itimerspec *time;
	size_t get, overrun;
};

static PosixTimerEntry *store_timer(struct inquiry *inquiry, const struct proc_timer *timer,
				    const struct itimerspec *time, int64_t overrun)
{
	PosixTimerEntry *entry = ARENA_MESSAGE(inquiry->arena, posix_timer_entry, PosixTimerEntry);
	const struct thread *target = target_of(inquiry->task, timer);

	entry->it_id = timer->id;
	entry->clock_id = timer->clock;
	entry->si_signo = timer->signo;
	entry->it_sigev_notify = timer->notify;
	entry->sival_ptr = timer->value;
	entry->overrun = overrun > 0 ? overrun : 0;
	entry->isec = time->it_interval.tv_sec;
	entry->insec = time->it_interval.tv_nsec;
	entry->vsec = time->it_value.tv_sec;
	entry->vnsec = time->it_value.tv_nsec;
	entry->has_notify_thread_id = target != NULL;
	entry->notify_thread_id = target ? target->id : 0;
	return entry;
}

/* Asks for the times of timers, as many as one batch takes, and stores them. */
static int read_timers(struct inquiry *inquiry, struct batch *batch,
		       const struct proc_timer *timers, size_t *count)
{
	TaskTimersEntry *all = inquiry->tc->timers;
	ARRAY(struct reading) readings = {0};
	uint64_t address;
	int error;

	batch_reset(batch);
	for (size_t i = 0; i < *count && batch_fits(batch, 2, sizeof(struct itimerspec)); i++) {
		struct reading *reading = array_push(&readings);

		reading->time = batch_data(batch, sizeof(struct itimerspec), &address);
		reading->get = batch_call(batch, SYS_timer_gettime, timers[i].id, address);
		reading->overrun = batch_call(batch, SYS_timer_getoverrun, timers[i].id);
	}
	*count = readings.count;
	error = batch_run(batch);
	for (size_t i = 0; i < readings.count && !error; i++) {
		const struct reading *reading = &readings.items[i];

		error = batch_result(batch, reading->get);
		if (!error)
			all->posix[all->n_posix++] =
				store_timer(inquiry, &timers[i], reading->time,
					    batch_result(batch, reading->overrun));
	}
	array_free(&readings);
	if (error)
		return FAIL(-error, thread_subject(inquiry->thread), NULL,
			    "cannot read its timers: %s", strerror(-error));
	return 0;
}

static int store_timers(struct inquiry *inquiry, const char *text)
{
	ARRAY(struct proc_timer) timers = {0};
	struct proc_timer timer;
	struct batch batch;
	int error;

	while ((error = proc_timer_parse(&text, &timer)) > 0) {
		*array_push(&timers) = timer;
		error = check_timer(inquiry, &timer);
		if (error)
			break;
	}
	if (error == -EINVAL)
		error = FAIL(EINVAL, thread_subject(inquiry->thread), NULL,
			     "cannot understand its /proc/PID/timers");
	inquiry->tc->timers->posix =
		arena_new_array(inquiry->arena, PosixTimerEntry *, timers.count);
	batch_begin(&batch, &inquiry->thread->remote);
	for (size_t done = 0, count; done < timers.count && !error; done += count) {
		count = timers.count - done;
		error = read_timers(inquiry, &batch, timers.items + done, &count);
	}
	batch_end(&batch);
	array_free(&timers);
	return error;
}

static int timers_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	autofree char *text = NULL;
	TaskTimersEntry *all;
	ssize_t length;

	if (!inquiry->leader)
		return 0;
	all = ARENA_MESSAGE(inquiry->arena, task_timers_entry, TaskTimersEntry);
	all->real = store_itimer(inquiry->arena, asked->itimers[ITIMER_REAL]);
	all->virt = store_itimer(inquiry->arena, asked->itimers[ITIMER_VIRTUAL]);
	all->prof = store_itimer(inquiry->arena, asked->itimers[ITIMER_PROF]);
	inquiry->tc->timers = all;
	length = proc_read_all(inquiry->task, "timers", &text);
	if (length < 0)
		return FAIL(-length, thread_subject(inquiry->thread),
			    length == -ENOENT ? "use a kernel with CONFIG_CHECKPOINT_RESTORE"
					      : NULL,
			    "cannot read its /proc/PID/timers: %s", strerror(-length));
	return length ? store_timers(inquiry, text) : 0;
}

/* ---- restore ------------------------------------------------------------------------------ */

/* Newer than the headers of Debian 12: with it, timer_create(2) makes the timer that was asked for.
 */
enum { PR_TIMER_CREATE_RESTORE_IDS = 77, IDS_ON = 1, IDS_OFF = 0 }; /* 6.15 */
/* Older kernels count up from 0, and the only way to a number is through all before it. */
enum { MOST_NUMBER_TO_COUNT_TO = 1 << 20 };

/* struct sigevent as the kernel has it. */
struct kernel_sigevent {
	uint64_t value;
	int32_t signo, notify, thread, padding[11];
};
_Static_assert(sizeof(struct kernel_sigevent) == 64, "size of struct sigevent");

static int damaged(const struct revival *revival, const char *what)
{
	return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
		    "its image has an impossible timer: %s", what);
}

static int restore_itimer(struct revival *revival, int which, const ItimerEntry *entry)
{
	struct itimerval itimer = {
		.it_interval = {.tv_sec = entry->isec, .tv_usec = entry->iusec},
		.it_value = {.tv_sec = entry->vsec, .tv_usec = entry->vusec},
	};
	int error = revival_room(revival, 1, sizeof(itimer));

	if (error)
		return error;
	/*
	 * With its SIGALRM pending, the kernel lets the timer stand until the signal is taken.  One
	 * that was disarmed has no interval.
	 */
	if (which == ITIMER_REAL && !timerisset(&itimer.it_value))
		itimer.it_value = itimer.it_interval;
	revive(revival, "interval timers", NULL, SYS_setitimer, which,
	       batch_input(&revival->batch, &itimer, sizeof(itimer)), 0);
	return 0;
}

/* A timer of a clock that can be read from here, whose signal comes again and again. */
static bool is_periodic(const PosixTimerEntry *entry)
{
	return (entry->isec || entry->insec) && (entry->vsec || entry->vnsec) &&
	       !(entry->it_sigev_notify & SIGEV_NONE) && (int)entry->clock_id >= 0 &&
	       entry->clock_id != CLOCK_PROCESS_CPUTIME_ID &&
	       entry->clock_id != CLOCK_THREAD_CPUTIME_ID;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t left = (*(PosixTimerEntry *const *)a)->it_id,
		 right = (*(PosixTimerEntry *const *)b)->it_id;

	return left < right ? -1 : left > right;
}

void timers_sort(TaskCoreEntry *tc)
{
	if (tc->timers && tc->timers->n_posix)
		qsort(tc->timers->posix, tc->timers->n_posix, sizeof(*tc->timers->posix),
		      compare_ids);
}

/* The periodic timer that sent the signal, by its place in the image; -1: none. */
static ssize_t sender(const TaskCoreEntry *tc, const siginfo_t *info)
{
	PosixTimerEntry wanted = {.it_id = info->si_timerid}, *key = &wanted, **found;

	if (info->si_code != SI_TIMER || !tc->timers)
		return -1;
	found = bsearch(&key, tc->timers->posix, tc->timers->n_posix, sizeof(key), compare_ids);
	if (!found || !is_periodic(*found) || (int)(*found)->si_signo != info->si_signo)
		return -1;
	return found - tc->timers->posix;
}

bool timers_send(const TaskCoreEntry *tc, const siginfo_t *info)
{
	return sender(tc, info) >= 0;
}

/* Adds up how often each timer has expired by the signals that wait. */
static void count_expired(const TaskCoreEntry *tc, const SignalQueueEntry *queue, uint64_t *expired)
{
	for (size_t i = 0; queue && i < queue->n_signals; i++) {
		siginfo_t info;
		ssize_t timer;

		if (queue->signals[i]->siginfo.len != sizeof(info))
			continue;
		memcpy(&info, queue->signals[i]->siginfo.data, sizeof(info));
		timer = sender(tc, &info);
		if (timer >= 0)
			expired[timer] += 1 + (info.si_overrun > 0 ? info.si_overrun : 0);
	}
}

static int64_t nanoseconds(struct timespec time)
{
	return time.tv_sec * NANOSECONDS + time.tv_nsec;
}

/*
 * A timer whose signal waits is set to a time that is as many intervals in the past as it has
 * expired: the kernel then sends the signal itself, with the overruns, and keeps the beat.
 */
static bool begin_in_past(const PosixTimerEntry *entry, uint64_t expired, struct itimerspec *time)
{
	int64_t interval, first;
	struct timespec now;

	/* Times beyond these are the kernel's to judge. */
	if (!expired || entry->isec > INT32_MAX || entry->vsec > INT32_MAX ||
	    entry->insec >= NANOSECONDS || entry->vnsec >= NANOSECONDS ||
	    clock_gettime(entry->clock_id, &now) < 0)
		return false;
	interval = nanoseconds(time->it_interval);
	first = nanoseconds(now) + nanoseconds(time->it_value);
	/* The clock may be younger than that. */
	if (expired > (uint64_t)(first - 1) / interval)
		expired = (first - 1) / interval;
	first -= expired * interval;
	time->it_value = (struct timespec){first / NANOSECONDS, first % NANOSECONDS};
	return true;
}

static int set_timer(struct revival *revival, const PosixTimerEntry *entry, uint64_t expired)
{
	struct itimerspec time = {
		.it_interval = {.tv_sec = entry->isec, .tv_nsec = entry->insec},
		.it_value = {.tv_sec = entry->vsec, .tv_nsec = entry->vnsec},
	};
	int error = revival_room(revival, 1, sizeof(time));

	if (error)
		return error;

	bool absolute = begin_in_past(entry, expired, &time);

	revive(revival, "timers", NULL, SYS_timer_settime, entry->it_id,
	       absolute ? TIMER_ABSTIME : 0, batch_input(&revival->batch, &time, sizeof(time)), 0);
	return 0;
}

/* What the task itself calls the thread that gets the signal; 0: there is none of that id. */
static pid_t own_target(const struct task *task, pid_t id)
{
	for (size_t i = 0; i < task->thread_count; i++)
		if (task->threads[i].id == id)
			return thread_own(&task->threads[i]);
	return 0;
}

static int create_timer(struct revival *revival, const PosixTimerEntry *entry)
{
	struct kernel_sigevent event = {
		.value = entry->sival_ptr,
		.signo = entry->si_signo,
		.notify = entry->it_sigev_notify,
		.thread = entry->has_notify_thread_id
				  ? own_target(revival->task, entry->notify_thread_id)
				  : 0,
	};
	int32_t id = entry->it_id;
	int error = revival_room(revival, 1, sizeof(event) + sizeof(id) + 16);

	if (error)
		return error;

	uint64_t event_address = batch_input(&revival->batch, &event, sizeof(event));

	revive(revival, "timers",
	       "do other programs use up the limit of pending signals (ulimit -i)?",
	       SYS_timer_create, (uint32_t)entry->clock_id, event_address,
	       batch_input(&revival->batch, &id, sizeof(id)));
	return 0;
}

/* Timers that are made only to be deleted, up to the number that is wanted. */
static int count_up(struct revival *revival, uint32_t *next, uint32_t wanted)
{
	for (; *next < wanted; ++*next) {
		struct kernel_sigevent event = {.notify = SIGEV_NONE};
		int32_t id = 0;
		int error = revival_room(revival, 2, sizeof(event) + sizeof(id) + 16);

		if (error)
			return error;

		uint64_t address = batch_input(&revival->batch, &event, sizeof(event));

		revive(revival, "timers", NULL, SYS_timer_create, CLOCK_MONOTONIC, address,
		       batch_input(&revival->batch, &id, sizeof(id)));
		revive(revival, "timers", NULL, SYS_timer_delete, *next);
	}
	return 0;
}

static int create_timers(struct revival *revival, PosixTimerEntry **timers, size_t count)
{
	uint32_t next = 0;
	int error = revival_run(revival);
	bool chosen = !error && remote_syscall(&revival->thread->remote, SYS_prctl,
					       PR_TIMER_CREATE_RESTORE_IDS, IDS_ON) == 0;

	for (size_t i = 0; i < count && !error; i++) {
		uint32_t id = timers[i]->it_id;

		if (!chosen && id > MOST_NUMBER_TO_COUNT_TO)
			return REFUSE(
				thread_subject(revival->thread),
				"use Linux 6.15 or newer, where a timer's number can be chosen",
				"it has a timer with the number %u", id);
		if (!chosen)
			error = count_up(revival, &next, id);
		if (!error)
			error = create_timer(revival, timers[i]);
		next = id + 1;
	}
	if (!error && chosen) {
		error = revival_room(revival, 1, 0);
		if (!error)
			revive(revival, "timers", NULL, SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS,
			       IDS_OFF);
	}
	return error;
}

static int restore_timers(struct revival *revival, PosixTimerEntry **timers, size_t count)
{
	struct task *task = revival->task;
	uint64_t *expired = arena_new_array(revival->checkpoint->arena, uint64_t, count);
	int error;

	for (size_t i = 0; i < count; i++)
		if (timers[i]->it_id > INT32_MAX || (i && timers[i]->it_id == timers[i - 1]->it_id))
			return damaged(revival, "its number");
	count_expired(revival->tc, revival->tc->signals_s, expired);
	for (size_t i = 0; i < task->thread_count; i++)
		count_expired(revival->tc, task->threads[i].core->thread_core->signals_p, expired);
	error = create_timers(revival, timers, count);
	for (size_t i = 0; i < count && !error; i++)
		error = set_timer(revival, timers[i], expired[i]);
	return error;
}

static int timers_restore_process(struct revival *revival)
{
	const TaskTimersEntry *all = revival->tc->timers;
	int error;

	if (!all)
		return 0;
	error = all->n_posix ? restore_timers(revival, all->posix, all->n_posix) : 0;
	if (!error)
		error = restore_itimer(revival, ITIMER_REAL, all->real);
	if (!error)
		error = restore_itimer(revival, ITIMER_VIRTUAL, all->virt);
	if (!error)
		error = restore_itimer(revival, ITIMER_PROF, all->prof);
	return error;
}

const struct part timers_part = {
	.ask = timers_ask,
	.answer = timers_answer,
	.restore_process = timers_restore_process,
};
