/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

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

/* The loop and its constants: position independent, needs no stack. */
extern const unsigned char arch_loop[];
extern const size_t arch_loop_size;

/* Room the loop needs behind its code for the state it falls through into. */
size_t arch_resume_size(void);
/*
 * Writes to `resume` what the loop needs to bring `regs` and `sigmask` back by itself; a system
 * call that was interrupted is set up to continue.
 */
void arch_resume(void *resume, const struct arch_regs *regs, uint64_t sigmask);

/* Registers that start the loop at `code`: count calls at `calls`, then ring the bell. */
struct arch_regs arch_start_loop(const struct arch_regs *base, uint64_t code, uint64_t calls,
				 uint64_t count, pid_t pid, pid_t tid, int bell, uint64_t resume);
/* Registers that make one call at the `syscall` instruction at `address`. */
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
