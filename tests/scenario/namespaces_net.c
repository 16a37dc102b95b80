/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces with nothing but lo: as new, and set up; settings that differ from new ones.
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct setting {
	const char *path, *value;
} settings[] = {
	/* Each sets others, too. */
	{"/proc/sys/net/ipv4/ip_forward", "1\n"},
	{"/proc/sys/net/ipv4/conf/lo/forwarding", "0\n"},
	{"/proc/sys/net/ipv4/conf/all/rp_filter", "2\n"},
	{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "80\n"},
	{"/proc/sys/net/ipv4/ping_group_range", "5\t70\n"},
	{"/proc/sys/net/core/somaxconn", "777\n"},
	{"/proc/sys/net/unix/max_dgram_qlen", "33\n"},
};
enum { SETTINGS = sizeof(settings) / sizeof(*settings) };
static const char secret[] = "/proc/sys/net/ipv6/conf/lo/stable_secret";

static struct ifreq lo(unsigned long call, short flags, int mtu)
{
	int fd = must(socket(AF_UNIX, SOCK_DGRAM, 0));
	struct ifreq request = {.ifr_name = "lo"};

	if (call == SIOCSIFFLAGS)
		request.ifr_flags = flags;
	if (call == SIOCSIFMTU)
		request.ifr_mtu = mtu;
	must(ioctl(fd, call, &request));
	close(fd);
	return request;
}

static bool can_bind(int family, const char *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	int fd = must(socket(family, SOCK_DGRAM, 0));
	bool bound;

	if (family == AF_INET)
		must(inet_pton(family, address, &v4.sin_addr));
	else
		must(inet_pton(family, address, &v6.sin6_addr));
	bound = family == AF_INET ? bind(fd, (void *)&v4, sizeof(v4)) == 0
				  : bind(fd, (void *)&v6, sizeof(v6)) == 0;
	close(fd);
	return bound;
}

static void setup_new(void *unused)
{
	must(unshare(CLONE_NEWNET));
}

static void verify_new(void *unused)
{
	same("flags of lo", IFF_LOOPBACK, lo(SIOCGIFFLAGS, 0, 0).ifr_flags);
	check(!can_bind(AF_INET6, "::1"), "lo has an address");
}

static ino_t namespace_inode(void)
{
	struct stat stat;

	must(fstatat(-1, "/proc/self/ns/net", &stat, 0));
	return stat.st_ino;
}

static void setup_used(void *unused)
{
	must(unshare(CLONE_NEWNET));
	for (int i = 0; i < SETTINGS; i++)
		write_text(settings[i].path, settings[i].value);
	write_text(secret, "2001:db8::5");
	lo(SIOCSIFMTU, 0, 5000);
	lo(SIOCSIFFLAGS, IFF_UP, 0);
}

static void verify_used(void *unused)
{
	for (int i = 0; i < SETTINGS; i++)
		same_string(settings[i].path, settings[i].value, file_text(settings[i].path));
	same_string(secret, "2001:0db8:0000:0000:0000:0000:0000:0005\n", file_text(secret));
	same("mtu", 5000, lo(SIOCGIFMTU, 0, 0).ifr_mtu);
	same("flags of lo", IFF_LOOPBACK | IFF_UP | IFF_RUNNING, lo(SIOCGIFFLAGS, 0, 0).ifr_flags);
	check(can_bind(AF_INET, "127.0.0.1"), "127.0.0.1 is no address");
	check(can_bind(AF_INET6, "::1"), "::1 is no address");
}

static void setup_without_ipv6(void *unused)
{
	must(unshare(CLONE_NEWNET));
	write_text("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1\n");
	lo(SIOCSIFFLAGS, IFF_UP, 0);
}

static void verify_without_ipv6(void *unused)
{
	check(can_bind(AF_INET, "127.0.0.1"), "127.0.0.1 is no address");
	check(!can_bind(AF_INET6, "::1"), "::1 is an address");
}

static ino_t outside;

static void setup(void)
{
	outside = namespace_inode();
	child(setup_new, verify_new, NULL);
	child(setup_used, verify_used, NULL);
	child(setup_without_ipv6, verify_without_ipv6, NULL);
}

static void verify(void)
{
	same("namespace", outside, namespace_inode());
}

const struct scenario scenario = {
	.about = "network namespaces",
	.setup = setup,
	.verify = verify,
};
