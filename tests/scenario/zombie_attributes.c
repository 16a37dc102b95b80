/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be seen of children that have ended and were not waited for: credentials, signals,
 * scheduling, limits.  Whoever waits is told the user of the dead.
 */
#include "scenario.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT = 8192, ZOMBIES = 3 };

static const int ends[ZOMBIES] = {0, SIGKILL, SIGUSR2};

/* Files of /proc/PID, and what is compared of them: lines that begin with a word; NULL: all. */
static const struct {
	const char *name;
	const char *const *words;
} files[] = {
	{"status", (const char *const[]){"Name", "State", "Tgid", "PPid", "Uid", "Gid", "Groups",
					 "SigBlk", "SigIgn", "SigCgt", "Cap", "NoNewPrivs",
					 "Seccomp", "Cpus_allowed", NULL}},
	{"limits", NULL},
	{"oom_score_adj", NULL},
	{"personality", NULL},
	{"timerslack_ns", NULL},
	{"loginuid", NULL},
	{"cgroup", NULL},
};

enum { FILES = sizeof(files) / sizeof(files[0]) };

static struct zombie {
	pid_t pid;
	char texts[FILES][TEXT];
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t times[3];
	} sched;
} zombies[ZOMBIES], now;

static bool is_compared(int file, const char *line)
{
	if (!files[file].words)
		return true;
	for (const char *const *word = files[file].words; *word; word++) {
		if (strncmp(line, *word, strlen(*word)) == 0)
			return true;
	}
	return false;
}

static void look_at(struct zombie *zombie)
{
	for (int i = 0; i < FILES; i++) {
		char path[64];
		size_t length = 0;

		snprintf(path, sizeof(path), "/proc/%d/%s", zombie->pid, files[i].name);
		for (const char *line = file_text(path); *line;) {
			size_t size = strcspn(line, "\n");
			size += line[size] == '\n';
			if (is_compared(i, line) && length + size < TEXT) {
				memcpy(zombie->texts[i] + length, line, size);
				length += size;
			}
			line += size;
		}
		zombie->texts[i][length] = '\0';
	}
	must(syscall(SYS_sched_getattr, zombie->pid, &zombie->sched, sizeof(zombie->sched), 0));
}

static void end(int index)
{
	struct rlimit limit = {1000 + index, 2000};
	struct sched_param param = {0};
	gid_t groups[] = {7, 1000 + index, 70000};
	sigset_t set;
	cpu_set_t cpus;

	prctl(PR_SET_NAME, "a dead one");
	signal(SIGHUP, SIG_IGN);
	signal(SIGURG, SIG_IGN);
	signal(SIGRTMIN, _exit);
	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_SETMASK, &set, NULL);
	write_text("/proc/self/oom_score_adj", "500");
	must(setrlimit(RLIMIT_NOFILE, &limit));
	must(prctl(PR_SET_TIMERSLACK, 60000 + index));
	must(setpriority(PRIO_PROCESS, 0, 5 + index));
	must(sched_setscheduler(0, index ? SCHED_BATCH : SCHED_OTHER, &param));
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	must(sched_setaffinity(0, sizeof(cpus), &cpus));
	must(setgroups(3, groups));
	must(setresgid(10, 20 + index, 30));
	must(setresuid(11, index == 1 ? 0 : 21, 31));
	if (index != 2)
		must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (ends[index])
		syscall(SYS_tgkill, getpid(), getpid(), ends[index]);
	_exit(9);
}

static void setup(void)
{
	for (int i = 0; i < ZOMBIES; i++) {
		siginfo_t info;

		zombies[i].pid = must(fork());
		if (zombies[i].pid == 0)
			end(i);
		must(waitid(P_PID, zombies[i].pid, &info, WEXITED | WNOWAIT));
		if (info.si_status != (ends[i] ? ends[i] : 9))
			die("child %d ended with %d", i, info.si_status);
		look_at(&zombies[i]);
	}
}

static void verify(void)
{
	for (int i = 0; i < ZOMBIES; i++) {
		siginfo_t info = {0};

		now.pid = zombies[i].pid;
		look_at(&now);
		for (int k = 0; k < FILES; k++)
			same_string(files[k].name, zombies[i].texts[k], now.texts[k]);
		same_bytes("scheduling", &zombies[i].sched, &now.sched, sizeof(now.sched));
		same("waitid", 0, waitid(P_PID, now.pid, &info, WEXITED | WNOHANG));
		same("its user", 11, info.si_uid);
		same("its end", ends[i] ? ends[i] : 9, info.si_status);
	}
}

const struct scenario scenario = {
	.about = "what can be seen of zombies",
	.setup = setup,
	.verify = verify,
};
