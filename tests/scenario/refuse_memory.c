/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory that is not carried over: System V segments and rings of AIO. */
#include "scenario.h"

#include <linux/aio_abi.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

static char *segment;
static int shm_id;

static void setup(void)
{
	aio_context_t context = 0;

	shm_id = must(shmget(IPC_PRIVATE, PAGE, 0600));
	segment = must(shmat(shm_id, NULL, 0));
	segment[0] = 's';
	must(syscall(SYS_io_setup, 8, &context));
}

static void verify(void)
{
	same("shared segment", 's', segment[0]);
	shmdt(segment);
	shmctl(shm_id, IPC_RMID, NULL);
}

const struct scenario scenario = {
	.about = "memory that is not carried over",
	.setup = setup,
	.verify = verify,
	.refused = "SYSV|System V\naio",
};
