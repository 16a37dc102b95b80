/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /proc/PID/smaps: layout and flags of mappings.  There is no other place where the kernel tells
 * VmFlags; measured, it costs 8 ms a GiB of small pages and 4 us a mapping.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "memory/internal.h"

#define DEVICE_PAGES "it shows memory of a device, not pages"
#define CLOSE_IT     "end the program's use of it before the dump"

/* A flag without map, advice and refusal is restored by the mapping's kind and protection. */
const struct vm_flag_row vm_flag_rows[VM_FLAGS] = {
	[VM_READ] = {"rd"},
	[VM_WRITE] = {"wr"},
	[VM_EXEC] = {"ex"},
	[VM_SHARED] = {"sh"},
	[VM_MAYREAD] = {"mr"},
	[VM_MAYWRITE] = {"mw"},
	[VM_MAYEXEC] = {"me"},
	[VM_MAYSHARE] = {"ms"},
	[VM_GROWSDOWN] = {"gd", .map = MAP_GROWSDOWN},
	[VM_PFNMAP] = {"pf", .refusal = DEVICE_PAGES, .remedy = CLOSE_IT},
	[VM_MAYBE_GUARD] = {"gu"}, /* guard regions are found by scan_guards() */
	[VM_LOCKED] = {"lo", .map = MAP_LOCKED},
	[VM_IO] = {"io", .refusal = DEVICE_PAGES, .remedy = CLOSE_IT},
	[VM_SEQ_READ] = {"sr", .advice = MADV_SEQUENTIAL},
	[VM_RAND_READ] = {"rr", .advice = MADV_RANDOM},
	[VM_DONTCOPY] = {"dc", .advice = MADV_DONTFORK},
	[VM_DONTEXPAND] = {"de", .refusal = "it belongs to a device driver (VM_DONTEXPAND)",
			   .remedy = CLOSE_IT},
	[VM_LOCKONFAULT] = {"lf"}, /* says more about "lo" */
	[VM_ACCOUNT] = {"ac"},
	[VM_NORESERVE] = {"nr", .map = MAP_NORESERVE},
	[VM_HUGETLB] = {"ht",
			.refusal = "huge pages (MAP_HUGETLB, hugetlbfs) are not supported yet",
			.remedy = "let the program use transparent huge pages"},
	[VM_SYNC] = {"sf", .refusal = "synchronous mappings (MAP_SYNC) are not supported yet",
		     .remedy = CLOSE_IT},
	[VM_ARCH_1] = {"ar", .refusal = DEVICE_PAGES, .remedy = CLOSE_IT},
	[VM_WIPEONFORK] = {"wf", .advice = MADV_WIPEONFORK},
	[VM_DONTDUMP] = {"dd", .advice = MADV_DONTDUMP},
	[VM_SOFTDIRTY] = {"sd"}, /* belongs to whoever tracks changes, not to the application */
	[VM_MIXEDMAP] = {"mm", .refusal = DEVICE_PAGES, .remedy = CLOSE_IT},
	[VM_HUGEPAGE] = {"hg", .advice = MADV_HUGEPAGE},
	[VM_NOHUGEPAGE] = {"nh", .advice = MADV_NOHUGEPAGE},
	[VM_MERGEABLE] = {"mg", .advice = MADV_MERGEABLE},
	[VM_UFFD_MISSING] = {"um", .refusal = "it is registered with userfaultfd",
			     .remedy = CLOSE_IT},
	[VM_UFFD_WP] = {"uw", .refusal = "it is registered with userfaultfd", .remedy = CLOSE_IT},
	[VM_UFFD_MINOR] = {"ui", .refusal = "it is registered with userfaultfd",
			   .remedy = CLOSE_IT},
	[VM_SHADOW_STACK] = {"ss", .refusal = "shadow stacks are not supported yet",
			     .remedy = "start the program without "
				       "GLIBC_TUNABLES=glibc.cpu.x86_shstk"},
	[VM_SEALED] = {"sl"},
	[VM_DROPPABLE] = {"dp"},
};

/* The flags come in the table's order, so the search goes on where the last one was found. */
static int find_flag(const char *code, int from)
{
	for (int i = 0; i < VM_FLAGS; i++) {
		int flag = (from + i) % VM_FLAGS;

		if (vm_flag_rows[flag].code[0] == code[0] && vm_flag_rows[flag].code[1] == code[1])
			return flag;
	}
	return -1;
}

static void parse_flags(const char *text, struct smaps_entry *entry)
{
	int flag = 0;

	while (*text == ' ')
		text++;
	for (; text[0] > ' ' && text[1] > ' '; text += text[2] == ' ' ? 3 : 2) {
		int found = find_flag(text, flag);

		if (found < 0) {
			memcpy(entry->unknown, text, 2);
			continue;
		}
		entry->flags |= VM_BIT(found);
		flag = found + 1;
	}
}

/* A hexadecimal number and the character that has to follow it. */
static bool number(char **text, int base, char end, uint64_t *value)
{
	char *stop;

	*value = strtoull(*text, &stop, base);
	if (stop == *text || *stop != end)
		return false;
	*text = stop + 1;
	return true;
}

/* "7f0000000000-7f0000001000 rw-p 00000000 fe:00 1234    /path" */
static bool parse_header(char *line, struct smaps_entry *entry)
{
	uint64_t major, minor;

	if (!number(&line, 16, '-', &entry->start) || !number(&line, 16, ' ', &entry->end) ||
	    strnlen(line, 5) < 5)
		return false;
	entry->read = line[0] == 'r';
	entry->write = line[1] == 'w';
	entry->exec = line[2] == 'x';
	entry->shared = line[3] == 's';
	line += 5;
	if (!number(&line, 16, ' ', &entry->offset) || !number(&line, 16, ':', &major) ||
	    !number(&line, 16, ' ', &minor))
		return false;
	entry->device = makedev(major, minor);

	char *stop;

	entry->inode = strtoull(line, &stop, 10);
	entry->name = stop + strspn(stop, " ");
	return stop != line && entry->start < entry->end;
}

int smaps_next(char **text, struct smaps_entry *entry)
{
	char *line = *text;
	bool header = true;

	memset(entry, 0, sizeof(*entry));
	while (*line) {
		char *end = strchrnul(line, '\n'), *next = *end ? end + 1 : end;

		*end = 0;
		if (header && !parse_header(line, entry))
			return -EBADMSG;
		header = false;
		if (!strncmp(line, "Rss:", 4)) {
			entry->rss = strtoull(line + 4, NULL, 10) * 1024;
		} else if (!strncmp(line, "ProtectionKey:", 14)) {
			entry->protection_key = strtoul(line + 14, NULL, 10);
		} else if (!strncmp(line, "VmFlags:", 8)) {
			parse_flags(line + 8, entry);
			*text = next;
			return 1;
		}
		line = next;
	}
	return header ? 0 : -EBADMSG;
}
