/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "task/part.h"

/* Credentials: ids, groups, capabilities, secure bits; and what setting them takes away. */

enum { REAL, EFFECTIVE, SAVED, FILE_SYSTEM };
enum { DUMPABLE_BY_ROOT = 2 }; /* SUID_DUMP_ROOT of the kernel */
enum { CAPABILITY_WORDS = 2, LAST_CAPABILITY = 63 };

bool have_capability(int capability)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[CAPABILITY_WORDS];

	return syscall(SYS_capget, &header, data) == 0 &&
	       data[capability / 32].effective & 1u << capability % 32;
}

/* ---- dump --------------------------------------------------------------------------------- */

struct asked {
	int *pdeath;
	char *label;
	size_t securebits, thread_keyring, process_keyring, default_keyring;
};

static void *creds_ask(struct inquiry *inquiry)
{
	struct asked *asked = arena_new_object(inquiry->arena, struct asked);
	struct batch *batch = inquiry->batch;
	uint64_t address;

	asked->securebits = batch_call(batch, SYS_prctl, PR_GET_SECUREBITS);
	asked->pdeath = batch_data(batch, sizeof(*asked->pdeath), &address);
	batch_call(batch, SYS_prctl, PR_GET_PDEATHSIG, address);
	asked->thread_keyring = batch_call(batch, SYS_keyctl, KEYCTL_GET_KEYRING_ID,
					   (uint32_t)KEY_SPEC_THREAD_KEYRING, 0);
	asked->process_keyring = batch_call(batch, SYS_keyctl, KEYCTL_GET_KEYRING_ID,
					    (uint32_t)KEY_SPEC_PROCESS_KEYRING, 0);
	asked->default_keyring = batch_call(batch, SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING,
					    (uint32_t)KEY_REQKEY_DEFL_NO_CHANGE);
	return asked;
}

static uint32_t *capability_words(struct arena *arena, uint64_t mask, size_t *count)
{
	uint32_t words[CAPABILITY_WORDS] = {mask, mask >> 32};

	*count = CAPABILITY_WORDS;
	return arena_copy(arena, words, sizeof(words));
}

static CredsEntry *describe_creds(struct arena *arena, const struct proc_status *status)
{
	CredsEntry *creds = ARENA_MESSAGE(arena, creds_entry, CredsEntry);

	creds->uid = status->uids[REAL];
	creds->euid = status->uids[EFFECTIVE];
	creds->suid = status->uids[SAVED];
	creds->fsuid = status->uids[FILE_SYSTEM];
	creds->gid = status->gids[REAL];
	creds->egid = status->gids[EFFECTIVE];
	creds->sgid = status->gids[SAVED];
	creds->fsgid = status->gids[FILE_SYSTEM];
	creds->n_groups = status->group_count;
	creds->groups =
		arena_copy(arena, status->groups, status->group_count * sizeof(*status->groups));
	creds->cap_inh = capability_words(arena, status->inheritable, &creds->n_cap_inh);
	creds->cap_prm = capability_words(arena, status->permitted, &creds->n_cap_prm);
	creds->cap_eff = capability_words(arena, status->effective, &creds->n_cap_eff);
	creds->cap_bnd = capability_words(arena, status->bounding, &creds->n_cap_bnd);
	creds->cap_amb = capability_words(arena, status->ambient, &creds->n_cap_amb);
	creds->has_no_new_privs = true;
	creds->no_new_privs = status->no_new_privs;
	return creds;
}

/* The label a security module gives stasis; empty without such a module. */
static const char *own_label(void)
{
	static char label[4096];
	static bool known;

	if (!known) {
		struct task self = {.pid = getpid(), .proc = -1};

		if (proc_read(&self, "attr/current", label, sizeof(label)) < 0)
			*label = '\0';
		known = true;
	}
	return label;
}

/* A restored task has the label of stasis, so only a task with the same can be brought back. */
static int check_label(const struct inquiry *inquiry)
{
	char name[64], label[4096];
	ssize_t length;

	if (!*own_label())
		return 0;
	snprintf(name, sizeof(name), "task/%d/attr/current", inquiry->thread->tid);
	length = proc_read(inquiry->task, name, label, sizeof(label));
	if (length < 0)
		return FAIL(-length, thread_subject(inquiry->thread), NULL,
			    "cannot read its security label: %s", strerror(-length));
	if (!strcmp(label, own_label()))
		return 0;
	label[strcspn(label, "\n")] = '\0';
	return REFUSE(thread_subject(inquiry->thread),
		      "run it and stasis with the same profile or context",
		      "a security module confines it (%s)", label);
}

static int check_keyrings(const struct inquiry *inquiry, const struct asked *asked)
{
	const struct batch *batch = inquiry->batch;

	if (batch_result(batch, asked->thread_keyring) > 0 ||
	    batch_result(batch, asked->process_keyring) > 0)
		return REFUSE(thread_subject(inquiry->thread),
			      "let it keep its keys in a user or session keyring",
			      "it has a thread or process keyring (keyctl(2))");
	if (batch_result(batch, asked->default_keyring) > KEY_REQKEY_DEFL_DEFAULT)
		return REFUSE(thread_subject(inquiry->thread),
			      "let it put KEYCTL_SET_REQKEY_KEYRING back",
			      "it has chosen a keyring for the keys it requests");
	return 0;
}

static int creds_answer(struct inquiry *inquiry, void *asked_)
{
	const struct asked *asked = asked_;
	ThreadCoreEntry *core = inquiry->thread_core;
	int keyrings = check_keyrings(inquiry, asked), label = check_label(inquiry);

	core->creds = describe_creds(inquiry->arena, &inquiry->status);
	core->creds->secbits = batch_result(inquiry->batch, asked->securebits);
	core->has_pdeath_sig = true;
	core->pdeath_sig = *asked->pdeath;
	core->has_seccomp_mode = true;
	core->seccomp_mode = SECCOMP_MODE__disabled;
	return keyrings ? keyrings : label;
}

static int creds_describe_zombie(struct inquiry *inquiry)
{
	inquiry->thread_core->creds = describe_creds(inquiry->arena, &inquiry->status);
	return check_label(inquiry);
}

/* ---- restore ------------------------------------------------------------------------------ */

static uint64_t mask_of(const uint32_t *words, size_t count)
{
	return (count > 0 ? words[0] : 0) | (count > 1 ? (uint64_t)words[1] << 32 : 0);
}

struct capability_sets {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[CAPABILITY_WORDS];
};

static int set_capabilities(struct revival *revival, uint64_t effective, uint64_t permitted,
			    uint64_t inheritable)
{
	struct capability_sets sets = {.header = {_LINUX_CAPABILITY_VERSION_3, 0}};
	int error = revival_room(revival, 1, sizeof(sets));

	if (error)
		return error;
	for (int i = 0; i < CAPABILITY_WORDS; i++)
		sets.data[i] = (struct __user_cap_data_struct){
			effective >> 32 * i, permitted >> 32 * i, inheritable >> 32 * i};

	uint64_t address = batch_input(&revival->batch, &sets, sizeof(sets));

	revive(revival, "capabilities", "run stasis with all capabilities", SYS_capset, address,
	       address + offsetof(struct capability_sets, data));
	return 0;
}

/* What a new task has is what stasis has.  NULL when it cannot be read. */
static const struct proc_status *own_status(void)
{
	static struct proc_status status;
	static bool known;

	if (!known) {
		autofree char *text = NULL;

		known = fd_read_file(AT_FDCWD, "/proc/thread-self/status", &text, NULL) == 0 &&
			proc_status_parse(text, &status) == 0;
	}
	return known ? &status : NULL;
}

/* Capabilities that the task must never have, of all that this kernel knows. */
static int drop_bounding(struct revival *revival, uint64_t own, uint64_t wanted)
{
	int error = revival_room(revival, LAST_CAPABILITY + 1, 0);

	for (int i = 0; i <= LAST_CAPABILITY && !error; i++)
		if (own & ~wanted & 1ull << i)
			revive(revival, "bounding set", "run stasis with CAP_SETPCAP", SYS_prctl,
			       PR_CAPBSET_DROP, i);
	return error;
}

static int set_ids(struct revival *revival, const CredsEntry *creds)
{
	static const char remedy[] = "run stasis as root";
	size_t size = creds->n_groups * sizeof(*creds->groups);
	const MmEntry *mm = revival->task->mm;
	int error = revival_room(revival, 6, size);

	if (error)
		return error;
	revive(revival, "groups", remedy, SYS_setgroups, creds->n_groups,
	       batch_input(&revival->batch, creds->groups, size));
	revive(revival, "group ids", remedy, SYS_setresgid, creds->gid, creds->egid, creds->sgid);
	revive(revival, "group ids", remedy, SYS_setfsgid, creds->fsgid);
	revive(revival, "user ids", remedy, SYS_setresuid, creds->uid, creds->euid, creds->suid);
	/* Any change of this id makes the process as dumpable as fs.suid_dumpable says. */
	if (mm && mm->has_dumpable && mm->dumpable == DUMPABLE_BY_ROOT)
		revive(revival, "user ids", remedy, SYS_setfsuid, creds->fsuid ^ 1);
	revive(revival, "user ids", remedy, SYS_setfsuid, creds->fsuid);
	return 0;
}

static int raise_ambient(struct revival *revival, uint64_t ambient)
{
	int error = revival_room(revival, LAST_CAPABILITY + 2, 0);

	if (error)
		return error;
	revive(revival, "ambient capabilities", NULL, SYS_prctl, PR_CAP_AMBIENT,
	       PR_CAP_AMBIENT_CLEAR_ALL);
	for (int i = 0; i <= LAST_CAPABILITY; i++)
		if (ambient & 1ull << i)
			revive(revival, "ambient capabilities", NULL, SYS_prctl, PR_CAP_AMBIENT,
			       PR_CAP_AMBIENT_RAISE, i);
	return 0;
}

/*
 * The order: what needs privileges first.  Changes of ids leave capabilities alone while
 * SECBIT_NO_SETUID_FIXUP is set; the ambient set is raised while its capabilities are permitted and
 * before a secure bit can forbid it; what remains is then cut down in one step.
 */
static int set_creds(struct revival *revival, const CredsEntry *creds,
		     const struct proc_status *own)
{
	uint64_t effective = mask_of(creds->cap_eff, creds->n_cap_eff),
		 permitted = mask_of(creds->cap_prm, creds->n_cap_prm),
		 inheritable = mask_of(creds->cap_inh, creds->n_cap_inh),
		 bounding = mask_of(creds->cap_bnd, creds->n_cap_bnd);
	int error = 0;

	if (bounding & ~own->bounding || permitted & ~own->permitted)
		return FAIL(EPERM, thread_subject(revival->thread),
			    "run stasis with all capabilities, and on a kernel that knows them",
			    "it had capabilities that stasis does not have (%#lx)",
			    (unsigned long)((bounding & ~own->bounding) |
					    (permitted & ~own->permitted)));
	error = drop_bounding(revival, own->bounding, bounding);
	if (!error)
		error = revival_room(revival, 1, 0);
	if (!error)
		revive(revival, "secure bits", "run stasis with CAP_SETPCAP", SYS_prctl,
		       PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	if (!error)
		error = set_ids(revival, creds);
	if (!error)
		error = set_capabilities(revival, own->permitted, own->permitted, inheritable);
	if (!error)
		error = raise_ambient(revival, mask_of(creds->cap_amb, creds->n_cap_amb));
	if (!error)
		error = revival_room(revival, 1, 0);
	if (!error)
		revive(revival, "secure bits", "run stasis with CAP_SETPCAP", SYS_prctl,
		       PR_SET_SECUREBITS, creds->secbits);
	return error ? error : set_capabilities(revival, effective, permitted, inheritable);
}

/*
 * Whether other users may look into the process.  Changes of ids set it, so this comes after those
 * of the last thread.  2 (only root may) cannot be asked for: it is what changes of ids leave
 * behind where fs.suid_dumpable is 2, see set_ids().
 */
static int restore_dumpable(struct revival *revival, int dumpable)
{
	int64_t result = revival_room(revival, 1, 0);

	if (result)
		return result;
	if (dumpable != DUMPABLE_BY_ROOT) {
		revive(revival, "dumpable attribute", "the image is damaged", SYS_prctl,
		       PR_SET_DUMPABLE, dumpable);
		return 0;
	}
	result = revival_run(revival);
	if (!result)
		result = remote_syscall(&revival->thread->remote, SYS_prctl, PR_GET_DUMPABLE);
	return result == dumpable ? 0
	       : result < 0       ? result
				  : REFUSE(thread_subject(revival->thread),
					   "restore it with sysctl fs.suid_dumpable=2",
					   "only root may see its memory, which this system does not do");
}

static int creds_restore_thread(struct revival *revival)
{
	const ThreadCoreEntry *core = revival->thread_core;
	const CredsEntry *creds = core->creds;
	const MmEntry *mm = revival->task->mm;
	const struct proc_status *own = own_status();
	int error;

	if (!creds && revival->task->state == TASK_DEAD)
		return 0;
	if (!creds)
		return FAIL(EINVAL, thread_subject(revival->thread), "the image is damaged",
			    "its image has no credentials");
	if (!own)
		return FAIL(EIO, thread_subject(revival->thread), NULL,
			    "cannot read /proc/thread-self/status");
	error = set_creds(revival, creds, own);
	if (!error)
		error = revival_room(revival, 2, 0);
	if (error)
		return error;
	if (core->has_pdeath_sig)
		revive(revival, "signal at its parent's death", NULL, SYS_prctl, PR_SET_PDEATHSIG,
		       core->pdeath_sig);
	if (creds->has_no_new_privs && creds->no_new_privs)
		revive(revival, "no_new_privs attribute", NULL, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	return revival->last && mm && mm->has_dumpable ? restore_dumpable(revival, mm->dumpable)
						       : 0;
}

const struct part creds_part = {
	.ask = creds_ask,
	.answer = creds_answer,
	.describe_zombie = creds_describe_zombie,
	.restore_thread = creds_restore_thread,
};
