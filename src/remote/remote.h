/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "remote/arch/arch.h"

/*
 * Control of other processes.  A thread is seized with ptrace and made to issue system calls in
 * batches: a short loop of machine code (remote/arch/) walks an array of calls and stores their
 * results.  Everything else stasis does happens in its own process.
 *
 * Interrupted means untouched: at every moment, a thread of a dumped application that loses its
 * tracer runs the loop to its end and falls through into the state in which it was interrupted.
 *
 * Functions return 0 or a negative errno and report nothing unless they say so.
 */

/* One system call of a batch, as the loop reads it. */
struct remote_call {
	uint64_t nr;
	uint64_t args[6];
	int64_t ret; /* the result, or a negative errno */
};

/* What the threads of one address space share. */
struct remote_space {
	pid_t pid;               /* of a thread in it, for process_vm_readv and the like */
	pid_t own;               /* of its process, in that process' own pid namespace */
	uint64_t vdso, vdso_end; /* [vdso] of a dumped application */
	uint64_t code;           /* where the loop is; 0: nowhere yet */
	bool code_in_vdso;
	uint64_t first_resume;    /* a resume block outside the area, beside the loop in the vdso */
	uint64_t area;            /* memory for calls and their data, one slot a thread */
	uint64_t area_size;       /* 0: none yet */
	uint64_t ignored, caught; /* SigIgn and SigCgt of /proc/PID/status; bit 0 is signal 1 */
	uint64_t pending;         /* ShdPnd */
};

enum {
	REMOTE_LEADER_SLOT = 256 * 1024, /* slot 0 */
	REMOTE_SLOT = 16 * 1024,         /* each further slot */
};

/*
 * The area begins with these 16 bytes.  An area that a killed stasis left behind in an application
 * is known by them, and is no part of it.
 */
#define REMOTE_AREA_MAGIC "stasis area 1\n\0"

/* A thread under control. */
struct remote {
	pid_t tid;
	pid_t own; /* in the thread's own pid namespace */
	struct remote_space *space;
	uint64_t slot, slot_size; /* this thread's part of the area */
	struct arch_regs regs;    /* as it was interrupted; what release puts back */
	uint64_t sigmask;         /* blocked signals, likewise */
	int bell;                 /* the harmless signal that ends a batch; 0: there is none, */
	/* and the loop is followed call by call */
	int group_stop; /* signal of the job-control stop it was found in, or 0 */
	bool seized;
	unsigned int failures; /* of waits for its end */
	bool moved; /* its registers and mask are not its own now */
};

/*
 * Seizing.  remote_seize() attaches and asks for a stop without waiting, so that many threads
 * stop at the same time; remote_wait_stop() waits until it stands and fetches registers and mask.
 * -ESRCH: the thread is gone.  options: PTRACE_O_*.
 */
int remote_seize(struct remote *remote, pid_t tid, unsigned long options);
int remote_wait_stop(struct remote *remote);
/*
 * Waits that last longer than this from now end with -ETIMEDOUT (a task that does not stop, because
 * it hangs in the kernel); 0 seconds: wait for ever again.  remote_late(): that time has come.
 */
void remote_deadline(unsigned int seconds);
bool remote_late(void);
/*
 * Waits for the next stop of a thread.  -ESRCH: it ended, with *status if it could be waited for.
 * Uses SIGALRM.
 */
int remote_wait(pid_t tid, int *status);
/*
 * The state of a task, by its letter in /proc/PID/stat; 0: there is none of that number.  Dead is
 * also a zombie, and a leader that has ended before its threads.
 */
char remote_state(pid_t tid);
bool remote_is_dead(pid_t tid);
/* Gives a thread registers and mask that were changed since it was seized. */
int remote_correct(struct remote *remote);
/* A newborn that a batch of its parent cloned: waits for its first stop. */
int remote_adopt(struct remote *remote, pid_t tid);

/*
 * Makes a seized application ready for batches: puts the loop into the unused tail of its vdso
 * (a private copy of that page; nothing else can keep code that a killed stasis leaves behind
 * harmless) and maps the area with a batch of one call.  threads[0] must be the leader; every
 * thread gets its slot.  space->pid, vdso, vdso_end, ignored, caught and pending must be set.
 * Reports.
 */
int remote_open(struct remote_space *space, struct remote *const *threads, size_t count);
/*
 * Takes the area and the loop back and gives all threads their registers and masks; they stay
 * stopped.  In a restored task (no code in the vdso) the area is unmapped by a call made in the
 * restored vdso.  Reports, but for -ESRCH: the task is gone.
 */
int remote_close(struct remote_space *space, struct remote *const *threads, size_t count);
/* Slot `index` of the area (restore: for threads that are born into an area). */
void remote_use_slot(struct remote *remote, struct remote_space *space, size_t index);
/* Bytes that an area for this many threads needs. */
uint64_t remote_area_size(size_t threads);
/* Writes an area's header and, into its own page behind, the loop: for tasks that are born. */
void remote_fill_area(void *area, size_t threads);
/* Offset of that page in an area. */
uint64_t remote_area_code(size_t threads);

/* Puts registers and mask back and lets go.  A thread in a job-control stop stays stopped. */
int remote_release(struct remote *remote);

/* Waits until a thread that was sent SIGKILL, or made to exit, is gone. */
void remote_reap(struct remote *remote);
/* The same without waiting: whether it is gone. */
bool remote_reap_now(struct remote *remote);

/* Memory of the other process; all of it, or a negative errno. */
int remote_read(const struct remote_space *space, uint64_t address, void *data, size_t size);
int remote_write(const struct remote_space *space, uint64_t address, const void *data, size_t size);

/*
 * Batches:
 *
 *	struct batch batch;
 *	batch_begin(&batch, remote);
 *	struct rlimit *limit = batch_data(&batch, sizeof(*limit), &address);
 *	size_t get = batch_call(&batch, SYS_prlimit64, 0, RLIMIT_CORE, 0, address);
 *	int error = batch_run(&batch);          // *limit is the answer now
 *	... batch_result(&batch, get) ...
 *	batch_end(&batch);
 *
 * batch_data() reserves bytes that are copied to the thread before the run and back after it,
 * 16-byte aligned and zeroed; the local pointer is good until batch_reset() or batch_end().
 * Whoever adds an unbounded number of calls asks batch_fits() first and runs and resets when not.
 */
struct batch {
	struct remote *remote;
	unsigned char *mirror; /* of the thread's slot: calls from the bottom, data from the top */
	size_t count, data;    /* calls; offset of the lowest data byte */
	bool running;
};

void batch_begin(struct batch *batch, struct remote *remote);
bool batch_fits(const struct batch *batch, size_t calls, size_t bytes);
void *batch_data(struct batch *batch, size_t size, uint64_t *address);
/* A copy of data, to be read by a call: its remote address. */
uint64_t batch_input(struct batch *batch, const void *data, size_t size);
size_t batch_call_(struct batch *batch, uint64_t nr, const uint64_t args[6]);
#define batch_call(batch, nr, ...) batch_call_((batch), (nr), (const uint64_t[6]){__VA_ARGS__})
int64_t batch_result(const struct batch *batch, size_t index);
/* All calls must succeed: the first that failed is reported, with what it was for. */
int batch_check(const struct batch *batch, const char *purpose);
int batch_run(struct batch *batch); /* start and wait; 0, or a negative errno of the machinery */
int batch_start(struct batch *batch);
int batch_wait(struct batch *batch);
void batch_reset(struct batch *batch); /* empties it, after a run */
void batch_end(struct batch *batch);

/* One call: its result, or a negative errno (also of the machinery). */
int64_t remote_syscall_(struct remote *remote, uint64_t nr, const uint64_t args[6]);
#define remote_syscall(remote, nr, ...)                                                            \
	remote_syscall_((remote), (nr), (const uint64_t[6]){__VA_ARGS__})

/*
 * Descriptors for a task that is being restored.  A channel is a socketpair whose far end every
 * restored task holds as descriptor `number`.  remote_send_fds() puts copies of fds into the
 * task's table, at the lowest free numbers, in order; `numbers` (may be NULL) receives them.
 */
struct remote_channel {
	int near, far; /* far: open here only until the first task is born */
	int number;    /* of the far end in the tasks */
};
int remote_send_fds(const struct remote_channel *channel, struct remote *remote, const int *fds,
		    size_t count, int *numbers);

/*
 * The same as a part of a batch, which saves a run of its own: remote_deliver() sends at most
 * REMOTE_FDS_MOST, and adds the call that receives them; batch_fits(batch, 1,
 * REMOTE_DELIVERY_ROOM) must hold.  Calls behind it may use the numbers that the caller expects.
 * After the run, remote_delivered() tells where they landed, and remote_delivered_to() whether
 * that was as expected; -EMFILE: the task's limit.
 */
enum { REMOTE_FDS_MOST = 253 /* SCM_MAX_FD of the kernel */, REMOTE_DELIVERY_ROOM = 2048 };

struct remote_delivery {
	size_t call, count;
	const void *control; /* in the batch */
};

int remote_deliver(const struct remote_channel *channel, struct batch *batch, const int *fds,
		   size_t count, struct remote_delivery *delivery);
int remote_delivered(const struct batch *batch, const struct remote_delivery *delivery,
		     const int **numbers);
int remote_delivered_to(const struct batch *batch, const struct remote_delivery *delivery,
			const int *expected);

/* Where the descriptor of this index lands in a task that has nothing open but the channel. */
static inline int remote_landing(const struct remote_channel *channel, size_t index)
{
	return (int)index < channel->number ? (int)index : (int)index + 1;
}
