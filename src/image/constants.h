/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Numbers in images that the .proto files have no enum for; they are CRIU 4.3's. */

/* vma_entry.status: what a mapping is. */
enum {
	VMA_AREA_NONE = 0,
	VMA_AREA_REGULAR = 1 << 0, /* its pages are the checkpoint's concern */
	VMA_AREA_STACK = 1 << 1,
	VMA_AREA_VSYSCALL = 1 << 2,
	VMA_AREA_VDSO = 1 << 3,
	VMA_AREA_HEAP = 1 << 5,
	VMA_FILE_PRIVATE = 1 << 6,
	VMA_FILE_SHARED = 1 << 7,
	VMA_ANON_SHARED = 1 << 8,
	VMA_ANON_PRIVATE = 1 << 9,
	VMA_AREA_SYSVIPC = 1 << 10,
	VMA_AREA_SOCKET = 1 << 11,
	VMA_AREA_VVAR = 1 << 12,
	VMA_AREA_AIORING = 1 << 13,
	VMA_AREA_MEMFD = 1 << 14,
	VMA_AREA_SHSTK = 1 << 15,
	VMA_AREA_GUARD = 1 << 16, /* not a mapping: a guard region (MADV_GUARD_INSTALL) in one */
	VMA_AREA_UPROBES = 1 << 17,
	VMA_AREA_NOT_ACCOUNTABLE = 1 << 18, /* counts towards no limit on memory */
};

/* pagemap_entry.flags */
enum {
	PE_PARENT = 1 << 0,          /* the pages are in the parent checkpoint */
	PE_LAZY = 1 << 1,            /* may be brought later */
	PE_PRESENT = 1 << 2,         /* the pages are in the pages image */
	PE_PAYLOAD_ALIGNED = 1 << 3, /* compressed, and starting at a page's boundary */
};

/* pagemap_entry.vaddr and nr_pages count in these. */
enum { IMAGE_PAGE_SIZE = 4096 };
