/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/fd.h"
#include "base/report.h"
#include "cli/show/show.h"
#include "fill.h"
#include "fuzz.h"
#include "image/format.h"

/* An image file of any type: reading it and showing all that is in it. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int memory = -1;
	static char path[64];
	static FILE *nowhere;

	if (memory < 0) {
		memory = memfd_create("image", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", memory);
		nowhere = fopen("/dev/null", "w");
	}
	if (ftruncate(memory, 0) || fd_pwrite_all(memory, data, size, 0))
		abort();
	show_raw(path, nowhere);
	report_clear();
	return 0;
}

static void put_message(FILE *out, struct arena *arena, const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *message = fill_message(arena, type);
	uint32_t size = protobuf_c_message_get_packed_size(message);
	unsigned char *packed = arena_alloc(arena, size);

	protobuf_c_message_pack(message, packed);
	fwrite(&size, sizeof(size), 1, out);
	fwrite(packed, 1, size, out);
}

/* An image of each type, with a payload long enough for every message that has one. */
void fuzz_seeds(void (*add)(const void *data, size_t size))
{
	for (size_t i = 0; i < image_format_count; i++) {
		const struct image_format *format = &image_formats[i];

		if (!format->message)
			continue;
		struct arena *arena = arena_new();
		char *data = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&data, &size);

		if (format->prefix)
			fwrite(&format->prefix, sizeof(format->prefix), 1, out);
		fwrite(&format->magic, sizeof(format->magic), 1, out);
		if (format->first)
			put_message(out, arena, format->first);
		put_message(out, arena, format->message);
		fwrite("payload-", 1, 8, out);
		fclose(out);
		add(data, size);
		free(data);
		arena_free(arena);
	}
}
