/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private memory: anonymous with holes and protections, file mappings with written and untouched
 * pages, guard areas, and a program's own data.
 */
#include "scenario.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 512 };

static char *anonymous, *file_map, *file_read, *guarded, *code, *tail;
static char data[3 * PAGE] = {1};
static sigjmp_buf jump;

static void on_fault(int sig)
{
	siglongjmp(jump, sig);
}

/* The signal that an access raises, or 0. */
static int fault(volatile char *address, bool write)
{
	int sig = sigsetjmp(jump, 1);

	if (sig)
		return sig;
	char value = *address;
	if (write)
		*address = value;
	return 0;
}

static void setup(void)
{
	struct sigaction action = {.sa_handler = on_fault};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	int fd = must(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	static char bytes[PAGES * PAGE];
	pattern_fill(bytes, sizeof(bytes), 7);
	must(write(fd, bytes, sizeof(bytes)));

	anonymous = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < PAGES; i += 3)
		pattern_fill(anonymous + i * PAGE, PAGE, i);
	/* Every protection there is, over parts of it. */
	must(mprotect(anonymous + 9 * PAGE, PAGE, PROT_NONE));
	must(mprotect(anonymous + 12 * PAGE, 3 * PAGE, PROT_READ));
	must(mprotect(anonymous + 30 * PAGE, PAGE, PROT_READ | PROT_EXEC));
	must(mprotect(anonymous + 33 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	must(mprotect(anonymous + 36 * PAGE, PAGE, PROT_EXEC));
	must(munmap(anonymous + 60 * PAGE, 6 * PAGE));

	file_map = must(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	for (int i = 0; i < PAGES; i += 5)
		pattern_fill(file_map + i * PAGE, PAGE, 1000 + i);
	must(fault(file_map + PAGE, false));
	must(mprotect(file_map, PAGE * 10, PROT_READ)); /* written pages, now read-only */
	file_read = must(mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 5 * PAGE));
	/* Past the end of the file: the last page exists, what follows raises SIGBUS. */
	int small = must(open("small", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	must(write(small, "0123456789", 10));
	tail = must(mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, small, 0));
	tail[100] = 'x';
	close(small);

	guarded = must(mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(mprotect(guarded + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE));
	pattern_fill(guarded + PAGE, 2 * PAGE, 3);

	/* mov $42, %eax; ret */
	code = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	static const char text[] = "\xb8\x2a\x00\x00\x00\xc3";
	for (int i = 0; i < 6; i++)
		code[i] = text[i];
	must(mprotect(code, PAGE, PROT_READ | PROT_EXEC));
	pattern_fill(data, sizeof(data), 9);
	close(fd);
}

static void verify(void)
{
	char name[64];

	same("fault in PROT_NONE", SIGSEGV, fault(anonymous + 9 * PAGE, false));
	same("read of a read-only page", 0, fault(anonymous + 12 * PAGE, false));
	same("write to a read-only page", SIGSEGV, fault(anonymous + 12 * PAGE, true));
	same("fault in a hole", SIGSEGV, fault(anonymous + 60 * PAGE, false));
	same("fault in the guard before", SIGSEGV, fault(guarded, false));
	same("fault in the guard behind", SIGSEGV, fault(guarded + 3 * PAGE, false));
	must(mprotect(anonymous + 9 * PAGE, PAGE, PROT_READ));
	must(mprotect(anonymous + 36 * PAGE, PAGE, PROT_READ));
	for (int i = 0; i < PAGES; i++) {
		if (i >= 60 && i < 66)
			continue;
		snprintf(name, sizeof(name), "anonymous page %d", i);
		if (i % 3 == 0)
			pattern_check(name, anonymous + i * PAGE, PAGE, i);
		else
			same(name, 0, anonymous[i * PAGE + i % PAGE]);
	}
	static char bytes[PAGES * PAGE];
	pattern_fill(bytes, sizeof(bytes), 7);
	for (int i = 0; i < PAGES; i++) {
		snprintf(name, sizeof(name), "file page %d", i);
		if (i % 5 == 0)
			pattern_check(name, file_map + i * PAGE, PAGE, 1000 + i);
		else
			same_bytes(name, bytes + i * PAGE, file_map + i * PAGE, PAGE);
	}
	same("write to a page made read-only", SIGSEGV, fault(file_map, true));
	same_bytes("file mapping", bytes + 5 * PAGE, file_read, 3 * PAGE);
	/* An untouched page of a private mapping still follows the file. */
	int fd = open("file", O_RDWR | O_CLOEXEC);
	same("write to the file", 3, pwrite(fd, "new", 3, 6 * PAGE));
	same_bytes("untouched page after a write", "new", file_map + 6 * PAGE, 3);
	same("put back", 3, pwrite(fd, bytes + 6 * PAGE, 3, 6 * PAGE));
	close(fd);
	same("page at the end of a file", 'x', tail[100]);
	same("byte of a small file", '9', tail[9]);
	same("fault behind the end of a file", SIGBUS, fault(tail + PAGE, false));
	pattern_check("guarded memory", guarded + PAGE, 2 * PAGE, 3);
	same("value of generated code", 42, ((int (*)(void))code)());
	pattern_check("data of the program", data, sizeof(data), 9);
}

const struct scenario scenario = {
	.about = "private memory and its protections",
	.setup = setup,
	.verify = verify,
};
