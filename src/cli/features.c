/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/features.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "remote/arch/arch.h"

/* Newer than Debian 12's headers. */
#ifndef PAGEMAP_SCAN
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN    _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_PRESENT (1 << 3)
#endif
#define GUARD_PAGES_REGION (1 << 8) /* PAGE_IS_GUARD */
#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS     77
#define PR_TIMER_CREATE_RESTORE_IDS_GET 2
#endif

/* ---- probes that need another process ----------------------------------------------------- */

/* A child that sleeps until its parent ends it, or ends. */
static pid_t child_begin(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		for (;;)
			pause();
	}
	return child;
}

static void child_end(pid_t child)
{
	kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* What a probe does with a child that is seized and stopped. */
static bool with_seized(bool (*probe)(pid_t child))
{
	pid_t child = child_begin();
	int status;
	bool there = child > 0 && ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_EXITKILL) == 0 &&
		     ptrace(PTRACE_INTERRUPT, child, 0, 0) == 0 &&
		     waitpid(child, &status, __WALL) == child && WIFSTOPPED(status) && probe(child);

	if (child > 0)
		child_end(child);
	return there;
}

static bool try_registers(pid_t child)
{
	char buffer[16384];
	struct iovec registers = {buffer, sizeof(buffer)};
	uint64_t mask;

	return ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &registers) == 0 &&
	       ptrace(PTRACE_GETSIGMASK, child, sizeof(mask), &mask) == 0;
}

static bool probe_ptrace(void)
{
	return with_seized(try_registers);
}

static bool try_rseq(pid_t child)
{
	struct __ptrace_rseq_configuration rseq;

	return ptrace(PTRACE_GET_RSEQ_CONFIGURATION, child, sizeof(rseq), &rseq) == sizeof(rseq);
}

static bool probe_get_rseq_conf(void)
{
	return with_seized(try_rseq);
}

static bool probe_process_vm(void)
{
	char here = 1, there = 0;
	struct iovec local = {&there, 1}, remote = {&here, 1};

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 &&
	       process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == 1;
}

static bool probe_pidfd_getfd(void)
{
	autofd int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	autofd int pair = eventfd(0, EFD_CLOEXEC);
	autofd int copy = pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, pair, 0);

	return copy >= 0;
}

/* An id of -1 is wrong where ids are looked at; where they are not known, the size is. */
static bool probe_clone3_set_tid(void)
{
	pid_t id = -1;
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&id, .set_tid_size = 1};

	return syscall(SYS_clone3, &args, sizeof(args)) < 0 && errno == EINVAL;
}

/* ---- probes of this process --------------------------------------------------------------- */

static bool probe_kcmp(void)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0) == 0;
}

static bool probe_kcmp_epoll(void)
{
	autofd int epoll = epoll_create1(EPOLL_CLOEXEC);
	autofd int event = eventfd(0, EFD_CLOEXEC);
	struct epoll_event interest = {.events = EPOLLIN};
	struct kcmp_epoll_slot slot = {.efd = epoll, .tfd = event};

	return epoll_ctl(epoll, EPOLL_CTL_ADD, event, &interest) == 0 &&
	       syscall(SYS_kcmp, getpid(), getpid(), KCMP_EPOLL_TFD, event, &slot) == 0;
}

/* Links of /proc/PID/map_files are followed only by whom the kernel trusts. */
static bool probe_map_files(void)
{
	DIR *dir = opendir("/proc/self/map_files");
	bool there = false;

	if (!dir)
		return false;
	for (struct dirent *entry; !there && (entry = readdir(dir));) {
		char target[64];

		if (entry->d_name[0] != '.')
			there = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target)) > 0;
	}
	closedir(dir);
	return there;
}

static bool probe_mm_map(void)
{
	unsigned int size;

	return prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0) == 0;
}

static bool probe_mnt_id(void)
{
	autofree char *text = NULL;

	return fd_read_file(AT_FDCWD, "/proc/self/fdinfo/1", &text, NULL) == 0 &&
	       strstr(text, "mnt_id:");
}

static bool probe_children(void)
{
	return access("/proc/thread-self/children", R_OK) == 0;
}

static bool probe_timers(void)
{
	return access("/proc/self/timers", R_OK) == 0;
}

static bool probe_timerfd(void)
{
	autofd int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	uint64_t ticks = 1;

	/* Unarmed, a timer takes no ticks; that it says so is the answer. */
	return fd >= 0 && (ioctl(fd, _IOW('T', 0, uint64_t), &ticks) == 0 || errno == ECANCELED);
}

static bool probe_timer_ids(void)
{
	return prctl(PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET, 0, 0, 0) >= 0;
}

static bool scan_accepts(uint64_t category)
{
	autofd int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct pm_scan_arg scan = {
		.size = sizeof(scan), .category_mask = category, .return_mask = category};

	return pagemap >= 0 && ioctl(pagemap, PAGEMAP_SCAN, &scan) == 0;
}

static bool probe_pagemap_scan(void)
{
	return scan_accepts(PAGE_IS_PRESENT);
}

static bool probe_pagemap_scan_guard(void)
{
	return scan_accepts(GUARD_PAGES_REGION);
}

/* Physical addresses tell which pages are shared; they read as 0 without the privilege. */
static bool probe_pagemap(void)
{
	autofd int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0, here = (uintptr_t)&entry / sysconf(_SC_PAGESIZE);

	return pagemap >= 0 &&
	       fd_pread_all(pagemap, &entry, sizeof(entry), here * sizeof(entry)) == 0 &&
	       entry << 9;
}

/* ---- the table ---------------------------------------------------------------------------- */

#define LATER(name_, capability_)                                                                  \
	{                                                                                          \
		.name = name_, .capability = capability_                                           \
	}

/* clang-format off */
const struct feature feature_table[] = {
	{ "ptrace_seize", FEATURE_REQUIRED, probe_ptrace,
	  "tasks are stopped, read and set",
	  "no task can be stopped", "Linux 3.4; Yama and seccomp may forbid it" },
	{ "process_vm", FEATURE_REQUIRED, probe_process_vm,
	  "memory of other processes",
	  "no memory can be read", "CONFIG_CROSS_MEMORY_ATTACH" },
	{ "pidfd_getfd", FEATURE_REQUIRED, probe_pidfd_getfd,
	  "descriptors of other processes",
	  "no descriptor can be looked at", "Linux 5.6" },
	{ "clone3_set_tid", FEATURE_REQUIRED, probe_clone3_set_tid,
	  "tasks get their ids back",
	  "tasks cannot get their ids back", "Linux 5.5" },
	{ "get_rseq_conf", FEATURE_REQUIRED, probe_get_rseq_conf,
	  "restartable sequences",
	  "programs of glibc 2.35 and newer cannot be dumped", "Linux 5.13" },
	{ "kcmp", FEATURE_REQUIRED, probe_kcmp,
	  "what processes share",
	  "what processes share cannot be told", "CONFIG_KCMP" },
	{ "map_files", FEATURE_REQUIRED, probe_map_files,
	  "files that are mapped",
	  "mapped files cannot be opened", "CONFIG_CHECKPOINT_RESTORE, CAP_CHECKPOINT_RESTORE" },
	{ "mm_map", FEATURE_REQUIRED, probe_mm_map,
	  "places of stack, heap, arguments and environment",
	  "they cannot be set", "CONFIG_CHECKPOINT_RESTORE" },
	{ "can_map_vdso", FEATURE_REQUIRED, arch_can_map_vdso,
	  "the vdso gets its place back",
	  "the vdso cannot be placed", "CONFIG_CHECKPOINT_RESTORE" },
	{ "children", FEATURE_REQUIRED, probe_children,
	  "the tree of processes",
	  "children cannot be found", "CONFIG_PROC_CHILDREN" },
	{ "mnt_id", FEATURE_REQUIRED, probe_mnt_id,
	  "the mounts that open files are on",
	  "they cannot be told", "Linux 3.15" },
	{ "pagemap", FEATURE_REQUIRED, probe_pagemap,
	  "which pages are there, and which are shared",
	  "neither can be told", "CONFIG_PROC_PAGE_MONITOR, CAP_SYS_ADMIN" },

	{ "timerfd", FEATURE_EXTRA, probe_timerfd,
	  "expirations of a timerfd that were not read yet",
	  "a timerfd with unread expirations is lost", "CONFIG_CHECKPOINT_RESTORE" },
	{ "timers", FEATURE_EXTRA, probe_timers,
	  "POSIX timers",
	  "applications with POSIX timers cannot be dumped", "CONFIG_CHECKPOINT_RESTORE" },
	{ "timer_cr_ids", FEATURE_EXTRA, probe_timer_ids,
	  "POSIX timers get their ids at once",
	  "high ids of POSIX timers take long to restore", "Linux 6.16" },
	{ "kcmp_epoll", FEATURE_EXTRA, probe_kcmp_epoll,
	  "which file an epoll entry is for",
	  "epoll entries for descriptors that were moved cannot be dumped", "Linux 4.13" },
	{ "pagemap_scan", FEATURE_EXTRA, probe_pagemap_scan,
	  "pages are found quickly",
	  "dumps of much sparse memory take longer", "Linux 6.7" },
	{ "pagemap_scan_guard_pages", FEATURE_EXTRA, probe_pagemap_scan_guard,
	  "guard pages (MADV_GUARD_INSTALL)",
	  "guard pages cannot be told from others", "Linux 6.15" },

	LATER("mem_dirty_track", "incremental dumps"),
	LATER("aio_remap", "asynchronous I/O contexts"),
	LATER("tun", "TUN devices"),
	LATER("tun_ns", "TUN devices"),
	LATER("userns", "user namespaces"),
	LATER("fdinfo_lock", "file locks"),
	LATER("seccomp_suspend", "seccomp filters"),
	LATER("seccomp_filters", "seccomp filters"),
	LATER("loginuid", "login ids"),
	LATER("cgroupns", "cgroup namespaces"),
	LATER("autofs", "autofs mounts"),
	LATER("tcp_half_closed", "TCP connections"),
	LATER("compat_cr", "32-bit applications"),
	LATER("uffd", "lazy migrations"),
	LATER("uffd-noncoop", "lazy migrations"),
	LATER("sk_ns", "network namespaces"),
	LATER("sk_unix_file", "Unix sockets"),
	LATER("net_diag_raw", "raw sockets"),
	LATER("nsid", "network namespaces"),
	LATER("link_nsid", "network namespaces"),
	LATER("timens", "time namespaces"),
	LATER("external_net_ns", "network namespaces"),
	LATER("newifindex", "network namespaces"),
	LATER("nftables", "network namespaces"),
	LATER("has_ipt_legacy", "network namespaces"),
	LATER("pidfd_store", "pidfds"),
	LATER("ns_pid", "pid namespaces"),
	LATER("apparmor_stacking", "labels of security modules"),
	LATER("network_lock_nftables", "TCP connections"),
	LATER("sockopt_buf_lock", "network sockets"),
	LATER("memfd_hugetlb", "memfds of huge pages"),
	LATER("move_mount_set_group", "mount namespaces"),
	LATER("openat2", "mount namespaces"),
	LATER("ipv6_freebind", "network sockets"),
	LATER("overlayfs_maps", "mount namespaces"),
	LATER("binfmt_misc_sandboxing", "mount namespaces"),
	LATER("compress", "compressed images"),
	LATER("encryption", "encrypted connections"),
};
/* clang-format on */

const size_t feature_count = sizeof(feature_table) / sizeof(*feature_table);

const struct feature *feature_find(const char *name)
{
	for (size_t i = 0; i < feature_count; i++)
		if (strcmp(feature_table[i].name, name) == 0)
			return &feature_table[i];
	return NULL;
}
