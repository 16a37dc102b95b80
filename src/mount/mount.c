/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/mount.h"

#include "base/report.h"
#include "checkpoint/checkpoint.h"

int mounts_describe(struct checkpoint *checkpoint)
{
	int result = 0;

	array_each (&checkpoint->namespaces.all, item)
		if ((*item)->kind == NAMESPACE_MNT)
			result = REFUSE(
				task_subject((*item)->task),
				"run stasis inside that namespace, or the program outside it",
				"it has a mount namespace of its own, which stasis cannot "
				"checkpoint yet");
	return result;
}

int mounts_store(struct checkpoint *checkpoint)
{
	return 0;
}

int mounts_write(struct checkpoint *checkpoint)
{
	return 0;
}

int mounts_read(struct checkpoint *checkpoint)
{
	return 0;
}

int mounts_plan(struct checkpoint *checkpoint)
{
	return 0;
}

int mounts_build(struct checkpoint *checkpoint)
{
	return 0;
}

int mounts_finish(struct checkpoint *checkpoint)
{
	return 0;
}

int mounts_verify(struct checkpoint *checkpoint)
{
	return 0;
}

void mounts_close(struct checkpoint *checkpoint)
{
}
