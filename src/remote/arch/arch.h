/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * All that differs between processors: registers, the loop of remote/, and how both are stored in
 * core images.  A new architecture is one file beside x86_64.c (and its core-*.proto).
 */
#ifdef __x86_64__
#include <sys/user.h>
struct arch_regs {
	struct user_regs_struct user;
};
#else
#error "this architecture has no file in remote/arch/ yet"
#endif

struct remote_call;

/* The end of the addresses a task can have. */
#define ARCH_TASK_SIZE 0x7ffffffff000ull

/* The loop: position independent, needs no stack, changes no flags. */
extern const unsigned char arch_loop[];
size_t arch_loop_size(void);

/* The resume block: what the loop falls through into when nobody takes over after its last call. */
size_t arch_resume_size(void);
/*
 * Writes the resume block that brings `regs` and `sigmask` back; a system call that was
 * interrupted is set up to continue.
 */
void arch_resume(void *block, const struct arch_regs *regs, uint64_t sigmask);

struct arch_loop_start {
	uint64_t code, resume; /* addresses of the loop and of the resume block */
	pid_t pid, tid;
	int bell; /* the signal the loop ends with */
};

/* Registers that make the loop issue `count` calls at `calls`. */
struct arch_regs arch_start_loop(const struct arch_regs *base, const struct arch_loop_start *start,
				 uint64_t calls, uint64_t count);
/* Registers that make it issue one call, from registers; arch_first_result() has its result. */
struct arch_regs arch_start_first(const struct arch_regs *base, const struct arch_loop_start *start,
				  const struct remote_call *call);
int64_t arch_first_result(const struct arch_regs *regs);
/* Has the loop at `code` made its last call and rung the bell? */
bool arch_loop_done(const struct arch_regs *regs, uint64_t code);

/* Registers that make one call at the system call instruction at `address`. */
struct arch_regs arch_start_call(const struct arch_regs *base, uint64_t address,
				 const struct remote_call *call);
/* Offset of a system call instruction in code, or -1. */
ssize_t arch_find_syscall(const unsigned char *code, size_t size);

int arch_get_regs(pid_t tid, struct arch_regs *regs);
int arch_set_regs(pid_t tid, const struct arch_regs *regs);
uint64_t arch_ip(const struct arch_regs *regs);
void arch_set_ip(struct arch_regs *regs, uint64_t ip);
uint64_t arch_sp(const struct arch_regs *regs);
/* The system call the thread was in, or -1. */
long arch_syscall_nr(const struct arch_regs *regs);
int64_t arch_result(const struct arch_regs *regs);
/* Arguments of the system call the thread is in. */
void arch_syscall_args(const struct arch_regs *regs, uint64_t args[6]);
/* Sets the registers so that the interrupted system call is made again from its beginning. */
void arch_restart_syscall(struct arch_regs *regs);
