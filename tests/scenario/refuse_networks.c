/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces that hold more than the loopback device. */
#include "scenario.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void call(unsigned long number, void *argument)
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(ioctl(fd, number, argument));
	close(fd);
}

static void lo_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	must(unshare(CLONE_NEWNET));
	call(SIOCSIFFLAGS, &request);
}

static void setup_address(void *unused)
{
	struct ifreq request = {.ifr_name = "lo:1"};

	lo_up();
	((struct sockaddr_in *)&request.ifr_addr)->sin_family = AF_INET;
	inet_pton(AF_INET, "10.1.2.3", &((struct sockaddr_in *)&request.ifr_addr)->sin_addr);
	call(SIOCSIFADDR, &request);
}

static void setup_route(void *unused)
{
	struct rtentry route = {.rt_flags = RTF_UP, .rt_dev = (char *)"lo"};

	lo_up();
	((struct sockaddr_in *)&route.rt_dst)->sin_family = AF_INET;
	((struct sockaddr_in *)&route.rt_genmask)->sin_family = AF_INET;
	inet_pton(AF_INET, "10.0.0.0", &((struct sockaddr_in *)&route.rt_dst)->sin_addr);
	inet_pton(AF_INET, "255.0.0.0", &((struct sockaddr_in *)&route.rt_genmask)->sin_addr);
	call(SIOCADDRT, &route);
}

static void setup_device(void *unused)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_newname = "loop0"};

	must(unshare(CLONE_NEWNET));
	call(SIOCSIFNAME, &request);
}

static void setup(void)
{
	child(setup_address, NULL, NULL);
	child(setup_route, NULL, NULL);
	child(setup_device, NULL, NULL);
}

static void verify(void)
{
}

const struct scenario scenario = {
	.about = "networks that are in use",
	.setup = setup,
	.verify = verify,
	.refused = "addresses\nroutes\nlo cannot be asked|devices",
};
