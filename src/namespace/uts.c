/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The names of the host: utsns-ID.img. */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "checkpoint/checkpoint.h"
#include "image/image.h"
#include "images/utsns.pb-c.h"
#include "namespace/internal.h"

/*
 * sethostname(2) takes any bytes, and none at all; the images have a string.  The rest of a uts
 * namespace (release, version, machine) is the kernel's.
 */
static int describe(struct checkpoint *checkpoint, struct namespace *namespace)
{
	UtsnsEntry *entry = ARENA_MESSAGE(checkpoint->arena, utsns_entry, UtsnsEntry);
	struct utsname names;

	if (uname(&names) < 0)
		return FAIL(errno, namespace_subject(namespace), NULL, "cannot be read: %s",
			    strerror(errno));
	entry->nodename = arena_strdup(checkpoint->arena, names.nodename);
	entry->domainname = arena_strdup(checkpoint->arena, names.domainname);
	namespace->state = entry;
	return 0;
}

static int write_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	return image_write_one(checkpoint->images, IMAGE_UTSNS, namespace->id, namespace->state);
}

static int read_image(struct checkpoint *checkpoint, struct namespace *namespace)
{
	return namespace_read_one(checkpoint, namespace, IMAGE_UTSNS, &namespace->state);
}

static int make(struct checkpoint *checkpoint, struct namespace *namespace)
{
	const UtsnsEntry *entry = namespace->state;

	if (sethostname(entry->nodename, strlen(entry->nodename)) < 0 ||
	    setdomainname(entry->domainname, strlen(entry->domainname)) < 0)
		return FAIL(errno, namespace_subject(namespace),
			    errno == EINVAL ? "the checkpoint is damaged: dump again" : NULL,
			    "cannot be given its names: %s", strerror(errno));
	return 0;
}

const struct namespace_content uts_content = {
	.describe = describe,
	.write = write_image,
	.read = read_image,
	.make = make,
};
