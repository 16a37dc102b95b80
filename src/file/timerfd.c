/* SPDX-License-Identifier: GPL-2.0-or-later */
/* timerfd_create(2). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "file/internal.h"

/* include/uapi/linux/timerfd.h, which does not go together with the C library's. */
#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif

enum { NANOSECONDS = 1000000000 };

static bool recognize(const struct description *description)
{
	return !strcmp(description->link, "anon_inode:[timerfd]");
}

static bool parse(const char *text, TimerfdEntry *entry)
{
	const char *clock = file_info(text, "clockid:"), *ticks = file_info(text, "ticks:");
	const char *flags = file_info(text, "settime flags:");

	if (!clock || !ticks || !flags)
		return false;
	entry->clockid = atoi(clock);
	entry->ticks = strtoull(ticks, NULL, 10);
	entry->settime_flags = strtoul(flags, NULL, 8);
	return true;
}

static bool of_wall_clock(const TimerfdEntry *entry)
{
	return (entry->settime_flags & TFD_TIMER_ABSTIME) &&
	       (entry->clockid == CLOCK_REALTIME || entry->clockid == CLOCK_REALTIME_ALARM);
}

static struct timespec now(clockid_t clock)
{
	struct timespec time = {0};

	/* The alarm clocks show the same time, but can be read only where there is a device. */
	clock_gettime(clock == CLOCK_BOOTTIME_ALARM ? CLOCK_BOOTTIME : clock, &time);
	return time;
}

static int describe(struct checkpoint *checkpoint, struct description *description)
{
	TimerfdEntry *entry = ARENA_MESSAGE(checkpoint->arena, timerfd_entry, TimerfdEntry);
	struct itimerspec value;
	autofree char *text = NULL;
	/*
	 * fdinfo has no time for a periodic timer that has expired and was not read since.  Asked
	 * for it, the kernel sets it going again and counts the ticks, so this comes first.
	 */
	int error = timerfd_gettime(description->fd, &value) < 0
			    ? -errno
			    : file_read_info(description->fd, &text);

	if (!error && !parse(text, entry))
		error = -ENODATA;
	if (error)
		return FAIL(-error, description_subject(description), NULL,
			    "its state cannot be read: %s", strerror(-error));
	entry->vsec = value.it_value.tv_sec;
	entry->vnsec = value.it_value.tv_nsec;
	entry->isec = value.it_interval.tv_sec;
	entry->insec = value.it_interval.tv_nsec;
	description->entry->tfd = entry;
	entry->id = description->id;
	entry->flags = description->flags;
	entry->fown = description->owner;
	/*
	 * What is left counts from the dump to the restore.  But a timer for 15:00 means 15:00, and
	 * what is left of it is not what was asked for.
	 */
	if (of_wall_clock(entry) && (entry->vsec || entry->vnsec)) {
		struct timespec time = now(CLOCK_REALTIME);

		entry->has_at_nsec = true;
		entry->at_nsec =
			(time.tv_sec + entry->vsec) * NANOSECONDS + time.tv_nsec + entry->vnsec;
	}
	return 0;
}

static int take(struct checkpoint *checkpoint, struct description *description)
{
	const TimerfdEntry *entry = description->entry->tfd;

	if (!entry || entry->vsec > INT64_MAX / NANOSECONDS ||
	    entry->isec > INT64_MAX / NANOSECONDS || entry->vnsec >= NANOSECONDS ||
	    entry->insec >= NANOSECONDS)
		return file_damaged(description, "it has no time, or an impossible one");
	description->flags = entry->flags;
	description->owner = entry->fown;
	return 0;
}

static int make(struct checkpoint *checkpoint, struct description *description)
{
	const TimerfdEntry *entry = description->entry->tfd;
	int flags = TFD_CLOEXEC | (entry->flags & O_NONBLOCK ? TFD_NONBLOCK : 0);

	description->fd = timerfd_create(entry->clockid, flags);
	return description->fd < 0 ? FAIL(errno, description_subject(description),
					  errno == EPERM ? "run stasis with CAP_WAKE_ALARM" : NULL,
					  "cannot be made: %s", strerror(errno))
				   : 0;
}

static struct itimerspec value_of(const TimerfdEntry *entry)
{
	struct itimerspec value = {.it_value = {entry->vsec, entry->vnsec},
				   .it_interval = {entry->isec, entry->insec}};

	if (entry->has_at_nsec) {
		value.it_value.tv_sec = entry->at_nsec / NANOSECONDS;
		value.it_value.tv_nsec = entry->at_nsec % NANOSECONDS;
	} else if ((entry->settime_flags & TFD_TIMER_ABSTIME) && (entry->vsec || entry->vnsec)) {
		struct timespec time = now(entry->clockid);
		uint64_t nanoseconds = entry->vnsec + time.tv_nsec;

		value.it_value.tv_sec = entry->vsec + time.tv_sec + nanoseconds / NANOSECONDS;
		value.it_value.tv_nsec = nanoseconds % NANOSECONDS;
	}
	return value;
}

/* It starts as late as possible. */
static int finish(struct checkpoint *checkpoint, struct description *description)
{
	const TimerfdEntry *entry = description->entry->tfd;
	autofd int fd = file_fetch(description);
	struct itimerspec value = value_of(entry);
	int error = fd < 0 ? fd : 0;

	if (!error && timerfd_settime(fd, entry->settime_flags, &value, NULL) < 0)
		error = -errno;
	/* Setting the time takes ticks away. */
	if (!error && entry->ticks && ioctl(fd, TFD_IOC_SET_TICKS, &entry->ticks) < 0)
		error = -errno;
	return error ? FAIL(-error, description_subject(description), NULL,
			    "its time cannot be set: %s", strerror(-error))
		     : 0;
}

const struct file_kind timerfd_kind = {
	.name = "timerfd",
	.type = FD_TYPES__TIMERFD,
	.recognize = recognize,
	.describe = describe,
	.read = take,
	.make = make,
	.finish = finish,
};
