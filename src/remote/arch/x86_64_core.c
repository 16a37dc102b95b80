/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "remote/arch/arch.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/arena.h"
#include "images/core.pb-c.h"

/* Selectors of 64-bit user space (asm/segment.h); its null selectors are 0 to 3. */
enum { USER_CS = 0x33, USER_SS = 0x2b };
enum { SHADOW_STACK_REGSET = 0x204 }; /* NT_X86_SHSTK, since 6.6 */
/* Addresses of user space end here with five levels of page tables. */
#define ADDRESS_LIMIT (1ull << 56)

static int note_problem(struct arch_problem *problem, int code, const char *remedy,
			const char *reason, ...) __attribute__((format(printf, 4, 5)));

static int note_problem(struct arch_problem *problem, int code, const char *remedy,
			const char *reason, ...)
{
	va_list args;

	problem->remedy = remedy;
	va_start(args, reason);
	vsnprintf(problem->reason, sizeof(problem->reason), reason, args);
	va_end(args);
	return -code;
}

int arch_march(void)
{
	return CORE_ENTRY__MARCH__X86_64;
}

/* ---- what a thread may have that a core image cannot hold ---------------------------------- */

/* The three slots for thread-local segments (set_thread_area(2)). */
enum { FIRST_TLS_SLOT = 12, TLS_SLOTS = 3, GET_THREAD_AREA = 25 };

struct user_segment {
	uint32_t number, base, limit, bits;
};

/* An unused slot reads as not present, read-only, and empty (asm/desc.h, LDT_empty). */
static bool segment_in_use(pid_t tid, long slot)
{
	struct user_segment segment = {0};

	if (ptrace((enum __ptrace_request)GET_THREAD_AREA, tid, slot, &segment) < 0)
		return false; /* a kernel without 32-bit programs has none */
	return segment.base || segment.limit;
}

static int refuse_odd_state(pid_t tid, struct arch_problem *problem)
{
	unsigned char ports[8192];
	struct iovec iov = {ports, sizeof(ports)};

	for (int i = 0; i < TLS_SLOTS; i++)
		if (segment_in_use(tid, FIRST_TLS_SLOT + i))
			return note_problem(problem, EOPNOTSUPP,
					    "only programs of 32-bit times use it",
					    "it has a thread-local segment of set_thread_area(2)");
	if (ptrace(PTRACE_GETREGSET, tid, NT_386_IOPERM, &iov) == 0 && iov.iov_len)
		return note_problem(problem, EOPNOTSUPP,
				    "let it give up direct access to hardware first",
				    "it may use I/O ports (ioperm(2) or iopl(2))");
	return 0;
}

int arch_runs_batches(pid_t tid, const struct arch_regs *regs, struct arch_problem *problem)
{
	uint64_t shadow_stack_pointer;
	struct iovec iov = {&shadow_stack_pointer, sizeof(shadow_stack_pointer)};

	if (regs->user.cs != USER_CS)
		return note_problem(problem, EOPNOTSUPP, "use a 64-bit build of the program",
				    "it runs 32-bit code (cs %#llx)", regs->user.cs);
	if (ptrace(PTRACE_GETREGSET, tid, SHADOW_STACK_REGSET, &iov) == 0 && iov.iov_len)
		return note_problem(problem, EOPNOTSUPP,
				    "start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off",
				    "it has a shadow stack");
	return 0;
}

/* ---- general registers --------------------------------------------------------------------- */

/* Fields of struct user_regs_struct and of user_x86_regs_entry, in pairs. */
#define GENERAL_REGISTERS(X)                                                                       \
	X(r15, r15)                                                                                \
	X(r14, r14)                                                                                \
	X(r13, r13) X(r12, r12) X(rbp, bp) X(rbx, bx) X(r11, r11) X(r10, r10) X(r9, r9) X(r8, r8)  \
		X(rax, ax) X(rcx, cx) X(rdx, dx) X(rsi, si) X(rdi, di) X(orig_rax, orig_ax)        \
			X(rip, ip) X(cs, cs) X(eflags, flags) X(rsp, sp) X(ss, ss)                 \
				X(fs_base, fs_base) X(gs_base, gs_base) X(ds, ds) X(es, es)        \
					X(fs, fs) X(gs, gs)

static UserX86RegsEntry *describe_regs(const struct arch_regs *regs, struct arena *arena)
{
	UserX86RegsEntry *entry = ARENA_MESSAGE(arena, user_x86_regs_entry, UserX86RegsEntry);

#define STORE(user_field, image_field) entry->image_field = regs->user.user_field;
	GENERAL_REGISTERS(STORE)
#undef STORE
	entry->has_mode = true;
	entry->mode = USER_X86_REGS_MODE__NATIVE;
	return entry;
}

static bool is_data_segment(uint64_t selector)
{
	return selector <= 3 || selector == USER_SS;
}

int arch_core_regs(const CoreEntry *core, struct arch_regs *regs, struct arch_problem *problem)
{
	const ThreadInfoX86 *info = core->thread_info;
	const UserX86RegsEntry *entry = info ? info->gpregs : NULL;

	if (core->mtype != CORE_ENTRY__MARCH__X86_64 || !entry)
		return note_problem(problem, EINVAL, "restore it on a machine of its own kind",
				    "its image has no registers of an x86-64 processor");
	if (entry->has_mode && entry->mode != USER_X86_REGS_MODE__NATIVE)
		return note_problem(problem, EOPNOTSUPP, NULL, "its image is of a 32-bit program");
	/* Segments and bases are what the kernel would refuse at the last moment. */
	if (entry->cs != USER_CS || entry->ss != USER_SS || !is_data_segment(entry->ds) ||
	    !is_data_segment(entry->es) || !is_data_segment(entry->fs) ||
	    !is_data_segment(entry->gs) || entry->fs_base >= ADDRESS_LIMIT ||
	    entry->gs_base >= ADDRESS_LIMIT)
		return note_problem(problem, EINVAL, "the image is damaged",
				    "its image has impossible segment registers");
#define LOAD(user_field, image_field) regs->user.user_field = entry->image_field;
	GENERAL_REGISTERS(LOAD)
#undef LOAD
	/* Calls to be made again are set up for it; the kernel is not to do it a second time. */
	regs->user.orig_rax = -1;
	return 0;
}

uint64_t *arch_core_tid_address(CoreEntry *core)
{
	return core->thread_info ? &core->thread_info->clear_tid_addr : NULL;
}

/* ---- extended state ------------------------------------------------------------------------ */

/* The area of NT_X86_XSTATE: XSAVE's standard format (Intel SDM 1, 13.4). */
struct fxsave {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st_space[32], xmm_space[64];
	uint8_t unused[48];
	uint64_t features; /* written by the kernel: XCR0 */
	uint8_t unused_too[40];
};

struct xsave_header {
	uint64_t xstate_bv, xcomp_bv;
	uint8_t reserved[48];
};

enum {
	XSAVE_HEADER = sizeof(struct fxsave),
	XSAVE_COMPONENTS = XSAVE_HEADER + sizeof(struct xsave_header),
	XSTATE_MOST = 64 * 1024, /* more than any processor has; AMX needs 11 KiB */
	LEGACY_COMPONENTS = 3,   /* x87 and SSE are in struct fxsave */
};

_Static_assert(XSAVE_HEADER == 512 && XSAVE_COMPONENTS == 576, "layout of the XSAVE area");

/* A component whose state core-x86 has an array for. */
static const struct component {
	unsigned int number;
	const char *name;
	size_t count, items, item_size; /* n_x, x: in UserX86XsaveEntry */
} components[] = {
#define COMPONENT(number, name, field, type)                                                       \
	{                                                                                          \
		number, name, offsetof(UserX86XsaveEntry, n_##field),                              \
			offsetof(UserX86XsaveEntry, field), sizeof(type)                           \
	}
	COMPONENT(2, "AVX", ymmh_space, uint32_t),
	COMPONENT(3, "MPX", bndreg_state, uint64_t),
	COMPONENT(4, "MPX", bndcsr_state, uint64_t),
	COMPONENT(5, "AVX-512", opmask_reg, uint64_t),
	COMPONENT(6, "AVX-512", zmm_upper, uint64_t),
	COMPONENT(7, "AVX-512", hi16_zmm, uint64_t),
	COMPONENT(9, "protection key", pkru, uint32_t),
#undef COMPONENT
};

enum { COMPONENTS = sizeof(components) / sizeof(*components), COMPONENT_NUMBERS = 63 };

static const struct component *component_of(unsigned int number)
{
	for (size_t i = 0; i < COMPONENTS; i++)
		if (components[i].number == number)
			return &components[i];
	return NULL;
}

struct place {
	uint32_t size, offset; /* in the area; size 0: this processor has no such component */
};

static struct place component_place(unsigned int number)
{
	static struct place places[COMPONENT_NUMBERS];
	static bool known;

	if (!known) {
		unsigned int flags, unused;

		/* A cpuid of its own costs much in a virtual machine. */
		for (unsigned int i = 2; i < COMPONENT_NUMBERS; i++) {
			struct place *place = &places[i];

			if (!__get_cpuid_count(0xd, i, &place->size, &place->offset, &flags,
					       &unused) ||
			    (flags & 1) || place->offset < XSAVE_COMPONENTS ||
			    place->offset + place->size > XSTATE_MOST)
				*place = (struct place){0};
		}
		known = true;
	}
	return places[number];
}

static void describe_component(UserX86XsaveEntry *xsave, const unsigned char *area,
			       unsigned int number, struct arena *arena)
{
	struct place place = component_place(number);
	const struct component *component = component_of(number);

	if (component) {
		*(size_t *)((char *)xsave + component->count) = place.size / component->item_size;
		*(void **)((char *)xsave + component->items) =
			arena_copy(arena, area + place.offset, place.size);
	} else if (xsave->xstate_bv & 1ull << number) {
		XstateComponentEntry *more =
			ARENA_MESSAGE(arena, xstate_component_entry, XstateComponentEntry);

		more->component = number;
		more->data.len = place.size;
		more->data.data = arena_copy(arena, area + place.offset, place.size);
		xsave->more[xsave->n_more++] = more;
	}
}

static UserX86XsaveEntry *describe_xsave(const unsigned char *area, size_t size,
					 struct arena *arena)
{
	UserX86XsaveEntry *xsave = ARENA_MESSAGE(arena, user_x86_xsave_entry, UserX86XsaveEntry);
	const struct fxsave *legacy = (const struct fxsave *)area;
	const struct xsave_header *header = (const struct xsave_header *)(area + XSAVE_HEADER);

	xsave->xstate_bv = header->xstate_bv;
	xsave->more = arena_new_array(arena, XstateComponentEntry *, COMPONENT_NUMBERS);
	for (unsigned int number = 2; number < COMPONENT_NUMBERS; number++) {
		struct place place = component_place(number);

		if (place.size && legacy->features & 1ull << number &&
		    place.offset + place.size <= size)
			describe_component(xsave, area, number, arena);
	}
	return xsave;
}

static UserX86FpregsEntry *describe_fpregs(const unsigned char *area, size_t size,
					   struct arena *arena)
{
	UserX86FpregsEntry *fpregs =
		ARENA_MESSAGE(arena, user_x86_fpregs_entry, UserX86FpregsEntry);
	const struct fxsave *legacy = (const struct fxsave *)area;

	fpregs->cwd = legacy->cwd;
	fpregs->swd = legacy->swd;
	fpregs->twd = legacy->twd;
	fpregs->fop = legacy->fop;
	fpregs->rip = legacy->rip;
	fpregs->rdp = legacy->rdp;
	fpregs->mxcsr = legacy->mxcsr;
	fpregs->mxcsr_mask = legacy->mxcsr_mask;
	fpregs->n_st_space = 32;
	fpregs->st_space = arena_copy(arena, legacy->st_space, sizeof(legacy->st_space));
	fpregs->n_xmm_space = 64;
	fpregs->xmm_space = arena_copy(arena, legacy->xmm_space, sizeof(legacy->xmm_space));
	if (size >= XSAVE_COMPONENTS)
		fpregs->xsave = describe_xsave(area, size, arena);
	return fpregs;
}

int arch_describe_core(pid_t tid, const struct arch_regs *regs, struct arena *arena,
		       CoreEntry *core, struct arch_problem *problem)
{
	_Alignas(64) unsigned char area[XSTATE_MOST];
	struct iovec iov = {area, sizeof(area)};
	ThreadInfoX86 *info = ARENA_MESSAGE(arena, thread_info_x86, ThreadInfoX86);

	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return note_problem(problem, errno, NULL, "cannot read its extended registers: %s",
				    strerror(errno));
	if (iov.iov_len < sizeof(struct fxsave))
		return note_problem(problem, EIO, NULL,
				    "the kernel gave %zu bytes of extended registers", iov.iov_len);
	core->mtype = CORE_ENTRY__MARCH__X86_64;
	core->thread_info = info;
	info->gpregs = describe_regs(regs, arena);
	info->fpregs = describe_fpregs(area, iov.iov_len, arena);
	return refuse_odd_state(tid, problem);
}

/* ---- and back ------------------------------------------------------------------------------ */

static int restore_component(unsigned char *area, size_t size, unsigned int number,
			     const void *data, size_t length, struct arch_problem *problem)
{
	const struct fxsave *legacy = (const struct fxsave *)area;
	struct place place = component_place(number);
	const struct component *component = component_of(number);

	if (!place.size || !(legacy->features & 1ull << number) || place.offset + place.size > size)
		return note_problem(
			problem, EOPNOTSUPP,
			"restore it on a machine with the same processor features",
			"it uses %s registers (component %u), which this processor does not have",
			component ? component->name : "extended", number);
	if (length != place.size)
		return note_problem(
			problem, EINVAL, "the image is damaged",
			"its image has %zu bytes for component %u of the extended registers, "
			"not %u",
			length, number, place.size);
	memcpy(area + place.offset, data, length);
	((struct xsave_header *)(area + XSAVE_HEADER))->xstate_bv |= 1ull << number;
	return 0;
}

/* Components that are in use; the others stay as they are in a program that has just started. */
static int restore_xsave(unsigned char *area, size_t size, const UserX86XsaveEntry *xsave,
			 struct arch_problem *problem)
{
	uint64_t left = xsave->xstate_bv & ~3ull;
	int error = 0;

	for (size_t i = 0; i < COMPONENTS && !error; i++) {
		const struct component *component = &components[i];
		size_t count = *(const size_t *)((const char *)xsave + component->count);

		if (!count || !(left & 1ull << component->number))
			continue;
		left &= ~(1ull << component->number);
		error = restore_component(area, size, component->number,
					  *(void *const *)((const char *)xsave + component->items),
					  count * component->item_size, problem);
	}
	for (size_t i = 0; i < xsave->n_more && !error; i++) {
		const XstateComponentEntry *more = xsave->more[i];

		if (more->component < LEGACY_COMPONENTS || more->component >= COMPONENT_NUMBERS ||
		    !(left & 1ull << more->component))
			return note_problem(problem, EINVAL, "the image is damaged",
					    "its image has an impossible component %u of the "
					    "extended registers",
					    more->component);
		left &= ~(1ull << more->component);
		error = restore_component(area, size, more->component, more->data.data,
					  more->data.len, problem);
	}
	if (left && !error)
		return note_problem(
			problem, EINVAL, "the image is damaged",
			"its image lacks extended registers that it says are in use (%#lx)",
			(unsigned long)left);
	return error;
}

static int restore_fpregs(unsigned char *area, size_t size, const UserX86FpregsEntry *fpregs,
			  struct arch_problem *problem)
{
	struct fxsave *legacy = (struct fxsave *)area;
	struct xsave_header *header = (struct xsave_header *)(area + XSAVE_HEADER);

	if (fpregs->n_st_space != 32 || fpregs->n_xmm_space != 64)
		return note_problem(
			problem, EINVAL, "the image is damaged",
			"its image has an impossible number of floating point registers");
	legacy->cwd = fpregs->cwd;
	legacy->swd = fpregs->swd;
	legacy->twd = fpregs->twd;
	legacy->fop = fpregs->fop;
	legacy->rip = fpregs->rip;
	legacy->rdp = fpregs->rdp;
	legacy->mxcsr = fpregs->mxcsr;
	memcpy(legacy->st_space, fpregs->st_space, sizeof(legacy->st_space));
	memcpy(legacy->xmm_space, fpregs->xmm_space, sizeof(legacy->xmm_space));
	if (size < XSAVE_COMPONENTS)
		return 0;
	header->xstate_bv = fpregs->xsave ? fpregs->xsave->xstate_bv & 3 : 3;
	header->xcomp_bv = 0;
	return fpregs->xsave ? restore_xsave(area, size, fpregs->xsave, problem) : 0;
}

int arch_restore_xstate(pid_t tid, const CoreEntry *core, struct arch_problem *problem)
{
	_Alignas(64) unsigned char area[XSTATE_MOST];
	struct iovec iov = {area, sizeof(area)};
	int error;

	if (!core->thread_info || !core->thread_info->fpregs)
		return note_problem(problem, EINVAL, "the image is damaged",
				    "its image has no floating point registers");
	/* The thread's own state gives size, features and the parts that are not restored. */
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return note_problem(problem, errno, NULL, "cannot read its extended registers: %s",
				    strerror(errno));
	error = restore_fpregs(area, iov.iov_len, core->thread_info->fpregs, problem);
	if (error)
		return error;
	if (ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &iov) < 0)
		return note_problem(problem, errno, "the image is damaged",
				    "the kernel refuses its extended registers: %s",
				    strerror(errno));
	return 0;
}

/* ---- switches ------------------------------------------------------------------------------ */

/* asm/prctl.h, newer than the headers of Debian 12. */
enum {
	X86_GET_CPUID = 0x1011,
	X86_SET_CPUID = 0x1012,
	X86_GET_XCOMP_PERM = 0x1022,
	X86_REQ_XCOMP_PERM = 0x1023,
	X86_GET_UNTAG_MASK = 0x4001,
	XTILEDATA = 18,
};

const struct task_control arch_controls[] = {
	{.name = "cpuid instruction (ARCH_SET_CPUID)",
	 .call = SYS_arch_prctl,
	 .get = X86_GET_CPUID,
	 .form = CONTROL_RESULT,
	 .mask = 1,
	 .normal = 1,
	 .set = X86_SET_CPUID},
	/* Bit 18 is asked for by its number, which is the value that is carried over. */
	{.name = "AMX registers (ARCH_REQ_XCOMP_PERM)",
	 .call = SYS_arch_prctl,
	 .get = X86_GET_XCOMP_PERM,
	 .form = CONTROL_LONG,
	 .mask = 1ull << XTILEDATA,
	 .set = X86_REQ_XCOMP_PERM,
	 .set_value = XTILEDATA,
	 .process = true},
	{.name = "tagged addresses (ARCH_ENABLE_TAGGED_ADDR)",
	 .call = SYS_arch_prctl,
	 .get = X86_GET_UNTAG_MASK,
	 .form = CONTROL_LONG,
	 .mask = ~0ull,
	 .normal = ~0ull,
	 .process = true,
	 .remedy = "run it without linear address masking"},
	{.name = "local descriptor table (modify_ldt(2))",
	 .call = SYS_modify_ldt,
	 .get = 0,
	 .argument = 8,
	 .form = CONTROL_BUFFER,
	 .mask = ~0ull,
	 .process = true,
	 .remedy = "only programs of 16- and 32-bit times use it"},
};
const size_t arch_control_count = sizeof(arch_controls) / sizeof(*arch_controls);
