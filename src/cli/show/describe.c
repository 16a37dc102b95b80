/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/names.h"
#include "base/text.h"
#include "cli/show/contents.h"
#include "images/memfd.pb-c.h"
#include "images/pipe-data.pb-c.h"
#include "images/remap-file-path.pb-c.h"

/* Open files, in words: a row per type, each of which finds its own message in the entry. */

static char *quoted(struct contents *contents, const void *text, size_t size)
{
	return text_escape(contents->arena, text, size);
}

static void describe_regular(struct contents *contents, const FileEntry *entry,
			     struct open_file *file)
{
	const RegFileEntry *reg = entry->reg;
	const RemapFilePathEntry *remap = hash_get(&contents->remaps, entry->id);
	uint32_t type = reg->has_mode ? reg->mode & S_IFMT : S_IFREG;

	file->path = reg->name;
	file->flags = &reg->flags;
	file->position = &reg->pos;
	if (type == S_IFDIR)
		file->kind = "directory";
	else if (type == S_IFCHR || type == S_IFBLK)
		file->kind = "device";
	if (remap && remap->remap_type == REMAP_TYPE__GHOST)
		file->detail = "unlinked, its content is in the checkpoint";
	else if (remap && remap->remap_type == REMAP_TYPE__LINKED)
		file->detail = "unlinked, kept by another name";
	else if (remap)
		file->detail = "of a process that is gone";
	else if (reg->ext)
		file->detail = "opened by a plugin";
}

static const char *pipe_detail(struct contents *contents, uint32_t id)
{
	const PipeDataEntry *data = hash_get(&contents->pipes, id);

	return arena_printf(contents->arena, "pipe %u, %u bytes waiting", id,
			    data ? data->bytes : 0);
}

static void describe_pipe(struct contents *contents, const FileEntry *entry, struct open_file *file)
{
	file->flags = &entry->pipe->flags;
	file->detail = pipe_detail(contents, entry->pipe->pipe_id);
}

static void describe_fifo(struct contents *contents, const FileEntry *entry, struct open_file *file)
{
	const FileEntry *path = hash_get(&contents->files, entry->fifo->regf_id);

	if (path && path->reg) {
		file->path = path->reg->name;
		file->flags = &path->reg->flags;
	}
	file->detail = pipe_detail(contents, entry->fifo->pipe_id);
}

static void describe_eventfd(struct contents *contents, const FileEntry *entry,
			     struct open_file *file)
{
	file->flags = &entry->efd->flags;
	file->detail = arena_printf(contents->arena, "count %llu",
				    (unsigned long long)entry->efd->counter);
}

static void describe_epoll(struct contents *contents, const FileEntry *entry,
			   struct open_file *file)
{
	const EventpollFileEntry *epoll = entry->epfd;
	enum { MOST_LISTED = 16, ROOM = 12 };
	char *list = arena_alloc(contents->arena, (MOST_LISTED + 2) * ROOM), *out = list;

	file->flags = &epoll->flags;
	for (size_t i = 0; i < epoll->n_tfd && i < MOST_LISTED; i++)
		out += sprintf(out, " %u", epoll->tfd[i]->tfd);
	if (epoll->n_tfd > MOST_LISTED)
		sprintf(out, " ...");
	file->detail = epoll->n_tfd
			       ? arena_printf(contents->arena, "watches %zu:%s", epoll->n_tfd, list)
			       : "watches nothing";
}

static void describe_signalfd(struct contents *contents, const FileEntry *entry,
			      struct open_file *file)
{
	char names[NAMES_SIZE];

	file->flags = &entry->sgfd->flags;
	file->detail = arena_strdup(contents->arena, signal_set_name(entry->sgfd->sigmask, names));
}

static void describe_timerfd(struct contents *contents, const FileEntry *entry,
			     struct open_file *file)
{
	const TimerfdEntry *timer = entry->tfd;
	const char *clock = name_of(&clock_names, timer->clockid);

	file->flags = &timer->flags;
	if (!clock)
		clock = arena_printf(contents->arena, "clock %u", timer->clockid);
	if (!timer->vsec && !timer->vnsec)
		file->detail = arena_printf(contents->arena, "%s, not armed", clock);
	else
		file->detail = arena_printf(contents->arena, "%s, in %.3f s%s", clock,
					    (double)timer->vsec + (double)timer->vnsec / 1e9,
					    timer->isec || timer->insec ? ", periodic" : "");
}

static void describe_memfd(struct contents *contents, const FileEntry *entry,
			   struct open_file *file)
{
	const MemfdInodeEntry *inode = hash_get(&contents->memfds, entry->memfd->inode_id);
	char size[TEXT_SIZE], seals[NAMES_SIZE];

	file->flags = &entry->memfd->flags;
	file->position = &entry->memfd->pos;
	if (!inode)
		return;
	/* In images the name has the kernel's prefix or not, depending on who wrote them. */
	file->path = inode->name;
	file->detail = arena_printf(contents->arena, "%s%s%s", text_size(inode->size, size),
				    inode->seals ? ", " : "",
				    inode->seals ? names_of(&seal_names, inode->seals, seals) : "");
}

static void describe_terminal(struct contents *contents, const FileEntry *entry,
			      struct open_file *file)
{
	const TtyInfoEntry *info = hash_get(&contents->terminals, entry->tty->tty_info_id);

	file->flags = &entry->tty->flags;
	if (entry->tty->has_regf_id)
		file->path = file_path(contents, entry->tty->regf_id);
	if (info && info->pty)
		file->detail = arena_printf(contents->arena, "pseudoterminal %u", info->pty->index);
}

static const char *address_name(struct contents *contents, const InetSkEntry *socket,
				const uint32_t *address, size_t count, uint32_t port)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool wide = socket->family == AF_INET6;

	if (count < (wide ? 4 : 1))
		return "?";
	inet_ntop(wide ? AF_INET6 : AF_INET, address, text, sizeof(text));
	return arena_printf(contents->arena, wide ? "[%s]:%u" : "%s:%u", text, port);
}

static void describe_internet(struct contents *contents, const FileEntry *entry,
			      struct open_file *file)
{
	enum { LISTENING = 10 };
	const InetSkEntry *socket = entry->isk;
	const char *protocol = socket->proto == IPPROTO_TCP   ? "tcp"
			       : socket->proto == IPPROTO_UDP ? "udp"
							      : "ip";
	const char *from = address_name(contents, socket, socket->src_addr, socket->n_src_addr,
					socket->src_port);

	file->flags = &socket->flags;
	if (socket->state == LISTENING)
		file->detail = arena_printf(contents->arena, "%s %s, listening", protocol, from);
	else
		file->detail = arena_printf(contents->arena, "%s %s to %s", protocol, from,
					    address_name(contents, socket, socket->dst_addr,
							 socket->n_dst_addr, socket->dst_port));
}

static void describe_unix(struct contents *contents, const FileEntry *entry, struct open_file *file)
{
	const UnixSkEntry *socket = entry->usk;
	const char *name = (const char *)socket->name.data;
	size_t size = socket->name.len;
	bool abstract = size && !name[0];

	file->flags = &socket->uflags;
	if (size && !abstract && !name[size - 1])
		size--;
	file->detail = arena_printf(contents->arena, "%u%s%s%s", socket->ino, size ? " " : "",
				    abstract ? "@" : "",
				    quoted(contents, name + abstract, size - abstract));
	if (socket->peer)
		file->detail =
			arena_printf(contents->arena, "%s, peer %u", file->detail, socket->peer);
}

static void describe_inotify(struct contents *contents, const FileEntry *entry,
			     struct open_file *file)
{
	file->flags = &entry->ify->flags;
	file->detail = arena_printf(contents->arena, "watches %zu", entry->ify->n_wd);
}

static void describe_fanotify(struct contents *contents, const FileEntry *entry,
			      struct open_file *file)
{
	file->flags = &entry->ffy->evflags;
	file->detail = arena_printf(contents->arena, "marks %zu", entry->ffy->n_mark);
}

static void describe_netlink(struct contents *contents, const FileEntry *entry,
			     struct open_file *file)
{
	file->flags = &entry->nlsk->flags;
	file->detail = arena_printf(contents->arena, "protocol %u, port %u", entry->nlsk->protocol,
				    entry->nlsk->portid);
}

static void describe_packet(struct contents *contents, const FileEntry *entry,
			    struct open_file *file)
{
	file->flags = &entry->psk->flags;
	file->detail = arena_printf(contents->arena, "interface %u, protocol %#x",
				    entry->psk->ifindex, ntohs(entry->psk->protocol));
}

static void describe_namespace(struct contents *contents, const FileEntry *entry,
			       struct open_file *file)
{
	static const struct name rows[] = {
		{CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"},       {CLONE_NEWNET, "network"},
		{CLONE_NEWIPC, "ipc"},  {CLONE_NEWUTS, "uts"},       {CLONE_NEWUSER, "user"},
		{0x80, "time"},         {CLONE_NEWCGROUP, "cgroup"},
	};
	static const struct names kinds = {rows, sizeof(rows) / sizeof(*rows)};
	const char *kind = name_of(&kinds, entry->nsf->ns_cflag);

	file->flags = &entry->nsf->flags;
	file->detail = arena_printf(contents->arena, "%s namespace %u", kind ? kind : "unknown",
				    entry->nsf->ns_id);
}

static void describe_tunnel(struct contents *contents, const FileEntry *entry,
			    struct open_file *file)
{
	const char *device = entry->tunf->netdev;

	file->detail = device ? quoted(contents, device, strlen(device)) : "no device";
}

static void describe_bpf_map(struct contents *contents, const FileEntry *entry,
			     struct open_file *file)
{
	file->flags = &entry->bpf->flags;
	file->detail = quoted(contents, entry->bpf->map_name, strlen(entry->bpf->map_name));
}

static void describe_pidfd(struct contents *contents, const FileEntry *entry,
			   struct open_file *file)
{
	file->flags = &entry->pidfd->flags;
	file->detail = entry->pidfd->nspid > 0
			       ? arena_printf(contents->arena, "pid %d", entry->pidfd->nspid)
			       : "of a process that is gone";
}

/* Types by number; `message` is where the entry has the pointer to the type's own message. */
static const struct kind {
	FdTypes type;
	const char *name;
	size_t message;
	void (*describe)(struct contents *contents, const FileEntry *entry, struct open_file *file);
} kinds[] = {
	{FD_TYPES__REG, "file", offsetof(FileEntry, reg), describe_regular},
	{FD_TYPES__PIPE, "pipe", offsetof(FileEntry, pipe), describe_pipe},
	{FD_TYPES__FIFO, "FIFO", offsetof(FileEntry, fifo), describe_fifo},
	{FD_TYPES__EVENTFD, "eventfd", offsetof(FileEntry, efd), describe_eventfd},
	{FD_TYPES__EVENTPOLL, "epoll", offsetof(FileEntry, epfd), describe_epoll},
	{FD_TYPES__SIGNALFD, "signalfd", offsetof(FileEntry, sgfd), describe_signalfd},
	{FD_TYPES__TIMERFD, "timerfd", offsetof(FileEntry, tfd), describe_timerfd},
	{FD_TYPES__MEMFD, "memfd", offsetof(FileEntry, memfd), describe_memfd},
	{FD_TYPES__TTY, "terminal", offsetof(FileEntry, tty), describe_terminal},
	{FD_TYPES__INETSK, "socket", offsetof(FileEntry, isk), describe_internet},
	{FD_TYPES__UNIXSK, "UNIX socket", offsetof(FileEntry, usk), describe_unix},
	{FD_TYPES__PACKETSK, "packet socket", offsetof(FileEntry, psk), describe_packet},
	{FD_TYPES__NETLINKSK, "netlink", offsetof(FileEntry, nlsk), describe_netlink},
	{FD_TYPES__INOTIFY, "inotify", offsetof(FileEntry, ify), describe_inotify},
	{FD_TYPES__FANOTIFY, "fanotify", offsetof(FileEntry, ffy), describe_fanotify},
	{FD_TYPES__NS, "namespace", offsetof(FileEntry, nsf), describe_namespace},
	{FD_TYPES__TUNF, "tunnel", offsetof(FileEntry, tunf), describe_tunnel},
	{FD_TYPES__EXT, "external", offsetof(FileEntry, ext), NULL},
	{FD_TYPES__BPFMAP, "bpf map", offsetof(FileEntry, bpf), describe_bpf_map},
	{FD_TYPES__PIDFD, "pidfd", offsetof(FileEntry, pidfd), describe_pidfd},
};

struct open_file describe_file(struct contents *contents, const FileEntry *entry)
{
	struct open_file file = {.kind = "unknown", .detail = ""};

	for (size_t i = 0; entry && i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct kind *kind = &kinds[i];

		if (kind->type != entry->type)
			continue;
		file.kind = kind->name;
		if (kind->describe && *(void *const *)((const char *)entry + kind->message))
			kind->describe(contents, entry, &file);
		break;
	}
	return file;
}
