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

struct batch;
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
	pid_t pid, tid;        /* in the thread's own pid namespace */
	int bell;              /* the signal the loop ends with */
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
/* Adds a call that maps the kernel's vdso, with its data first, at `address`, which is free. */
size_t arch_map_vdso(struct batch *batch, uint64_t address);
/* Whether the kernel offers that. */
bool arch_can_map_vdso(void);
/* The system call the thread was in, or -1. */
long arch_syscall_nr(const struct arch_regs *regs);
int64_t arch_result(const struct arch_regs *regs);
/* Arguments of the system call the thread is in. */
void arch_syscall_args(const struct arch_regs *regs, uint64_t args[6]);
/* Sets the registers so that the interrupted system call is made again from its beginning. */
void arch_restart_syscall(struct arch_regs *regs);
/* Changes the result the interrupted system call will have. */
void arch_set_result(struct arch_regs *regs, int64_t result);
/*
 * The number that the code before `ip` loads for its system call, or -1 when it is not there to be
 * seen: of a call that goes on as restart_syscall(2) nothing else tells what it was.  `code` is
 * the ARCH_CODE_BEFORE bytes before ip.
 */
enum { ARCH_CODE_BEFORE = 9 };
long arch_loaded_syscall(const unsigned char code[ARCH_CODE_BEFORE]);
/* Of registers that stand before a call to be made again: */
/* makes it continue the sleep that the kernel keeps for the thread, */
void arch_continue_sleep(struct arch_regs *regs);
/* or have this result instead. */
void arch_finish_syscall(struct arch_regs *regs, int64_t result);
/* Changes which call the interrupted one is. */
void arch_set_syscall_nr(struct arch_regs *regs, long nr);

/*
 * Core images.  A function that fails says in *problem why; its caller knows whose state it is.
 *
 * arch_runs_batches(): is this a thread that the loop can run in?
 * arch_describe_core() fills in mtype and thread_info: the given registers, and the extended state
 * of the thread, which must be stopped; it refuses state that core images cannot hold.
 * arch_core_regs() checks the registers of a core image and takes them.
 * arch_restore_xstate() gives a stopped thread its extended state.
 */
struct arena;
struct CoreEntry;
struct arch_problem {
	char reason[192];
	const char *remedy; /* or NULL */
};
int arch_runs_batches(pid_t tid, const struct arch_regs *regs, struct arch_problem *problem);
int arch_describe_core(pid_t tid, const struct arch_regs *regs, struct arena *arena,
		       struct CoreEntry *core, struct arch_problem *problem);
int arch_core_regs(const struct CoreEntry *core, struct arch_regs *regs,
		   struct arch_problem *problem);
int arch_restore_xstate(pid_t tid, const struct CoreEntry *core, struct arch_problem *problem);
/* The value of core images' mtype. */
int arch_march(void);
/* Where a core image keeps the address of set_tid_address(2); NULL: it has none. */
uint64_t *arch_core_tid_address(struct CoreEntry *core);

/*
 * A switch of a thread or of its process: one system call reads it, another sets it.  Those of
 * this architecture; task/controls.c has the others and the code for all.
 */
struct task_control {
	const char *name;
	long call;         /* SYS_prctl and the like */
	uint32_t get;      /* option that reads it */
	uint64_t argument; /* a further argument of get */
	enum control_form {
		CONTROL_RESULT,    /* get(argument) returns it */
		CONTROL_INT,       /* get(&int) */
		CONTROL_LONG,      /* get(&uint64_t) */
		CONTROL_BUFFER,    /* get(&uint64_t, argument) returns it */
		CONTROL_TASK_FLAG, /* in the flags of /proc/PID/stat: all bits of argument */
	} form;
	uint64_t mask;    /* bits that count */
	uint64_t needs;   /* bits without which the thread has no say */
	uint64_t normal;  /* the value that programs start with */
	uint32_t set;     /* option that sets it; 0: nothing can, and so it is refused */
	bool by_argument; /* set(set_argument, value) instead of set(value) */
	uint64_t set_argument;
	uint64_t set_value; /* the value for set when the switch is on; 0: the bits as they are */
	bool process;       /* one for all threads */
	const char *remedy;
};
extern const struct task_control arch_controls[];
extern const size_t arch_control_count;
