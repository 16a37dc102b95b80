#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# usage: crit.sh DIR
#
# Decodes every image of a checkpoint with crit (Debian: package criu), the tool CRIU's users look
# into images with, and fails, naming them, if it cannot read one.  What is no image of messages
# (pages, archives, logs) is passed over by its magic number.
dir=${1:?usage: crit.sh DIR}
command -v crit >/dev/null || { echo "crit.sh: crit is not installed (package criu)" >&2; exit 2; }
test -f "$dir/inventory.img" || { echo "crit.sh: $dir is not a checkpoint" >&2; exit 1; }

# Python starts once for all images: crit itself takes one at a time.
exec /usr/bin/python3 - "$dir" <<'PYTHON'
import os
import struct
import sys

import pycriu

COMMON, SERVICE = 0x54564319, 0x55105940
INVENTORY = 0x58313116
failed = decoded = 0
for name in sorted(os.listdir(sys.argv[1])):
    path = os.path.join(sys.argv[1], name)
    if not os.path.isfile(path):
        continue
    with open(path, "rb") as image:
        head = image.read(4)
        if len(head) < 4 or struct.unpack("<I", head)[0] not in (COMMON, SERVICE, INVENTORY):
            if name.endswith(".img") and not name.startswith(("pages-", "tmpfs-dev-")):
                print(f"crit.sh: {name}: has no magic number", file=sys.stderr)
                failed += 1
            continue
        image.seek(0)
        try:
            pycriu.images.load(image, pretty=True)
            assert image.read() == b"", "not read to its end"
            decoded += 1
        except Exception as error:
            print(f"crit.sh: {name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed += 1
print(f"{decoded} images decoded, {failed} failed")
sys.exit(1 if failed or not decoded else 0)
PYTHON
