# SPDX-License-Identifier: GPL-2.0-or-later
"""Mount tables as processes see them, written so that equal tables give equal text.

Nothing of stasis is used here: this is what stasis is measured with.
"""

import os
import re

from .isolate import libc

SYS_SETNS, CLONE_NEWNS = 308, 0x20000


def _unescape(text):
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


class Mount:
    def __init__(self, line):
        fields = line.split(" ")
        end = fields.index("-")
        self.id, self.parent = int(fields[0]), int(fields[1])
        self.device, self.root = fields[2], fields[3]
        self.point = fields[4]
        self.flags = fields[5]
        self.tags = dict(tag.partition(":")[::2] for tag in fields[6:end])
        self.tags.pop("propagate_from", None)  # follows from the masters
        self.type, self.source = fields[end + 1], fields[end + 2]
        self.options = fields[end + 3] if len(fields) > end + 3 else ""
        self.children = []


def _lines(file):
    return [Mount(line.rstrip("\n")) for line in file]


def read(pid):
    """The mounts that a process sees: those below its root."""
    with open(f"/proc/{pid}/mountinfo", errors="surrogateescape") as file:
        return _lines(file)


def read_namespace(pid):
    """The mounts that one sees who enters its namespace: those below what is uppermost at "/"."""
    proc = os.open("/proc", os.O_PATH)
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        if libc.syscall(SYS_SETNS, namespace, CLONE_NEWNS) == 0:
            table = os.open("self/mountinfo", os.O_RDONLY, dir_fd=proc)
            while data := os.read(table, 1 << 16):
                os.write(send, data)
        os._exit(0)
    for fd in (proc, namespace, send):
        os.close(fd)
    with os.fdopen(receive, errors="surrogateescape") as file:
        mounts = _lines(file)
    os.waitpid(child, 0)
    return mounts


def _numbered(numbers, key):
    return numbers.setdefault(key, len(numbers) + 1)


def _walk(mounts):
    """Parents before children, siblings by mountpoint."""
    known = {mount.id: mount for mount in mounts}
    roots = []
    for mount in mounts:
        parent = known.get(mount.parent)
        (parent.children if parent and parent is not mount else roots).append(mount)
    waiting = sorted(roots, key=lambda mount: mount.point, reverse=True)
    depth = {mount.id: 0 for mount in roots}
    while waiting:
        mount = waiting.pop()
        yield depth[mount.id], mount
        for child in sorted(mount.children, key=lambda mount: mount.point, reverse=True):
            depth[child.id] = depth[mount.id] + 1
            waiting.append(child)


VIEWS = (("", read), (" entered", read_namespace))


def canonical(pids):
    """The tables of several processes as lines of text; what is shared between them counts too."""
    devices, groups = {}, {}
    lines = []
    tables = [(f"{number}{kind}", get(pid)) for kind, get in VIEWS
              for number, pid in enumerate(pids)]
    for number, table in tables:
        for depth, mount in _walk(table):
            tags = "".join(f" {name}:{_numbered(groups, value)}" if value else f" {name}"
                           for name, value in sorted(mount.tags.items()))
            lines.append(f"{number} {'  ' * depth}{mount.point} {mount.type}"
                         f" #{_numbered(devices, mount.device)} {mount.root} {mount.flags}{tags}"
                         f" {mount.source} {mount.options}")
    return lines
