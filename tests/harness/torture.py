# SPDX-License-Identifier: GPL-2.0-or-later
"""What must hold when things go wrong: killed commands, full disks, damaged images.

The application is tests/torture/worker.c, which checks itself all the time and shows by counters
that each of its threads goes on.
"""

import mmap
import os
import random
import shutil
import signal
import struct
import subprocess
import time

from .isolate import libc
from .program import Application, Failure, Snapshot, make_directory, words_of_log

PROCESSES, ACTIVITIES, ROW = 3, 11, 16


class Worker(Application):
    def launch(self, program, *arguments):
        self.start([program, *arguments])
        self.await_progress("the start")

    def words(self):
        path = os.path.join(self.work, "progress")
        if not os.path.exists(path) or os.path.getsize(path) < 4096:
            return [0] * 512
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ) as map_:
            return struct.unpack("512Q", map_[:])

    def interrupted(self):
        """How many calls ended with EINTR for no other reason than a stop; see worker.c."""
        return self.words()[-1]

    def counters(self):
        values = self.words()
        return [values[process * ROW + activity]
                for process in range(PROCESSES) for activity in range(ACTIVITIES)]

    def errors(self):
        try:
            with open(os.path.join(self.work, "errors")) as file:
                return file.read()
        except OSError:
            return ""

    def await_progress(self, after, seconds=60):
        """Every activity has to go on by two rounds."""
        before = self.counters()
        end = time.monotonic() + seconds
        while True:
            if self.errors():
                raise Failure(f"after {after}: the application found: {self.errors()}")
            now = self.counters()
            stuck = [i for i in range(len(now)) if now[i] < before[i] + 2]
            if not stuck:
                return
            if self.reap():
                raise Failure(f"after {after}: the application ended, wait status {self.status}")
            if time.monotonic() > end:
                where = [f"process {i // ACTIVITIES} activity {i % ACTIVITIES}" for i in stuck]
                raise Failure(f"after {after}: no progress in {', '.join(where[:6])}: "
                              f"{self.living()}")
            time.sleep(0.003)

    def finish(self):
        os.kill(self.pid, signal.SIGTERM)
        code = self.wait(60)
        if code or self.errors():
            raise Failure(f"the application ended with {code}: {self.errors()}")

    def complete(self):
        return os.path.exists(os.path.join(self.images, "inventory.img"))

    def drop_images(self):
        shutil.rmtree(self.images, ignore_errors=True)

    def kill_command(self, delay, group, *command):
        """Starts stasis and kills it after so many seconds; its exit code, None when killed."""
        with open(os.path.join(self.base, "killed.out"), "w") as out:
            process = subprocess.Popen([self.stasis, *command], stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=out, start_new_session=True)
        try:
            return process.wait(delay)
        except subprocess.TimeoutExpired:
            if group:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
            return None


class Torture:
    mode = "torture"
    alone = False
    timeout = 500

    def __init__(self, settings, name, function):
        self.settings = settings
        self.name = name
        self.function = function
        self.base = os.path.join(settings.work, f"torture.{name}")
        self.seed = settings.seed

    def run(self):
        random.seed(self.seed)
        app = Worker(self.settings.stasis, make_directory(os.path.join(self.base, "work")))
        program = os.path.join(self.settings.build, "tests", "torture", "worker")
        try:
            return "PASS", self.function(self, app, program) or ""
        except Failure as failure:
            return "FAIL", f"{failure}\n(seed {self.seed})"

    def leftovers(self):
        return f" (files: {self.base})" if self.settings.keep else ""


def _dump_seconds(app):
    """How long a dump takes, and a restore, as the shortest of three."""
    shortest = [60.0, 60.0]
    for _ in range(3):
        begun = time.monotonic()
        app.dump()
        middle = time.monotonic()
        app.restore()
        shortest[0] = min(shortest[0], middle - begun)
        shortest[1] = min(shortest[1], time.monotonic() - middle)
        app.await_progress("a dump and a restore")
        app.drop_images()
    return shortest


def _settle(app, seconds=60):
    """After a killed dump: whether the application runs, or all of it is gone.

    A guardian that stasis has left behind may only now come to its work.
    """
    end = time.monotonic() + seconds
    before = None
    while time.monotonic() < end:
        app.reap()
        living = app.living()
        if not living:
            return "gone"
        if before is None and not any("(stasis" in process for process in living):
            before = app.counters()
        if before and all(now >= then + 2 for now, then in zip(app.counters(), before)):
            return "running"
        time.sleep(0.002)
    raise Failure(f"it is neither running nor gone: {app.living()}")


def _kill_dumps(test, app, program, group):
    app.launch(program)
    seconds, _ = _dump_seconds(app)
    if app.interrupted():
        raise Failure(f"dumps that were not killed interrupted {app.interrupted()} system calls")
    killed = finished = 0
    for i in range(test.settings.kills):
        running = ["--leave-running"] if i % 4 else []
        delay = random.uniform(0, seconds * 1.3)
        images = app.new_images()
        code = app.kill_command(delay, group, "dump", "-t", str(app.pid), "-D", images,
                                "-o", "dump.log", *running)
        what = f"a dump {'and its group ' if group else ''}killed after {delay * 1000:.2f} ms " \
               f"(kill {i}{', leave-running' if running else ''})"
        killed, finished = killed + (code is None), finished + (code == 0)
        if code not in (None, 0):
            raise Failure(f"{what} ended with {code}: {words_of_log(images + '/dump.log')}")
        # What was to be killed may be gone, if the checkpoint is complete.
        if not running and app.complete():
            if _settle(app) == "gone":
                app.restore()
                what += ", and the restore"
            app.status = None
        app.await_progress(what)
        app.drop_images()
    app.dump()
    app.restore()
    app.await_progress("the last restore")
    app.finish()
    return f"{killed} killed, {finished} had finished, {app.interrupted()} calls interrupted"


def kill_dump(test, app, program):
    return _kill_dumps(test, app, program, False)


def kill_dump_group(test, app, program):
    return _kill_dumps(test, app, program, True)


def many_dumps(test, app, program):
    """Dumps with --leave-running, one after the other: nobody may notice any of them."""
    app.launch(program)
    for i in range(test.settings.kills):
        app.dump(running=True)
        app.drop_images()
        if i % 8 == 0:
            app.await_progress(f"dump {i}")
        if app.errors():
            raise Failure(f"after dump {i}: the application found: {app.errors()}")
        if app.interrupted():
            raise Failure(f"dump {i} interrupted {app.interrupted()} system calls")
    app.dump()
    app.restore()
    app.await_progress("the restore")
    app.finish()


def await_nothing(app, what, seconds=60):
    end = time.monotonic() + seconds
    while app.living():
        app.reap()
        if time.monotonic() > end:
            raise Failure(f"after {what}: processes are left: {app.living()}")
        time.sleep(0.002)


def _runs(app):
    """After a killed restore: whether the application goes on; False when it dies or is dead."""
    time.sleep(0.02)  # those who shall die do
    if app.reap() or not app.living():
        return False
    try:
        app.await_progress("a killed restore")
    except Failure:
        if app.status is None:
            raise
    return app.status is None


def _kill_restores(test, app, program, group):
    app.launch(program)
    _, seconds = _dump_seconds(app)
    app.dump()
    killed = finished = 0
    files = Snapshot(app.work)
    for i in range(test.settings.kills):
        delay = random.uniform(0, seconds * 1.3)
        app.status = None
        code = app.kill_command(delay, group, "restore", "-D", app.images, "-o", "restore.log",
                                "-d")
        what = f"a restore killed after {delay * 1000:.2f} ms (kill {i})"
        killed, finished = killed + (code is None), finished + (code == 0)
        if code not in (None, 0):
            raise Failure(f"{what} ended with {code}: "
                          f"{words_of_log(app.images + '/restore.log')}")
        # Either all of it was let go before the kill, or nothing is left of it soon.
        if code == 0:
            app.await_progress(what)
        if _runs(app):
            app.kill()
        else:
            await_nothing(app, what)
        files.put_back()
    app.restore()
    app.await_progress("the last restore")
    app.finish()
    return f"{killed} killed, {finished} had finished"


def kill_restore(test, app, program):
    return _kill_restores(test, app, program, False)


def disk_full(test, app, program):
    """Images on file systems that are too small, by a little and by much."""
    app.launch(program, "3", "8")
    app.dump(running=True)
    needed = sum(entry.stat().st_blocks * 512 for entry in os.scandir(app.images))
    app.drop_images()
    refused = 0
    for share in (0.02, 0.1, 0.3, 0.6, 0.9, 0.97):
        images = app.new_images()
        size = int(needed * share) // 4096 * 4096
        if libc.mount(b"none", images.encode(), b"tmpfs", 0, f"size={size}".encode()) < 0:
            raise Failure("a small tmpfs cannot be mounted")
        code, text = app.run("dump", "-t", str(app.pid), "-D", images, "-W", app.base,
                             "-o", "dump.log")
        what = f"a dump into {size} bytes of {needed}"
        if code == 0:
            raise Failure(f"{what} worked")
        if code < 0:
            raise Failure(f"{what} died of signal {-code}")
        if app.complete():
            raise Failure(f"{what} left an inventory.img")
        if "space" not in text:
            raise Failure(f"{what} does not say that there is no space:\n{text}")
        app.await_progress(what)
        refused += 1
        libc.umount(images.encode())
    app.dump()
    app.restore()
    app.await_progress("the last restore")
    app.finish()
    return f"{refused} dumps refused"


def _damage(directory):
    """Changes one file of a checkpoint at random; says what it did."""
    names = sorted(name for name in os.listdir(directory)
                   if name.endswith(".img") and os.path.getsize(os.path.join(directory, name)))
    # The page images are large and nearly anything is right in them.
    name = random.choice([n for n in names if not n.startswith("pages-")] or names)
    path = os.path.join(directory, name)
    with open(path, "rb") as file:
        data = bytearray(file.read())
    how = random.randrange(5)
    at = random.randrange(len(data))
    if how == 0:
        data = data[:at]
        text = f"cut at {at}"
    elif how == 1:
        os.unlink(path)
        return f"{name} removed"
    elif how == 2:
        data[at:at + 4] = random.randbytes(4)
        text = f"4 bytes at {at}"
    elif how == 3:
        data += random.randbytes(random.randrange(1, 64))
        text = "longer"
    else:
        data[at] ^= 1 << random.randrange(8)
        text = f"a bit at {at}"
    with open(path, "wb") as file:
        file.write(data)
    return f"{name} {text}"


def damaged_images(test, app, program):
    """Restores of damaged images end with an error, or work; they neither crash nor hang."""
    app.launch(program)
    app.dump()
    files = Snapshot(app.work)
    good = app.images
    results = {0: 0, 1: 0}
    for i in range(test.settings.kills):
        app.images = f"{good}.damaged"
        shutil.rmtree(app.images, ignore_errors=True)
        shutil.copytree(good, app.images, copy_function=_link_or_copy)
        what = _damage(app.images)
        app.status = None
        try:
            code, text = app.run("restore", "-D", app.images, "-o", "restore.log", "-d",
                                 log=f"{app.images}/restore.log")
        except Failure as failure:
            raise Failure(f"with {what}: {failure}") from None
        if code not in (0, 1):
            raise Failure(f"restore with {what} ended with {code}:\n{text}")
        if code and not text.strip():
            raise Failure(f"restore with {what} failed without a word")
        if code == 0:
            app.kill()
        else:
            await_nothing(app, f"a restore with {what} that failed")
        files.put_back()
        results[code] += 1
    return f"{results[1]} refused, {results[0]} worked"


def _link_or_copy(source, target):
    """Large files are never changed: they need no copy."""
    if os.path.basename(source).startswith("pages-"):
        os.link(source, target)
    else:
        shutil.copyfile(source, target)


TESTS = [many_dumps, kill_dump, kill_dump_group, kill_restore, disk_full, damaged_images]


def collect(settings):
    for function in TESTS:
        yield Torture(settings, function.__name__, function)
