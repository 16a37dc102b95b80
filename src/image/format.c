/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/format.h"

#include "images/apparmor.pb-c.h"
#include "images/autofs.pb-c.h"
#include "images/binfmt-misc.pb-c.h"
#include "images/bpfmap-data.pb-c.h"
#include "images/bpfmap-file.pb-c.h"
#include "images/cgroup.pb-c.h"
#include "images/core.pb-c.h"
#include "images/cpuinfo.pb-c.h"
#include "images/creds.pb-c.h"
#include "images/fdinfo.pb-c.h"
#include "images/fh.pb-c.h"
#include "images/file-lock.pb-c.h"
#include "images/fs.pb-c.h"
#include "images/ghost-file.pb-c.h"
#include "images/inventory.pb-c.h"
#include "images/ipc-msg.pb-c.h"
#include "images/ipc-sem.pb-c.h"
#include "images/ipc-shm.pb-c.h"
#include "images/ipc-var.pb-c.h"
#include "images/memfd.pb-c.h"
#include "images/mm.pb-c.h"
#include "images/mnt.pb-c.h"
#include "images/netdev.pb-c.h"
#include "images/pagemap.pb-c.h"
#include "images/pidns.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/pstree.pb-c.h"
#include "images/remap-file-path.pb-c.h"
#include "images/seccomp.pb-c.h"
#include "images/sk-packet.pb-c.h"
#include "images/stats.pb-c.h"
#include "images/tcp-stream.pb-c.h"
#include "images/timens.pb-c.h"
#include "images/tty.pb-c.h"
#include "images/userns.pb-c.h"
#include "images/utsns.pb-c.h"

/* The usual row; what differs is said behind it. */
#define FORMAT(name_, magic_, file_, message_, ...)                                                \
	{                                                                                          \
		.magic_name = (name_), .magic = (magic_), .prefix = IMAGE_MAGIC_COMMON,            \
		.file = (file_), .message = &message_##__descriptor, __VA_ARGS__                   \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
const struct image_format image_formats[] = {
	[IMAGE_INVENTORY] =
		FORMAT("INVENTORY", 0x58313116, "inventory.img", inventory_entry, .prefix = 0),
	[IMAGE_PSTREE] = FORMAT("PSTREE", 0x50273030, "pstree.img", pstree_entry),
	[IMAGE_CORE] = FORMAT("CORE", 0x55053847, "core-%lu.img", core_entry),
	[IMAGE_IDS] = FORMAT("IDS", 0x54432030, "ids-%lu.img", task_kobj_ids_entry),
	[IMAGE_MM] = FORMAT("MM", 0x57492820, "mm-%lu.img", mm_entry),
	[IMAGE_FS] = FORMAT("FS", 0x51403912, "fs-%lu.img", fs_entry),
	[IMAGE_FDINFO] = FORMAT("FDINFO", 0x56213732, "fdinfo-%lu.img", fdinfo_entry),
	[IMAGE_FILES] = FORMAT("FILES", 0x56303138, "files.img", file_entry),
	[IMAGE_PAGEMAP] = FORMAT("PAGEMAP", 0x56084025, "pagemap-%lu.img", pagemap_entry,
				 .first = &pagemap_head__descriptor),
	[IMAGE_PAGEMAP_SHMEM] = FORMAT("PAGEMAP", 0x56084025, "pagemap-shmem-%lu.img",
				       pagemap_entry, .first = &pagemap_head__descriptor),
	[IMAGE_PAGES] = {.file = "pages-%lu.img"},
	[IMAGE_TMPFS] = {.file = "tmpfs-dev-%lu.tar.gz.img"},
	[IMAGE_PIPES_DATA] = FORMAT("PIPES_DATA", 0x56453709, "pipes-data.img", pipe_data_entry),
	[IMAGE_FIFO_DATA] = FORMAT("FIFO_DATA", 0x59333054, "fifo-data.img", pipe_data_entry),
	[IMAGE_GHOST_FILE] = FORMAT("GHOST_FILE", 0x52583605, "ghost-file-%lx.img",
				    ghost_chunk_entry, .first = &ghost_file_entry__descriptor),
	[IMAGE_REMAP_FPATH] =
		FORMAT("REMAP_FPATH", 0x59133954, "remap-fpath.img", remap_file_path_entry),
	[IMAGE_TTY_INFO] = FORMAT("TTY_INFO", 0x59453036, "tty-info.img", tty_info_entry),
	[IMAGE_TTY_DATA] = FORMAT("TTY_DATA", 0x59413026, "tty-data.img", tty_data_entry),
	[IMAGE_MEMFD_INODE] = FORMAT("MEMFD_INODE", 0x48453499, "memfd.img", memfd_inode_entry),
	[IMAGE_TIMENS] = FORMAT("TIMENS", 0x43114433, "timens-%lu.img", timens_entry),
	[IMAGE_PIDNS] = FORMAT("PIDNS", 0x61157326, "pidns-%lu.img", pidns_entry),
	[IMAGE_UTSNS] = FORMAT("UTSNS", 0x54473203, "utsns-%lu.img", utsns_entry),
	[IMAGE_IPC_VAR] = FORMAT("IPC_VAR", 0x53115007, "ipcns-var-%lu.img", ipc_var_entry),
	[IMAGE_IPCNS_SHM] = FORMAT("IPCNS_SHM", 0x46283044, "ipcns-shm-%lu.img", ipc_shm_entry),
	[IMAGE_IPCNS_SEM] = FORMAT("IPCNS_SEM", 0x59573019, "ipcns-sem-%lu.img", ipc_sem_entry),
	[IMAGE_IPCNS_MSG] = FORMAT("IPCNS_MSG", 0x55453737, "ipcns-msg-%lu.img", ipc_msg_entry),
	[IMAGE_NETNS] = FORMAT("NETNS", 0x55933752, "netns-%lu.img", netns_entry),
	[IMAGE_NETDEV] = FORMAT("NETDEV", 0x57373951, "netdev-%lu.img", net_device_entry),
	[IMAGE_MNTS] = FORMAT("MNTS", 0x55563928, "mountpoints-%lu.img", mnt_entry),
	[IMAGE_SECCOMP] = FORMAT("SECCOMP", 0x64413049, "seccomp.img", seccomp_entry),
	[IMAGE_STATS_DUMP] = FORMAT("STATS", 0x57093306, "stats-dump", stats_entry,
				    .prefix = IMAGE_MAGIC_SERVICE),
	[IMAGE_STATS_RESTORE] = FORMAT("STATS", 0x57093306, "stats-restore", stats_entry,
				       .prefix = IMAGE_MAGIC_SERVICE),
	/* Only shown. */
	FORMAT("APPARMOR", 0x59423047, "apparmor.img", apparmor_entry, .nests = true),
	FORMAT("AUTOFS", 0x49353943, "autofs-%lu.img", autofs_entry),
	FORMAT("BINFMT_MISC", 0x67343323, "binfmt-misc-%lu.img", binfmt_misc_entry),
	FORMAT("BPFMAP_DATA", 0x64324033, "bpfmap-data.img", bpfmap_data_entry),
	FORMAT("BPFMAP_FILE", 0x57506142, "bpfmap-file.img", bpfmap_file_entry),
	FORMAT("CGROUP", 0x59383330, "cgroup.img", cgroup_entry, .nests = true),
	FORMAT("CPUINFO", 0x61404013, "cpuinfo.img", cpuinfo_entry),
	FORMAT("CREDS", 0x54023547, "creds-%lu.img", creds_entry),
	FORMAT("EVENTFD_FILE", 0x44523722, "eventfd.img", eventfd_file_entry),
	FORMAT("EVENTPOLL_FILE", 0x45023858, "eventpoll.img", eventpoll_file_entry),
	FORMAT("EVENTPOLL_TFD", 0x44433746, "eventpoll-tfd.img", eventpoll_tfd_entry),
	FORMAT("EXT_FILES", 0x59255641, "ext-files.img", ext_file_entry),
	FORMAT("FANOTIFY_FILE", 0x55096122, "fanotify.img", fanotify_file_entry),
	FORMAT("FANOTIFY_MARK", 0x56506035, "fanotify-mark.img", fanotify_mark_entry),
	FORMAT("FIFO", 0x58364939, "fifo.img", fifo_entry),
	FORMAT("FILE_LOCKS", 0x54323616, "filelocks.img", file_lock_entry),
	FORMAT("INETSK", 0x56443851, "inetsk.img", inet_sk_entry),
	FORMAT("INOTIFY_FILE", 0x48424431, "inotify.img", inotify_file_entry),
	FORMAT("INOTIFY_WD", 0x54562009, "inotify-wd.img", inotify_wd_entry),
	FORMAT("IRMAP_CACHE", 0x57004059, "irmap-cache", irmap_cache_entry,
	       .prefix = IMAGE_MAGIC_SERVICE),
	FORMAT("ITIMERS", 0x57464056, "itimers-%lu.img", itimer_entry),
	FORMAT("NETLINK_SK", 0x58005614, "netlinksk.img", netlink_sk_entry),
	FORMAT("NS_FILES", 0x61394011, "ns-files.img", ns_file_entry),
	FORMAT("PACKETSK", 0x60454618, "packetsk.img", packet_sock_entry),
	FORMAT("PIDFD", 0x54435556, "pidfd.img", pidfd_entry),
	FORMAT("PIPES", 0x56513555, "pipes.img", pipe_entry),
	FORMAT("POSIX_TIMERS", 0x52603957, "posix-timers-%lu.img", posix_timer_entry),
	FORMAT("REG_FILES", 0x50363636, "reg-files.img", reg_file_entry),
	FORMAT("RLIMIT", 0x57113925, "rlimit-%lu.img", rlimit_entry),
	FORMAT("SIGACT", 0x55344201, "sigacts-%lu.img", sa_entry),
	FORMAT("SIGNAL", 0x59255647, "signal-s-%lu.img", siginfo_entry),
	FORMAT("SIGNALFD", 0x57323820, "signalfd.img", signalfd_entry),
	FORMAT("SK_QUEUES", 0x56264026, "sk-queues.img", sk_packet_entry),
	FORMAT("TCP_STREAM", 0x51465506, "tcp-stream-%lx.img", tcp_stream_entry),
	FORMAT("TIMERFD", 0x50493712, "timerfd.img", timerfd_entry),
	FORMAT("TTY_FILES", 0x59433025, "tty.img", tty_file_entry),
	FORMAT("TUNFILE", 0x57143751, "tunfile.img", tunfile_entry),
	FORMAT("UNIXSK", 0x54373943, "unixsk.img", unix_sk_entry),
	FORMAT("USERNS", 0x55474906, "userns-%lu.img", userns_entry),
	FORMAT("VMAS", 0x54123737, "vmas-%lu.img", vma_entry),
};
#pragma GCC diagnostic pop

const size_t image_format_count = sizeof(image_formats) / sizeof(*image_formats);

const struct image_format *image_format(enum image_type type)
{
	return type < IMAGE_OTHER ? &image_formats[type] : NULL;
}

const struct image_format *image_format_by_magic(uint32_t magic)
{
	for (const struct image_format *format = image_formats;
	     format < image_formats + image_format_count; format++)
		if (format->magic_name && format->magic == magic)
			return format;
	return NULL;
}
