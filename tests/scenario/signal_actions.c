/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Actions of every signal: handlers, all flags, restorers, masks; and that they still work. */
#include "scenario.h"

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct raw_action {
	unsigned long handler, flags, restorer, mask;
};

static struct raw_action actions[65];
static volatile int handled[65], info_code;

static void on_signal(int sig)
{
	handled[sig]++;
}

static void on_signal_info(int sig, siginfo_t *info, void *context)
{
	handled[sig]++;
	info_code = info->si_code;
}

static bool changeable(int sig)
{
	return sig != SIGKILL && sig != SIGSTOP && sig != SIGTERM;
}

static void setup(void)
{
	static const unsigned long flags[] = {
		0, SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_NOCLDSTOP, SA_NOCLDWAIT, SA_ONSTACK};
	struct sigaction with_restorer = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &with_restorer, NULL);
	syscall(SYS_rt_sigaction, SIGUSR1, NULL, &actions[SIGUSR1], 8);
	for (int sig = 1; sig <= 64; sig++) {
		struct raw_action *action = &actions[sig];
		if (!changeable(sig))
			continue;
		action->restorer = actions[SIGUSR1].restorer;
		action->flags = 0x04000000 /* SA_RESTORER */ | flags[sig % 7];
		action->handler = (unsigned long)on_signal;
		action->mask = 0x8000000000000001u << sig % 40;
		if (sig % 3 == 1) {
			action->handler = (unsigned long)on_signal_info;
			action->flags |= SA_SIGINFO;
		}
		if (sig % 5 == 4)
			action->handler = (unsigned long)SIG_IGN;
		if (sig % 7 == 6)
			*action = (struct raw_action){0}; /* default */
		must(syscall(SYS_rt_sigaction, sig, action, NULL, 8));
		must(syscall(SYS_rt_sigaction, sig, NULL, action, 8));
	}
}

static void verify(void)
{
	for (int sig = 1; sig <= 64; sig++) {
		struct raw_action now;
		if (!changeable(sig))
			continue;
		syscall(SYS_rt_sigaction, sig, NULL, &now, 8);
		check(memcmp(&now, &actions[sig], sizeof(now)) == 0,
		      "action of signal %d: %lx %lx %lx %lx instead of %lx %lx %lx %lx", sig,
		      now.handler, now.flags, now.restorer, now.mask, actions[sig].handler,
		      actions[sig].flags, actions[sig].restorer, actions[sig].mask);
		if (now.handler > 1) {
			must(syscall(SYS_tgkill, getpid(), getpid(),
				     sig)); /* raise() spares libc's */
			same("times a signal was handled", 1, handled[sig]);
			if (now.flags & SA_RESETHAND) {
				syscall(SYS_rt_sigaction, sig, NULL, &now, 8);
				same("handler after SA_RESETHAND", 0, now.handler);
			}
		}
	}
	same("code of the last signal with information", SI_TKILL, info_code);
}

const struct scenario scenario = {
	.about = "actions of all signals",
	.setup = setup,
	.verify = verify,
};
