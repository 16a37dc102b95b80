# SPDX-License-Identifier: GPL-2.0-or-later
"""Random histories of mount operations in several namespaces, dumped, restored and compared.

An operation that the kernel refuses leaves nothing and is no failure.  Whatever the operations
left behind has to come back exactly.
"""

import ctypes
import difflib
import errno
import os
import random
import time
import traceback

from . import mounttree
from .isolate import libc
from .program import Application, Failure, make_directory

SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR, SYS_SETNS = 428, 429, 442, 308
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_NOSYMFOLLOW, MS_NOATIME, MS_NODIRATIME = 256, 1024, 2048
MS_BIND, MS_MOVE, MS_REC, MS_STRICTATIME = 4096, 8192, 16384, 1 << 24
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MNT_DETACH = 2
CLONE_NEWNS = 0x20000
PLACES = ["", "/a", "/b", "/a/c"]
ATTRIBUTES = [MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOSYMFOLLOW, MS_NOATIME,
              MS_NODIRATIME, MS_STRICTATIME]
TMPFS_OPTIONS = ["", "size=1m", "mode=700", "uid=5,gid=6", "nr_inodes=500", "ro"]
MOST_MOUNTS = 120


def _raw(path):
    return path.encode(errors="surrogateescape")


def mount(source, target, kind="none", flags=0, data=""):
    if libc.mount(_raw(source), _raw(target), kind.encode(), ctypes.c_ulong(flags),
                  data.encode()) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {source} {target}: {os.strerror(code)}")


def umount(target, flags=0):
    if libc.umount2(_raw(target), flags) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"umount {target}: {os.strerror(code)}")


def furnish(target):
    """What every new tmpfs has in it."""
    os.makedirs(target + "/a/c", exist_ok=True)
    os.makedirs(target + "/b", exist_ok=True)
    with open(target + "/f", "w") as file:
        file.write(target)


# ---- operations: each takes a History and acts in the namespace it is called in ----


def new_tmpfs(history, place):
    options = random.choice(TMPFS_OPTIONS)
    mount(random.choice(["tmpfs", "none", "a name"]), place, "tmpfs",
          MS_RDONLY if options == "ro" else 0, "" if options == "ro" else options)
    if options != "ro":
        furnish(place)


def bind(history, place):
    mount(history.place(), place, flags=MS_BIND)


def bind_tree(history, place):
    mount(history.place(), place, flags=MS_BIND | MS_REC)


def bind_file(history, place):
    target = os.path.join(place, f"file{random.randrange(1000)}")
    with open(target, "x"):
        pass
    mount(history.mountpoint() + "/f", target, flags=MS_BIND)


def bind_deleted(history, place):
    source = os.path.join(place, f"gone{random.randrange(1000)}")
    os.mkdir(source)
    mount(source, history.place(), flags=MS_BIND)
    os.rmdir(source)


def bind_removed_below(history, place):
    """The root of a bind is in a directory whose name changes afterwards."""
    source = os.path.join(place, f"dir{random.randrange(1000)}")
    os.makedirs(source + "/inner")
    mount(source + "/inner", history.place(), flags=MS_BIND)
    os.rename(source, source + "renamed")


def move(history, place):
    mount(history.not_root(), place, flags=MS_MOVE)


def unmount(history, place):
    umount(history.not_root())


def unmount_lazily(history, place):
    umount(history.not_root(), MNT_DETACH)


def propagation(history, place):
    kind = random.choice([MS_SHARED, MS_SHARED, MS_SHARED, MS_SLAVE, MS_SLAVE, MS_PRIVATE,
                          MS_UNBINDABLE])
    mount("none", history.mountpoint(), flags=kind | random.choice([0, 0, 0, MS_REC]))


def slave_shared(history, place):
    target = history.mountpoint()
    mount("none", target, flags=MS_SLAVE)
    mount("none", target, flags=MS_SHARED)


def attributes(history, place):
    flags = 0
    for flag in random.sample(ATTRIBUTES, random.randrange(4)):
        flags |= flag
    mount("none", history.mountpoint(), flags=MS_REMOUNT | MS_BIND | flags)


def over_root(history, place):
    mount("tmpfs", "/", "tmpfs", 0, "size=1m")


OPERATIONS = [(new_tmpfs, 5), (bind, 8), (bind_tree, 2), (bind_file, 2), (bind_deleted, 2),
              (bind_removed_below, 1), (move, 3), (unmount, 1), (unmount_lazily, 1),
              (propagation, 8), (slave_shared, 3), (attributes, 3), (over_root, 0.1)]


# docs/mounts.md: what is refused, and why.
DOCUMENTED = ["its contents cannot be reached through the mount at",
              "it is on a mount that was unmounted or never attached"]


class Refused(Exception):
    """The dump was refused for a reason that is documented."""


class History:
    """One application with its namespaces."""

    def __init__(self, app, pids, base):
        self.app = app
        self.base = base  # a directory of its own, when nothing is mounted any more
        self.pids = pids
        self.points = []
        self.log = []

    def is_own(self, point):
        """Where operations are tried: what is of the machine in a copy of its table is not touched."""
        return point == self.base or point.startswith(self.base.rstrip("/") + "/")

    def mountpoint(self):
        return random.choice(self.points)

    def not_root(self):
        """A mount that nobody has as his root: that one stays mounted."""
        point = self.mountpoint()
        if point == "/":
            raise OSError(errno.EINVAL, "the root")
        return point

    def place(self):
        """A directory that is there, nearly always."""
        for _ in range(8):
            place = self.mountpoint().rstrip("/") + random.choice(PLACES) or "/"
            if os.path.isdir(place):
                break
        return place

    def step(self):
        """One operation in one namespace, in a process that enters it."""
        number = random.randrange(len(self.pids))
        pid = self.pids[number]
        points = {mounttree._unescape(mount.point) for mount in mounttree.read(pid)
                  if mount.type == "tmpfs"}
        self.points = sorted(filter(self.is_own, points)) or [self.base]
        operations, weights = zip(*OPERATIONS)
        operation = random.choices(operations, weights)[0]
        if len(mounttree.read(pid)) > MOST_MOUNTS and operation in (bind, bind_tree, new_tmpfs):
            operation = unmount_lazily
        seed = random.randrange(1 << 30)
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
        root = os.open(f"/proc/{pid}/root", os.O_PATH)
        child = os.fork()
        if child == 0:
            self._act(namespace, root, operation, seed)
        os.close(namespace)
        os.close(root)
        _, status = os.waitpid(child, 0)
        self.log.append(f"{number} {operation.__name__} {seed} -> {os.waitstatus_to_exitcode(status)}")

    def _act(self, namespace, root, operation, seed):
        code = 99
        try:
            random.seed(seed)
            if libc.syscall(SYS_SETNS, namespace, CLONE_NEWNS) < 0:
                os._exit(98)
            os.fchdir(root)  # paths are those of the process, which may have another root
            os.chroot(".")
            operation(self, self.place())
            code = 0
        except OSError as error:
            code = error.errno if error.errno < 90 else 97
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)


class Histories:
    name = "mount_histories"
    mode = "torture"
    alone = False
    timeout = 900

    def __init__(self, settings):
        self.settings = settings
        self.base = os.path.join(settings.work, "torture.mount_histories")

    def run(self):
        first = self.settings.seed * 100000
        seeds = [self.settings.history] if self.settings.history is not None \
            else range(first, first + self.settings.histories)
        refused = 0
        for seed in seeds:
            try:
                failure = self._history(seed)
            except Refused:
                refused += 1
                continue
            if failure:
                return "FAIL", f"(again with --history {seed}) {failure}"
        if refused > 1 + len(seeds) / 10:
            return "FAIL", f"{refused} of {len(seeds)} histories were refused"
        return "PASS", f"{len(seeds) - refused} histories exact, {refused} refused"

    def _history(self, seed):
        random.seed(seed)
        app = Application(self.settings.stasis,
                          make_directory(os.path.join(self.base, f"{seed}", "work")))
        history = None
        try:
            history = self._make(app)
            for _ in range(self.settings.operations):
                history.step()
            before = mounttree.canonical(history.pids)
            self._dump(app)
            app.restore()
            after = mounttree.canonical(history.pids)
            if before != after:
                raise Failure("\n".join(difflib.unified_diff(before, after, "before", "after",
                                                             lineterm="", n=2)))
        except Failure as failure:
            log = "\n".join(history.log) if history and self.settings.keep else ""
            return f"{failure}\n{log}"
        finally:
            app.kill()
        return None

    @staticmethod
    def _dump(app):
        code, text = app.try_dump()
        if code and any(reason in text for reason in DOCUMENTED):
            raise Refused
        if code:
            raise Failure(f"dump ended with {code}:\n{text}")
        app.reap()

    def _make(self, app):
        count = random.randrange(1, 4)
        kind = random.choice(["tmpfs", "tmpfs", "copy", "chroot"])
        holder = os.path.join(self.settings.build, "tests", "torture", "holder")
        with open(os.path.join(app.base, "holder.err"), "w"):
            pass
        app.start([holder, str(count), kind])
        pids = self._await(app, count)
        if kind == "copy":
            base = make_directory(os.path.join(app.work, "base"))
            namespace = os.open(f"/proc/{app.pid}/ns/mnt", os.O_RDONLY)
            for pid in pids:
                enter(pid, lambda: (mount("base", base, "tmpfs"), furnish(base)))
            os.close(namespace)
        return History(app, pids, os.path.join(app.work, "base") if kind == "copy" else "/")

    def _await(self, app, count):
        """The processes of the holder, when all have their namespaces."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            try:
                with open(f"/proc/{app.pid}/task/{app.pid}/children") as file:
                    pids = [app.pid, *map(int, file.read().split())]
                waits = [open(f"/proc/{pid}/syscall").read().split()[0] == "34" for pid in pids]
            except OSError:
                waits, pids = [], []
            if len(pids) == count and all(waits):
                return pids
            time.sleep(0.002)
        raise Failure(f"the holder did not start: {app.where()}")

    def leftovers(self):
        return f" (files: {self.base})" if self.settings.keep else ""


def enter(pid, function):
    """Runs a function in the mount namespace of a process."""
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if libc.syscall(SYS_SETNS, namespace, CLONE_NEWNS) == 0:
                function()
                code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(namespace)
    if os.waitpid(child, 0)[1]:
        raise Failure("a namespace could not be prepared")


def collect(settings):
    yield Histories(settings)
