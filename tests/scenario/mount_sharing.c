/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peer groups, slaves, slaves that are shared, chains of them, groups with different and disjoint
 * roots, groups whose members have different children, a slave above its master, unbindable mounts,
 * and what propagation did with all that.
 */
#include "scenario.h"
#include "mounting.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static void peers(void)
{
	new_tmpfs("peers");
	set_mount("peers", MS_SHARED);
	bind_mount("peers", "peers_whole");
	bind_mount("peers/a", "peers_a"); /* another root */
	bind_mount("peers/b", "peers_b"); /* and one disjoint to that */
	must(mount("in peers", "peers/a/c", "tmpfs", 0, "size=1m"));
	must(umount("peers_whole/a/c")); /* everywhere */
	must(mount("again", "peers_a/c", "tmpfs", 0, "size=1m"));
	/* Members with different children: one leaves, changes, and comes back as a member. */
	set_mount("peers_b", MS_PRIVATE);
	must(mount("only here", "peers_b", "tmpfs", 0, "size=1m"));
}

static void only_disjoint(void)
{
	new_tmpfs("disjoint");
	set_mount("disjoint", MS_SHARED);
	bind_mount("disjoint/a", "disjoint_a");
	bind_mount("disjoint/b", "disjoint_b");
	must(umount2("disjoint", MNT_DETACH)); /* nobody has a root that contains both */
}

static void slaves(void)
{
	new_tmpfs("master");
	set_mount("master", MS_SHARED);
	bind_mount("master", "slave");
	set_mount("slave", MS_SLAVE);
	bind_mount("master/a", "slave_a");
	set_mount("slave_a", MS_SLAVE);
	bind_mount("slave", "shared_slave");
	set_mount("shared_slave", MS_SHARED);
	bind_mount("shared_slave", "slave_of_slave");
	set_mount("slave_of_slave", MS_SLAVE);
	set_mount("slave_of_slave", MS_SHARED);
	bind_mount("slave_of_slave/a", "last_slave");
	set_mount("last_slave", MS_SLAVE);
	must(mount("from above", "master/a/c", "tmpfs", 0, "size=1m"));
	must(mount("from the middle", "shared_slave/b", "tmpfs", 0, "size=1m"));
}

/* The master is mounted below its slave. */
static void inverted(void)
{
	new_tmpfs("outer");
	set_mount("outer", MS_SHARED);
	bind_mount("outer", "inner");
	set_mount("outer", MS_SLAVE);
	must(mount("inner", "outer/a/c", NULL, MS_MOVE, NULL));
}

static void unbindable(void)
{
	new_tmpfs("unbindable");
	set_mount("unbindable", MS_UNBINDABLE);
	must(mount("on it", "unbindable/a", "tmpfs", 0, "size=1m"));
	set_mount("unbindable/a", MS_UNBINDABLE);
}

static void setup(void)
{
	own_namespace();
	peers();
	only_disjoint();
	slaves();
	inverted();
	unbindable();
}

static void verify(void)
{
	/* What propagates after is what has propagated before. */
	must(mount("later", "master/b", "tmpfs", 0, "size=1m"));
	new_file("master/b/new", "later");
	same_file("slave/b/new", "later");
	same_file("slave_of_slave/a/c/../../f", "master");
	new_tmpfs("disjoint_a/new");
	same("does it reach a disjoint root", -1, access("disjoint_b/new/f", F_OK));
	same("can it be bound", -1, mount("unbindable", "slave", NULL, MS_BIND, NULL));
}

const struct scenario scenario = {
	.about = "peer groups and slaves of all kinds",
	.setup = setup,
	.verify = verify,
	.modes = "once twice again",
};
