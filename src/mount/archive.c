/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mount/archive.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

#include "base/report.h"

/* The name of its interface: a library with another is not this one. */
static const char library_name[] = "libarchive.so.13";

struct libarchive libarchive;

static const struct {
	const char *name;
	void **function;
} functions[] = {
#define ROW(name) {#name, (void **)&libarchive.name},
	LIBARCHIVE_FUNCTIONS(ROW)
#undef ROW
};

static int load_failed(void)
{
	return FAIL(ENOENT, SUBJECT("contents of filesystems"),
		    "install libarchive13 (Debian's name of the package)",
		    "%s, which stores them, cannot be used: %s", library_name, dlerror());
}

static int load(void)
{
	void *library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return load_failed();
	for (size_t i = 0; i < sizeof(functions) / sizeof(*functions); i++) {
		*functions[i].function = dlsym(library, functions[i].name);
		if (!*functions[i].function)
			return load_failed();
	}
	return 0;
}

int libarchive_load(void)
{
	static bool tried;
	static int error;

	if (!tried)
		error = load();
	tried = true;
	return error;
}
