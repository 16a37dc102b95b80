/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/report.h"
#include "cli/options.h"

int privilege_check(const struct options *options)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	uint64_t effective;

	if (syscall(SYS_capget, &header, data) < 0)
		return FAIL(errno, SUBJECT("capget"), NULL, "%s", strerror(errno));
	effective = data[0].effective | (uint64_t)data[1].effective << 32;
	if (effective & (1ull << CAP_SYS_ADMIN | 1ull << CAP_CHECKPOINT_RESTORE))
		return 0;
	return FAIL(EPERM, SUBJECT("%s", options->command), "run stasis as root",
		    "needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE");
}
