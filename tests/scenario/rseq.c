/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Restartable sequences: the registration of the main thread and of others is kept, and sequences
 * that are interrupted all the time never do half of their work.
 */
#include "scenario.h"

#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/rseq.h>
#include <unistd.h>

enum { THREADS = 3 };

static volatile int stop;
static volatile uint64_t done[THREADS];
static struct counters {
	volatile uint64_t value;
	char padding[56];
} counters[THREADS];
static pthread_t threads[THREADS];

static struct rseq *own_area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/*
 * Adds one in a critical section that takes long, so that it is often aborted.  Returns 0 when
 * the addition was made, 1 when it was aborted.
 */
static int add_one(volatile uint64_t *counter)
{
	struct rseq *area = own_area();
	long spins = 200000;

	asm goto(".pushsection __rseq_cs, \"aw\"\n\t"
		 ".balign 32\n\t"
		 "3: .long 0, 0\n\t"
		 ".quad 1f, 2f - 1f, 4f\n\t"
		 ".popsection\n\t"
		 "lea 3b(%%rip), %%rax\n\t"
		 "movq %%rax, %c[cs](%[area])\n\t"
		 "1:\n\t"
		 "mov (%[counter]), %%rcx\n\t"
		 "mov %[spins], %%rdx\n\t"
		 "6: dec %%rdx\n\t"
		 "jnz 6b\n\t"
		 "inc %%rcx\n\t"
		 "mov %%rcx, (%[counter])\n\t"
		 "2:\n\t"
		 "jmp 5f\n\t"
		 ".byte 0x0f, 0xb9, 0x3d\n\t"
		 ".long 0x53053053\n\t" /* the signature libc registered */
		 "4: jmp %l[aborted]\n\t"
		 "5:\n\t"
		 :
		 : [area] "r"(area), [counter] "r"(counter), [spins] "r"(spins),
		   [cs] "i"(offsetof(struct rseq, rseq_cs))
		 : "rax", "rcx", "rdx", "memory", "cc"
		 : aborted);
	area->rseq_cs = 0;
	return 0;
aborted:
	return 1;
}

static void *thread_run(void *argument)
{
	long i = (long)argument;

	while (!stop) {
		if (add_one(&counters[i].value) == 0)
			done[i]++;
	}
	return NULL;
}

static void verify_area(void)
{
	struct rseq *area = own_area();
	cpu_set_t cpus, all;

	sched_getaffinity(0, sizeof(all), &all);
	check(area->cpu_id < 4096, "rseq is not registered: cpu %d", (int)area->cpu_id);
	/* The kernel keeps it up to date. */
	for (unsigned i = 0; i < 2 && i < sysconf(_SC_NPROCESSORS_ONLN); i++) {
		CPU_ZERO(&cpus);
		CPU_SET(i, &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
		same("cpu in the rseq area", i, ((volatile struct rseq *)area)->cpu_id);
	}
	sched_setaffinity(0, sizeof(all), &all);
}

static void setup(void)
{
	if (__rseq_size == 0)
		skip("libc did not register rseq");
	for (long i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], NULL, thread_run, (void *)i))
			die("a thread cannot be made");
		while (!done[i])
			sleep_ms(1);
	}
}

static void verify(void)
{
	uint64_t before = done[0];

	verify_area();
	check(await(done[0] != before), "sequences do not complete any more");
	stop = 1;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		same("additions", done[i], counters[i].value);
	}
}

const struct scenario scenario = {
	.about = "restartable sequences",
	.setup = setup,
	.verify = verify,
};
