/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process whose address space is full (RLIMIT_AS): no room to work in it. */
#include "scenario.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void limit(int resource, rlim_t value)
{
	struct rlimit limit = {value, value};

	must(setrlimit(resource, &limit));
}

static size_t address_space(void)
{
	return strtoul(proc_line("status", "VmSize:"), NULL, 10) * 1024;
}

static void setup_child(void *unused)
{
	file_text("/proc/self/status");
	limit(RLIMIT_AS, address_space());
	limit(RLIMIT_MEMLOCK, 0);
	limit(RLIMIT_DATA, 1 << 20);
	limit(RLIMIT_STACK, 256 << 10);
}

static void verify_child(void *unused)
{
	void *area = mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(area == MAP_FAILED, "the address space grew beyond its limit");
}

static void setup(void)
{
	child(setup_child, verify_child, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "a full address space",
	.setup = setup,
	.verify = verify,
	.plain = true,
	.refused = "pid 3\\b.*",
};
