/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

#include <protobuf-c/protobuf-c.h>

struct arena;

/* A message of this type with every field set, repeated ones twice; in the arena. */
void *fill_message(struct arena *arena, const ProtobufCMessageDescriptor *type);
