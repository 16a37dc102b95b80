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
	change("peers", MS_SHARED);
	bind("peers", "peers_whole");
	bind("peers/a", "peers_a"); /* another root */
	bind("peers/b", "peers_b"); /* and one disjoint to that */
	must(mount("in peers", "peers/a/c", "tmpfs", 0, "size=1m"));
	must(umount("peers_whole/a/c")); /* everywhere */
	must(mount("again", "peers_a/c", "tmpfs", 0, "size=1m"));
	/* Members with different children: one leaves, changes, and comes back as a member. */
	change("peers_b", MS_PRIVATE);
	must(mount("only here", "peers_b", "tmpfs", 0, "size=1m"));
}

static void only_disjoint(void)
{
	new_tmpfs("disjoint");
	change("disjoint", MS_SHARED);
	bind("disjoint/a", "disjoint_a");
	bind("disjoint/b", "disjoint_b");
	must(umount2("disjoint", MNT_DETACH)); /* nobody has a root that contains both */
}

static void slaves(void)
{
	new_tmpfs("master");
	change("master", MS_SHARED);
	bind("master", "slave");
	change("slave", MS_SLAVE);
	bind("master/a", "slave_a");
	change("slave_a", MS_SLAVE);
	bind("slave", "shared_slave");
	change("shared_slave", MS_SHARED);
	bind("shared_slave", "slave_of_slave");
	change("slave_of_slave", MS_SLAVE);
	change("slave_of_slave", MS_SHARED);
	bind("slave_of_slave/a", "last_slave");
	change("last_slave", MS_SLAVE);
	must(mount("from above", "master/a/c", "tmpfs", 0, "size=1m"));
	must(mount("from the middle", "shared_slave/b", "tmpfs", 0, "size=1m"));
}

/* The master is mounted below its slave. */
static void inverted(void)
{
	new_tmpfs("outer");
	change("outer", MS_SHARED);
	bind("outer", "inner");
	change("outer", MS_SLAVE);
	must(mount("inner", "outer/a/c", NULL, MS_MOVE, NULL));
}

static void unbindable(void)
{
	new_tmpfs("unbindable");
	change("unbindable", MS_UNBINDABLE);
	must(mount("on it", "unbindable/a", "tmpfs", 0, "size=1m"));
	change("unbindable/a", MS_UNBINDABLE);
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
