/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Registers in busy loops: threads that make no system call load general, x87, SSE, AVX and
 * AVX-512 registers and the direction flag, and compare them again and again until told to stop.
 */
#include "scenario.h"

#include <pthread.h>
#include <string.h>
#include <x86intrin.h>

static volatile int stop;

/* Each thread's function returns the number of a register that changed, or 0. */
struct loop {
	const char *name;
	long (*run)(volatile uint64_t *rounds);
	bool (*supported)(void);
	volatile uint64_t rounds;
	pthread_t thread;
	bool running;
};

/*
 * All general registers but rsp (which the comparison itself uses through push and pop), rsi and
 * rdi, which point to the counter and to `stop`.
 */
#define GENERAL(row)                                                                               \
	row(1, rbx, 0x1111111111111111) row(2, rcx, 0x2222222222222222)                            \
		row(3, rdx, 0x3333333333333333) row(4, rbp, 0x8444444444444444)                    \
			row(5, r8, 0x5555555555555555) row(6, r9, 0x6666666666666666)              \
				row(7, r10, 0x7777777777777777) row(8, r11, 0x8888888888888888)    \
					row(9, r12, 0x9999999999999999)                            \
						row(10, r13, 0xaaaaaaaaaaaaaaaa)                   \
							row(11, r14, 0xbbbbbbbbbbbbbbbb)           \
								row(12, r15, 0xcccccccccccccccc)
#define LOAD(number, name, value) "movabs $" #value ", %%" #name "\n\t"
#define COMPARE(number, name, value)                                                               \
	"mov $" #number ", %%eax\n\t"                                                              \
	"push %%rsi\n\t"                                                                           \
	"movabs $" #value ", %%rsi\n\t"                                                            \
	"cmp %%rsi, %%" #name "\n\t"                                                               \
	"pop %%rsi\n\t"                                                                            \
	"jne 2f\n\t"

static long general_loop(volatile uint64_t *rounds)
{
	const volatile int *told = &stop;
	long bad;

	asm volatile("sub $128, %%rsp\n\t" /* past the red zone */
		     "push %%rbp\n\t" GENERAL(LOAD) "1:\n\t"
						    "incq (%%rsi)\n\t" GENERAL(
							    COMPARE) "xor %%eax, %%eax\n\t"
								     "cmpl $0, (%%rdi)\n\t"
								     "je 1b\n\t"
								     "2:\n\t"
								     "pop %%rbp\n\t"
								     "add $128, %%rsp\n\t"
		     : "=&a"(bad), "+D"(told), "+S"(rounds)
		     :
		     : "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		       "memory", "cc");
	return bad & 0xffffffff;
}

/* The direction flag stays set. */
static long flags_loop(volatile uint64_t *rounds)
{
	enum { DIRECTION = 1 << 10 };
	uint64_t flags = 0;

	asm volatile("std" ::: "cc");
	while (!stop) {
		++*rounds;
		asm volatile("sub $128, %%rsp; pushfq; pop %0; add $128, %%rsp" : "=r"(flags));
		if (!(flags & DIRECTION))
			break;
	}
	asm volatile("cld" ::: "cc");
	return flags & DIRECTION ? 0 : 1;
}

/* The control word, the rounding of MXCSR, and a full register stack. */
static long x87_loop(volatile uint64_t *rounds)
{
	static const uint16_t control = 0x0f3f; /* towards zero, all exceptions masked */
	uint32_t mxcsr = 0x7f80;                /* towards zero, all masked */
	struct {
		uint32_t control, status, tag, ip, cs, dp, ds;
		unsigned char stack[80];
	} before, now;
	long bad = 0;

	_mm_setcsr(mxcsr);
	asm volatile("fninit; fldcw %0; fldpi; fldl2e; fldl2t; fldlg2; fldln2; fld1; fldz; fldpi"
		     :
		     : "m"(control));
	/* fnsave empties the stack, frstor fills it again. */
	asm volatile("fnsave %0; frstor %0" : "+m"(before));
	while (!stop && !bad) {
		++*rounds;
		asm volatile("fnsave %0; frstor %0" : "+m"(now));
		if (now.control != before.control || now.tag != before.tag)
			bad = 1;
		if (now.status != before.status)
			bad = 2;
		if (memcmp(now.stack, before.stack, sizeof(now.stack)))
			bad = 3;
		if (_mm_getcsr() != mxcsr)
			bad = 4;
	}
	asm volatile("fninit");
	return bad;
}

#define SIXTEEN(row, set)                                                                          \
	row(set, 0) row(set, 1) row(set, 2) row(set, 3) row(set, 4) row(set, 5) row(set, 6)        \
		row(set, 7) row(set, 8) row(set, 9) row(set, 10) row(set, 11) row(set, 12)         \
			row(set, 13) row(set, 14) row(set, 15)

#define SSE_LOAD(set, n)  "movdqu " #n "*16(%[values]), %%xmm" #n "\n\t"
#define SSE_STORE(set, n) "movdqu %%xmm" #n ", " #n "*16(%[now])\n\t"
#define AVX_LOAD(set, n)  "vmovdqu " #n "*32(%[values]), %%ymm" #n "\n\t"
#define AVX_STORE(set, n) "vmovdqu %%ymm" #n ", " #n "*32(%[now])\n\t"

#define XMM_CLOBBERED                                                                              \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",   \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/*
 * Loads registers from `values`, spins for a while without touching them, stores them to `now`
 * and compares; the spinning is where the freeze finds the thread.
 */
#define VECTOR_LOOP(name, load, store, size, ...)                                                  \
	static long name(volatile uint64_t *rounds)                                                \
	{                                                                                          \
		static unsigned char values[size], now[size];                                      \
                                                                                                   \
		pattern_fill(values, size, size);                                                  \
		while (!stop) {                                                                    \
			long spins = 2000000;                                                      \
			++*rounds;                                                                 \
			asm volatile(load "1: dec %[spins]\n\tjne 1b\n\t" store                    \
				     : [spins] "+r"(spins)                                         \
				     : [values] "r"(values), [now] "r"(now)                        \
				     : "memory", "cc", __VA_ARGS__);                               \
			for (int i = 0; i < size; i++) {                                           \
				if (now[i] != values[i])                                           \
					return i + 1;                                              \
			}                                                                          \
		}                                                                                  \
		return 0;                                                                          \
	}

VECTOR_LOOP(sse_loop, SIXTEEN(SSE_LOAD, ), SIXTEEN(SSE_STORE, ), 256, XMM_CLOBBERED)
VECTOR_LOOP(avx_loop, SIXTEEN(AVX_LOAD, ), SIXTEEN(AVX_STORE, ), 512, XMM_CLOBBERED)

static bool has_avx(void)
{
	return __builtin_cpu_supports("avx");
}

static bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}

/* zmm0 to zmm31, and k0 to k7 behind them. */
#define Z(n)       "vmovdqu64 " #n "*64(%[values]), %%zmm" #n "\n\t"
#define ZS(n)      "vmovdqu64 %%zmm" #n ", " #n "*64(%[now])\n\t"
#define K(n)       "kmovq 2048+" #n "*8(%[values]), %%k" #n "\n\t"
#define KS(n)      "kmovq %%k" #n ", 2048+" #n "*8(%[now])\n\t"
#define EIGHT(row) row(0) row(1) row(2) row(3) row(4) row(5) row(6) row(7)
#define THIRTYTWO(row)                                                                             \
	EIGHT(row)                                                                                 \
	row(8) row(9) row(10) row(11) row(12) row(13) row(14) row(15) row(16) row(17) row(18)      \
		row(19) row(20) row(21) row(22) row(23) row(24) row(25) row(26) row(27) row(28)    \
			row(29) row(30) row(31)

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw")
VECTOR_LOOP(avx512_loop, THIRTYTWO(Z) EIGHT(K), THIRTYTWO(ZS) EIGHT(KS), 2112, XMM_CLOBBERED,
	    "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
	    "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4",
	    "k5", "k6", "k7")
#pragma GCC pop_options

static struct loop loops[] = {
	{"general registers", general_loop, NULL},
	{"flags", flags_loop, NULL},
	{"x87", x87_loop, NULL},
	{"SSE", sse_loop, NULL},
	{"AVX", avx_loop, has_avx},
	{"AVX-512", avx512_loop, has_avx512},
};
enum { LOOPS = sizeof(loops) / sizeof(loops[0]) };

static void *thread_run(void *argument)
{
	struct loop *loop = argument;

	return (void *)loop->run(&loop->rounds);
}

static void setup(void)
{
	for (int i = 0; i < LOOPS; i++) {
		if (loops[i].supported && !loops[i].supported())
			continue;
		if (pthread_create(&loops[i].thread, NULL, thread_run, &loops[i]))
			die("a thread cannot be made");
		loops[i].running = true;
		while (!loops[i].rounds)
			sleep_ms(1);
	}
}

static void verify(void)
{
	uint64_t before[LOOPS];

	for (int i = 0; i < LOOPS; i++)
		before[i] = loops[i].rounds;
	/* They still turn. */
	for (int i = 0; i < LOOPS; i++) {
		check(!loops[i].running || await(loops[i].rounds != before[i]),
		      "%s: the loop stands still", loops[i].name);
	}
	stop = 1;
	for (int i = 0; i < LOOPS; i++) {
		void *bad = NULL;
		if (!loops[i].running)
			continue;
		pthread_join(loops[i].thread, &bad);
		check(bad == NULL, "%s: changed (%ld)", loops[i].name, (long)bad);
	}
}

const struct scenario scenario = {
	.about = "all registers, in threads that make no system call",
	.setup = setup,
	.verify = verify,
};
