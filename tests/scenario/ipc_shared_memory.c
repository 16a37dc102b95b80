/* SPDX-License-Identifier: GPL-2.0-or-later */
/* System V shared memory: segments with all they have, and what processes have of them. */
#include "scenario.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, SIZE = 64 * PAGE };

static struct segment {
	key_t key;
	size_t size;
	int mode, id;
	struct shmid_ds before;
	char *at;
} whole = {0x1234, SIZE, 0640}, unused = {IPC_PRIVATE, SIZE + 5, 0600},
  removed = {0x77, 3 * PAGE, 0666}, cut = {0x78, 16 * PAGE, 0600}, moved = {0x79, 16 * PAGE, 0600},
  locked = {0x7a, PAGE, 0600}, others = {0x7b, PAGE, 0604}, small = {0x7c, 10, 0600};

static struct segment *const all[] = {&whole, &unused, &removed, &cut,
				      &moved, &locked, &others,  &small};

static void make(struct segment *segment, uint32_t seed)
{
	segment->id =
		must(shmget(segment->key, segment->size, IPC_CREAT | IPC_EXCL | segment->mode));
	segment->at = shmat(segment->id, NULL, 0);
	must((long)segment->at);
	pattern_fill(segment->at, segment->size, seed);
}

static void verify_content(struct segment *segment, const char *at, uint32_t seed)
{
	pattern_check("content", at, segment->size, seed);
}

static const char *child_at;
static pid_t heir;

static void setup_child(void *unused_argument)
{
	must(shmdt(whole.at));
	child_at = shmat(whole.id, NULL, SHM_RDONLY);
	must((long)child_at);
}

static void verify_child(void *unused_argument)
{
	same("written by the parent", 'x', child_at[100]);
	check(mprotect((void *)child_at, PAGE, PROT_READ | PROT_WRITE) < 0,
	      "attached for reading, it can be written");
	must(shmdt(child_at));
}

/* What is left of an attachment has holes and several protections. */
static void setup_cut(void)
{
	must(munmap(cut.at, PAGE));
	must(munmap(cut.at + 5 * PAGE, 2 * PAGE));
	must(mprotect(cut.at + 3 * PAGE, PAGE, PROT_NONE));
	must(mprotect(cut.at + 9 * PAGE, PAGE, PROT_READ));
}

/* One piece elsewhere, and something else in the place of another. */
static void setup_moved(void)
{
	char *place = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *other;

	must(mremap(moved.at + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	other = mmap(moved.at + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	must((long)other);
	strcpy(other, "other memory");
	memmove(moved.at, &place, sizeof(place)); /* remembered in the segment itself */
}

static void setup_others(void)
{
	struct shmid_ds settings = {.shm_perm = {.uid = 33, .gid = 44, .mode = 0606}};

	must(syscall(SYS_setresgid, -1, 1001, -1));
	must(syscall(SYS_setresuid, -1, 1000, -1));
	others.id = must(shmget(others.key, others.size, IPC_CREAT | IPC_EXCL | others.mode));
	must(syscall(SYS_setresuid, -1, 0, -1));
	must(syscall(SYS_setresgid, -1, 0, -1));
	must(shmctl(others.id, IPC_SET, &settings));
}

static void setup(void)
{
	/* Ids have gaps and have been used before. */
	must(unshare(CLONE_NEWIPC));
	for (int i = 0; i < 3; i++)
		must(shmctl(must(shmget(IPC_PRIVATE, PAGE, 0600)), IPC_RMID, NULL));
	make(&whole, 1);
	make(&unused, 2);
	make(&removed, 3);
	must(shmctl(unused.id, IPC_STAT, &unused.before));
	make(&cut, 4);
	make(&moved, 5);
	make(&locked, 6);
	make(&small, 8);
	must(shmctl(locked.id, SHM_LOCK, NULL));
	setup_others();
	must(shmctl(removed.id, IPC_RMID, NULL));
	must(shmdt(unused.at));
	setup_cut();
	setup_moved();
	write_text("/proc/sys/kernel/shmmax", "1000000");
	write_text("/proc/sys/kernel/shmmni", "9");
	heir = child(setup_child, verify_child, NULL);
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		must(shmctl(all[i]->id, IPC_STAT, &all[i]->before));
}

static void verify_segment(struct segment *segment)
{
	struct shmid_ds now;

	if (shmctl(segment->id, IPC_STAT, &now) < 0) {
		fail("segment %d is gone: %m", segment->id);
		return;
	}
	same("key", segment->before.shm_perm.__key, now.shm_perm.__key);
	same("mode", segment->before.shm_perm.mode, now.shm_perm.mode);
	same("uid", segment->before.shm_perm.uid, now.shm_perm.uid);
	same("gid", segment->before.shm_perm.gid, now.shm_perm.gid);
	same("cuid", segment->before.shm_perm.cuid, now.shm_perm.cuid);
	same("cgid", segment->before.shm_perm.cgid, now.shm_perm.cgid);
	same("size", segment->before.shm_segsz, now.shm_segsz);
	same("attached", segment->before.shm_nattch, now.shm_nattch);
}

static void verify_cut(void)
{
	char copy[16 * PAGE];
	struct shmid_ds now;
	char *again = shmat(cut.id, NULL, SHM_RDONLY);

	pattern_fill(copy, sizeof(copy), 4);
	same_bytes("content", copy, again, sizeof(copy));
	must(shmdt(again));
	same_bytes("piece", copy + PAGE, cut.at + PAGE, 2 * PAGE);
	/* The pieces are of one attachment. */
	must(shmdt(cut.at));
	must(shmctl(cut.id, IPC_STAT, &now));
	same("attached by the child", cut.before.shm_nattch / 2, now.shm_nattch);
}

static void verify_moved(void)
{
	char copy[16 * PAGE], *place;

	pattern_fill(copy, sizeof(copy), 5);
	memcpy(&place, moved.at, sizeof(place));
	same_bytes("piece", copy + 2 * PAGE, place, PAGE);
	same_bytes("rest", copy + 3 * PAGE, moved.at + 3 * PAGE, 13 * PAGE);
	same_string("between", "other memory", moved.at + 2 * PAGE);
}

static void verify(void)
{
	char *at;

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		verify_segment(all[i]);
	verify_content(&whole, whole.at, 1);
	verify_content(&removed, removed.at, 3);
	verify_content(&locked, locked.at, 6);
	verify_content(&small, small.at, 8);
	must((long)(at = shmat(unused.id, NULL, 0)));
	verify_content(&unused, at, 2);
	must(shmdt(at));
	verify_cut();
	verify_moved();
	whole.at[100] = 'x';
	same_string("shmmax", "1000000\n", file_text("/proc/sys/kernel/shmmax"));
	same_string("shmmni", "9\n", file_text("/proc/sys/kernel/shmmni"));
	child_verify(heir);
	/* The last to leave takes it away. */
	must(shmdt(removed.at));
	check(shmctl(removed.id, IPC_STAT, &removed.before) < 0, "it is still there");
}

const struct scenario scenario = {
	.about = "System V shared memory",
	.setup = setup,
	.verify = verify,
};
