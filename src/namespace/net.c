/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network namespaces that hold nothing but the loopback device: netns-ID.img, netdev-ID.img.
 *
 * A dump makes another one by the very function that a restore makes it with, and compares: where
 * they differ there is something that could not be brought back.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "images/netdev.pb-c.h"
#include "namespace/internal.h"

struct net_state {
	NetnsEntry *netns;
	NetDeviceEntry *loopback;
};

static const char remedy[] =
	"let the container have no network but lo (--network none), or share that of the host";

/* ---- the loopback device ------------------------------------------------------------------- */

static int loopback_call(struct namespace *namespace, unsigned long call, struct ifreq *request)
{
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(request->ifr_name, "lo");
	return fd < 0 || ioctl(fd, call, request) < 0
		       ? FAIL(errno, namespace_subject(namespace), NULL,
			      "its device lo cannot be asked or set up: %s", strerror(errno))
		       : 0;
}

static int describe_loopback(struct checkpoint *checkpoint, struct namespace *namespace,
			     NetDeviceEntry *device)
{
	struct ifreq flags = {0}, mtu = {0}, index = {0};
	int error = loopback_call(namespace, SIOCGIFFLAGS, &flags);

	if (!error)
		error = loopback_call(namespace, SIOCGIFMTU, &mtu);
	if (!error)
		error = loopback_call(namespace, SIOCGIFINDEX, &index);
	device->type = ND_TYPE__LOOPBACK;
	device->ifindex = index.ifr_ifindex;
	device->name = arena_strdup(checkpoint->arena, "lo");
	device->flags = (unsigned short)flags.ifr_flags;
	device->mtu = mtu.ifr_mtu;
	return error;
}

static int set_mtu(struct namespace *namespace, const NetDeviceEntry *device)
{
	struct ifreq now = {0}, request = {.ifr_mtu = device->mtu};
	int error = loopback_call(namespace, SIOCGIFMTU, &now);

	return error || now.ifr_mtu == request.ifr_mtu
		       ? error
		       : loopback_call(namespace, SIOCSIFMTU, &request);
}

static int set_up(struct namespace *namespace, const NetDeviceEntry *device)
{
	struct ifreq request = {.ifr_flags = IFF_UP};

	return device->flags & IFF_UP ? loopback_call(namespace, SIOCSIFFLAGS, &request) : 0;
}

/* ---- settings ------------------------------------------------------------------------------ */

static int describe_settings(struct checkpoint *checkpoint, struct namespace *namespace, int sys,
			     NetnsEntry *netns)
{
	char **names, value[SYSCTL_MOST];
	size_t count;
	int error = sysctl_collect(checkpoint->arena, sys, "net", &names, &count);

	netns->sysctls = arena_new_array(checkpoint->arena, NamespaceSysctl *, count);
	for (size_t i = 0; i < count && !error; i++) {
		NamespaceSysctl *setting =
			ARENA_MESSAGE(checkpoint->arena, namespace_sysctl, NamespaceSysctl);

		error = sysctl_read(sys, names[i], value);
		/* stable_secret has no value until one is set. */
		if (error == -EIO) {
			error = 0;
			continue;
		}
		setting->name = names[i];
		setting->value = arena_strdup(checkpoint->arena, value);
		netns->sysctls[netns->n_sysctls++] = setting;
	}
	return error ? FAIL(-error, namespace_subject(namespace), "mount /proc",
			    "its settings in /proc/sys/net cannot be read: %s", strerror(-error))
		     : 0;
}

/* 1: it was changed. */
static int make_setting(int sys, NamespaceSysctl *setting)
{
	char value[SYSCTL_MOST];
	int error = sysctl_read(sys, setting->name, value);

	if (!error && !strcmp(value, setting->value))
		return 0;
	if (error == -ENOENT && !setting->changed) {
		log_warn("/proc/sys/%s is not known to this kernel", setting->name);
		return 0;
	}
	if (!error || error == -EIO)
		error = sysctl_write(sys, setting->name, setting->value);
	setting->changed = setting->has_changed = true;
	return error ? error : 1;
}

/*
 * Some settings change others (conf/all/forwarding those of each device), and some can be made
 * only after others (addr_gen_mode): in rounds, until nothing is left to do.
 */
static int make_settings(struct namespace *namespace, int sys, const NetnsEntry *netns)
{
	enum { ROUNDS = 8 };
	const NamespaceSysctl *failed = NULL;
	int changed = 1, error = 0;

	for (int round = 0; changed && round < ROUNDS; round++) {
		failed = NULL;
		changed = 0;
		for (size_t i = 0; i < netns->n_sysctls; i++) {
			int result = make_setting(sys, netns->sysctls[i]);

			changed |= result > 0;
			if (result < 0) {
				failed = netns->sysctls[i];
				error = result;
			}
		}
	}
	if (failed)
		return FAIL(-error, namespace_subject(namespace),
			    "load the kernel modules that this setting needs",
			    "/proc/sys/%s cannot be set to \"%s\": %s", failed->name, failed->value,
			    strerror(-error));
	return changed ? FAIL(EINVAL, namespace_subject(namespace), NULL,
			      "its settings in /proc/sys/net contradict each other")
		       : 0;
}

static int make_state(struct namespace *namespace)
{
	const struct net_state *state = namespace->state;
	autofd int sys = sysctl_open();
	int error = sys < 0 ? sys : set_mtu(namespace, state->loopback);

	if (!error)
		error = make_settings(namespace, sys, state->netns);
	if (!error)
		error = set_up(namespace, state->loopback);
	return error;
}

/* ---- dump ---------------------------------------------------------------------------------- */

/* Tables of iptables and the like, which netlink does not know: there when they were used. */
static char *list_tables(struct checkpoint *checkpoint)
{
	static const char *const files[] = {"ip_tables_names", "ip6_tables_names",
					    "arp_tables_names"};
	char *all = arena_strdup(checkpoint->arena, "");

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		autofree char *text = NULL;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/net/%s", files[i]);
		if (!fd_read_file(AT_FDCWD, path, &text, NULL))
			all = arena_printf(checkpoint->arena, "%s%s:%s", all, files[i], text);
	}
	return all;
}

/* Programs that are attached to the namespace itself. */
static bool has_programs(const struct namespace *namespace)
{
	static const enum bpf_attach_type types[] = {BPF_FLOW_DISSECTOR, BPF_SK_LOOKUP};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		union bpf_attr attr = {
			.query = {.target_fd = namespace->fd, .attach_type = types[i]}};

		if (syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) == 0 &&
		    attr.query.prog_cnt)
			return true;
	}
	return false;
}

/* What there is that a new one, with the same settings, has not. */
static int compare_with_new(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct net_objects *theirs = net_objects_collect(), *new = NULL;
	const char *tables = list_tables(checkpoint), *what = NULL;
	int error = theirs ? 0 : -EIO;

	if (!error && has_programs(namespace))
		what = "BPF programs that look at its packets";
	if (!error && unshare(CLONE_NEWNET) < 0)
		error = FAIL(errno, namespace_subject(namespace), "run stasis as root",
			     "no network namespace can be made to compare it with: %s",
			     strerror(errno));
	if (!error)
		error = make_state(namespace);
	if (!error && !(new = net_objects_collect()))
		error = -EIO;
	if (!error && !what)
		what = net_objects_compare(theirs, new);
	if (!error && !what && strcmp(tables, list_tables(checkpoint)))
		what = "iptables";
	net_objects_free(theirs);
	net_objects_free(new);
	if (what)
		error = REFUSE(namespace->task ? task_subject(namespace->task)
					       : namespace_subject(namespace),
			       remedy,
			       "its network namespace holds what stasis cannot checkpoint yet: %s",
			       what);
	return error;
}

static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct net_state *state = arena_new_object(checkpoint->arena, struct net_state);
	autofd int sys = sysctl_open();
	int error = sys < 0 ? sys : 0;

	namespace->state = state;
	state->netns = ARENA_MESSAGE(checkpoint->arena, netns_entry, NetnsEntry);
	state->loopback = ARENA_MESSAGE(checkpoint->arena, net_device_entry, NetDeviceEntry);
	if (!error)
		error = describe_settings(checkpoint, namespace, sys, state->netns);
	if (!error)
		error = describe_loopback(checkpoint, namespace, state->loopback);
	return error ? error : compare_with_new(checkpoint, namespace);
}

static int write_images(struct checkpoint *checkpoint, struct namespace *namespace)
{
	const struct net_state *state = namespace->state;
	int error = image_write_one(checkpoint->images, IMAGE_NETNS, namespace->id, state->netns);

	return error ? error
		     : image_write_one(checkpoint->images, IMAGE_NETDEV, namespace->id,
				       state->loopback);
}

/* ---- restore ------------------------------------------------------------------------------- */

/* A name is a path below /proc/sys/net and nothing else. */
static bool is_setting(const char *name)
{
	return !strncmp(name, "net/", 4) && !strstr(name, "..");
}

static int read_images(struct checkpoint *checkpoint, struct namespace *namespace)
{
	struct net_state *state = arena_new_object(checkpoint->arena, struct net_state);
	int error = namespace_read_one(checkpoint, namespace, IMAGE_NETNS, &state->netns);

	namespace->state = state;
	if (!error)
		error = namespace_read_one(checkpoint, namespace, IMAGE_NETDEV, &state->loopback);
	if (error)
		return error;
	for (size_t i = 0; i < state->netns->n_sysctls; i++)
		if (!is_setting(state->netns->sysctls[i]->name))
			return FAIL(EBADMSG, namespace_subject(namespace),
				    "the checkpoint is damaged: dump again",
				    "\"%s\" is no setting of a network",
				    state->netns->sysctls[i]->name);
	if (!state->netns->n_sysctls || state->loopback->type != ND_TYPE__LOOPBACK)
		return REFUSE(namespace_subject(namespace),
			      "restore it with the program that wrote it",
			      "it is not one of those that stasis dumps, with nothing but lo");
	return 0;
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	return make_state(namespace);
}

const struct namespace_content net_content = {
	.describe = describe,
	.write = write_images,
	.read = read_images,
	.make = make,
};
