/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "remote/arch/arch.h"

#include <asm/prctl.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "remote/remote.h"

/*
 * The loop.  It never touches the stack pointer, the flags, or any extended register, so an
 * application's signal handler may run in the middle of it and the application can be resumed
 * from a handful of words.
 *
 *	r12  the next call		r14, r15  pid and tid
 *	r13  how many are left		rbx	  the bell: a signal this process ignores
 *	rbp  the resume block (struct resume)
 *
 * After the last call it rings the bell.  The coordinator sees that as a signal-delivery stop and
 * takes over.  When the coordinator is dead nothing stops here, and the thread goes on to put its
 * signal mask and its registers back and is where it was interrupted.  (Not with rt_sigreturn:
 * that would make an interrupted nanosleep, poll or futex return EINTR, see
 * docs/decisions/0002-resume-block.md.)
 *
 * Entered at arch_loop it first makes one call straight from the registers, result in r12, for
 * when there is no memory yet to keep calls in; r13 must be 0 then.
 */
__asm__(".pushsection .rodata\n"
	".globl arch_loop\n"
	"arch_loop:\n"
	"	syscall\n"
	"	mov	%rax, %r12\n"
	"arch_loop_calls:\n"
	"1:	mov	%r13, %rcx\n"
	"	jrcxz	2f\n"
	"	mov	(%r12), %rax\n"
	"	mov	8(%r12), %rdi\n"
	"	mov	16(%r12), %rsi\n"
	"	mov	24(%r12), %rdx\n"
	"	mov	32(%r12), %r10\n"
	"	mov	40(%r12), %r8\n"
	"	mov	48(%r12), %r9\n"
	"	syscall\n"
	"	mov	%rax, 56(%r12)\n"
	"	lea	64(%r12), %r12\n"
	"	lea	-1(%r13), %r13\n"
	"	jmp	1b\n"
	"2:	mov	%r14, %rdi\n"
	"	mov	%r15, %rsi\n"
	"	mov	%rbx, %rdx\n"
	"	mov	$234, %eax\n" /* tgkill */
	"	syscall\n"
	"arch_loop_rung:\n"
	"	mov	$2, %edi\n" /* SIG_SETMASK */
	"	lea	(%rbp), %rsi\n"
	"	mov	$0, %edx\n"
	"	mov	$8, %r10d\n"
	"	mov	$14, %eax\n" /* rt_sigprocmask */
	"	syscall\n"
	"	lea	8(%rbp), %rsp\n"
	"	pop	%r15\n"
	"	pop	%r14\n"
	"	pop	%r13\n"
	"	pop	%r12\n"
	"	pop	%rbp\n"
	"	pop	%rbx\n"
	"	pop	%r11\n"
	"	pop	%r10\n"
	"	pop	%r9\n"
	"	pop	%r8\n"
	"	pop	%rax\n"
	"	pop	%rcx\n"
	"	pop	%rdx\n"
	"	pop	%rsi\n"
	"	pop	%rdi\n"
	"	iretq\n"
	"arch_loop_end:\n"
	".popsection\n");
extern const unsigned char arch_loop_calls[], arch_loop_rung[], arch_loop_end[];

/* In the order in which the loop takes it back; the tail is what iretq pops. */
struct resume {
	uint64_t sigmask;
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t rip, cs, eflags, rsp, ss;
};

size_t arch_loop_size(void)
{
	return arch_loop_end - arch_loop;
}

size_t arch_resume_size(void)
{
	return sizeof(struct resume);
}

/* Results the kernel gives a system call that a stop interrupted (linux/errno.h). */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };
enum { SYSCALL_SIZE = 2 };

void arch_resume(void *block, const struct arch_regs *regs, uint64_t sigmask)
{
	struct user_regs_struct user = regs->user;

	if ((long)user.orig_rax >= 0) {
		switch (-(long)user.rax) {
		case ERESTARTSYS:
		case ERESTARTNOINTR:
		case ERESTARTNOHAND:
			user.rax = user.orig_rax;
			user.rip -= SYSCALL_SIZE;
			break;
		case ERESTART_RESTARTBLOCK:
			user.rax = SYS_restart_syscall;
			user.rip -= SYSCALL_SIZE;
			break;
		}
	}

	struct resume resume = {
		.sigmask = sigmask,
		.r15 = user.r15,
		.r14 = user.r14,
		.r13 = user.r13,
		.r12 = user.r12,
		.rbp = user.rbp,
		.rbx = user.rbx,
		.r11 = user.r11,
		.r10 = user.r10,
		.r9 = user.r9,
		.r8 = user.r8,
		.rax = user.rax,
		.rcx = user.rcx,
		.rdx = user.rdx,
		.rsi = user.rsi,
		.rdi = user.rdi,
		.rip = user.rip,
		.cs = user.cs,
		.eflags = user.eflags,
		.rsp = user.rsp,
		.ss = user.ss,
	};

	memcpy(block, &resume, sizeof(resume));
}

static struct arch_regs loop_regs(const struct arch_regs *base, const struct arch_loop_start *start)
{
	struct arch_regs regs = *base;

	regs.user.orig_rax = -1; /* the interrupted call is not to be restarted here */
	regs.user.r13 = 0;
	regs.user.r14 = start->pid;
	regs.user.r15 = start->tid;
	regs.user.rbx = start->bell;
	regs.user.rbp = start->resume;
	return regs;
}

struct arch_regs arch_start_loop(const struct arch_regs *base, const struct arch_loop_start *start,
				 uint64_t calls, uint64_t count)
{
	struct arch_regs regs = loop_regs(base, start);

	regs.user.rip = start->code + (arch_loop_calls - arch_loop);
	regs.user.r12 = calls;
	regs.user.r13 = count;
	return regs;
}

static void load_call(struct user_regs_struct *user, const struct remote_call *call)
{
	user->rax = call->nr;
	user->rdi = call->args[0];
	user->rsi = call->args[1];
	user->rdx = call->args[2];
	user->r10 = call->args[3];
	user->r8 = call->args[4];
	user->r9 = call->args[5];
}

struct arch_regs arch_start_first(const struct arch_regs *base, const struct arch_loop_start *start,
				  const struct remote_call *call)
{
	struct arch_regs regs = loop_regs(base, start);

	regs.user.rip = start->code;
	load_call(&regs.user, call);
	return regs;
}

int64_t arch_first_result(const struct arch_regs *regs)
{
	return regs->user.r12;
}

struct arch_regs arch_start_call(const struct arch_regs *base, uint64_t address,
				 const struct remote_call *call)
{
	struct arch_regs regs = *base;

	regs.user.orig_rax = -1;
	regs.user.rip = address;
	load_call(&regs.user, call);
	return regs;
}

bool arch_loop_done(const struct arch_regs *regs, uint64_t code)
{
	return regs->user.rip == code + (arch_loop_rung - arch_loop);
}

ssize_t arch_find_syscall(const unsigned char *code, size_t size)
{
	for (size_t i = 0; i + 1 < size; i++)
		if (code[i] == 0x0f && code[i + 1] == 0x05)
			return i;
	return -1;
}

int arch_get_regs(pid_t tid, struct arch_regs *regs)
{
	struct iovec iov = {&regs->user, sizeof(regs->user)};

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return -errno;
	/* A 32-bit task has another, shorter register set. */
	return iov.iov_len == sizeof(regs->user) ? 0 : -EOPNOTSUPP;
}

int arch_set_regs(pid_t tid, const struct arch_regs *regs)
{
	struct iovec iov = {(void *)&regs->user, sizeof(regs->user)};

	return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov) < 0 ? -errno : 0;
}

uint64_t arch_ip(const struct arch_regs *regs)
{
	return regs->user.rip;
}

void arch_set_ip(struct arch_regs *regs, uint64_t ip)
{
	regs->user.rip = ip;
}

uint64_t arch_sp(const struct arch_regs *regs)
{
	return regs->user.rsp;
}

long arch_syscall_nr(const struct arch_regs *regs)
{
	return regs->user.orig_rax;
}

int64_t arch_result(const struct arch_regs *regs)
{
	return regs->user.rax;
}

void arch_syscall_args(const struct arch_regs *regs, uint64_t args[6])
{
	args[0] = regs->user.rdi;
	args[1] = regs->user.rsi;
	args[2] = regs->user.rdx;
	args[3] = regs->user.r10;
	args[4] = regs->user.r8;
	args[5] = regs->user.r9;
}

void arch_restart_syscall(struct arch_regs *regs)
{
	regs->user.rax = regs->user.orig_rax;
	regs->user.rip -= SYSCALL_SIZE;
	regs->user.orig_rax = -1;
}

void arch_set_result(struct arch_regs *regs, int64_t result)
{
	regs->user.rax = result;
	regs->user.orig_rax = -1;
}

void arch_continue_sleep(struct arch_regs *regs)
{
	regs->user.rax = SYS_restart_syscall;
}

void arch_finish_syscall(struct arch_regs *regs, int64_t result)
{
	regs->user.rip += SYSCALL_SIZE;
	arch_set_result(regs, result);
}

void arch_set_syscall_nr(struct arch_regs *regs, long nr)
{
	regs->user.orig_rax = nr;
}

long arch_loaded_syscall(const unsigned char code[ARCH_CODE_BEFORE])
{
	static const unsigned char mov_eax = 0xb8, mov_rax[] = {0x48, 0xc7, 0xc0};
	const unsigned char *end = code + ARCH_CODE_BEFORE - SYSCALL_SIZE;
	int32_t number;

	memcpy(&number, end - 4, sizeof(number));
	if (end[0] != 0x0f || end[1] != 0x05)
		return -1;
	return end[-5] == mov_eax || !memcmp(end - 7, mov_rax, sizeof(mov_rax)) ? number : -1;
}

size_t arch_map_vdso(struct batch *batch, uint64_t address)
{
	return batch_call(batch, SYS_arch_prctl, ARCH_MAP_VDSO_64, address);
}

bool arch_can_map_vdso(void)
{
	/* Who has one already gets no other, but learns that it could be. */
	return syscall(SYS_arch_prctl, ARCH_MAP_VDSO_64, 0) < 0 && errno == EEXIST;
}
