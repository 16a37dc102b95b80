/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nice values, policies, affinity, reset on fork, I/O priority, one child for each combination. */
#include "scenario.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct row {
	int policy, nice, cpus, io;
} rows[] = {
	{SCHED_OTHER, 7, 1, 0},
	{SCHED_BATCH, 19, 2, 2 << 13 | 7},
	{SCHED_IDLE, 1, 3, 3 << 13},
	{SCHED_OTHER | SCHED_RESET_ON_FORK, 3, 1, 2 << 13 | 2},
};

static void setup_child(void *argument)
{
	const struct row *row = argument;
	struct sched_param param = {0};
	cpu_set_t cpus;

	must(setpriority(PRIO_PROCESS, 0, row->nice));
	must(sched_setscheduler(0, row->policy, &param));
	CPU_ZERO(&cpus);
	for (int cpu = 0; cpu < 2 && cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		if (row->cpus >> cpu & 1)
			CPU_SET(cpu, &cpus);
	}
	sched_setaffinity(0, sizeof(cpus), &cpus);
	if (row->io)
		must(syscall(SYS_ioprio_set, 1, 0, row->io));
}

static void verify_child(void *argument)
{
	const struct row *row = argument;
	cpu_set_t cpus;

	same("policy", row->policy, sched_getscheduler(0));
	same("nice value", row->nice, getpriority(PRIO_PROCESS, 0));
	if (row->io)
		same("I/O priority", row->io, syscall(SYS_ioprio_get, 1, 0));
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		same("CPU 0 allowed", row->cpus & 1, CPU_ISSET(0, &cpus));
}

static void setup(void)
{
	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		child(setup_child, verify_child, (void *)&rows[i]);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "nice values, policies, affinity, I/O priorities",
	.setup = setup,
	.verify = verify,
};
