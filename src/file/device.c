/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory devices that keep nothing per open file.  In images they are regular files, as CRIU's. */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file/internal.h"

/* Documentation/admin-guide/devices.txt: major 1. */
enum {
	MEM_MAJOR = 1,
	NULL_MINOR = 3,
	ZERO_MINOR = 5,
	FULL_MINOR = 7,
	RANDOM_MINOR = 8,
	URANDOM_MINOR = 9
};

static bool recognize(const struct description *description)
{
	dev_t device = description->stat.st_rdev;

	if (!S_ISCHR(description->stat.st_mode) || (description->flags & O_PATH) ||
	    major(device) != MEM_MAJOR)
		return false;
	switch (minor(device)) {
	case NULL_MINOR:
	case ZERO_MINOR:
	case FULL_MINOR:
	case RANDOM_MINOR:
	case URANDOM_MINOR:
		return true;
	default:
		return false;
	}
}

const struct file_kind device_kind = {
	.name = "device",
	.type = FD_TYPES__REG,
	.recognize = recognize,
	.describe = path_describe,
};
