/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "cli/mounts/view.h"

/* Another mount on the same parent, at `length` bytes of this one's mountpoint; or NULL. */
static const struct mount *sibling_at(const struct hash *places, const struct mount *mount,
				      size_t length)
{
	uint64_t key = hash_mix((uintptr_t)mount->parent, hash_bytes(mount->mountpoint, length));
	const struct mount *sibling = hash_get(places, key);

	return sibling && sibling->parent == mount->parent &&
			       strncmp(sibling->mountpoint, mount->mountpoint, length) == 0 &&
			       !sibling->mountpoint[length]
		       ? sibling
		       : NULL;
}

/* Does a sibling hide the way to it? */
static bool is_below_sibling(const struct hash *places, const struct mount *mount)
{
	const char *place = mount->mountpoint;

	if (*place && sibling_at(places, mount, 0))
		return true;
	for (const char *slash = place; (slash = strchr(slash, '/')); slash++)
		if (sibling_at(places, mount, slash - place))
			return true;
	return false;
}

void mounts_find_covered(struct mounts_view *view)
{
	struct hash places = {0};

	array_each (&view->graph->trees, tree)
		array_each (&(*tree)->mounts, item) {
			const struct mount *mount = *item;
			uint64_t place = hash_bytes(mount->mountpoint, strlen(mount->mountpoint));

			hash_put(&places, hash_mix((uintptr_t)mount->parent, place), *item);
		}
	array_each (&view->graph->trees, tree)
		array_each (&(*tree)->mounts, item) {
			struct mount *mount = *item, *first = NULL;

			if (mount->child_count)
				first = mount->children[0];
			if ((first && !*first->mountpoint) ||
			    (mount->parent && *mount->mountpoint &&
			     mounts_is_covered(view, mount->parent)) ||
			    is_below_sibling(&places, mount))
				hash_put(&view->covered, (uintptr_t)mount, mount);
		}
	hash_free(&places);
}
