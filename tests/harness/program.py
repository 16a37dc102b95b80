# SPDX-License-Identifier: GPL-2.0-or-later
"""stasis as a tool in the hands of a test, and the application it works on."""

import contextlib
import ctypes
import errno
import fcntl
import os
import pty
import re
import shutil
import signal
import subprocess
import termios
import time


CLONE_NEWNS, CLONE_NEWPID = 0x20000, 0x20000000


class Failure(Exception):
    """A test failed; the text says why."""


def words_of_log(path):
    """The errors in a log of stasis, and its last lines when there are none."""
    try:
        with open(path, errors="replace") as log:
            lines = log.read().splitlines()
    except OSError as error:
        return f"(no log: {error})"
    errors = [line for line in lines if "Error (" in line]
    return "\n".join(errors[:20] or lines[-5:])


def terminal():
    """Makes the caller the leader of a session with a terminal; returns (master, slave)."""
    with contextlib.suppress(PermissionError):
        os.setsid()
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    return master, slave


@contextlib.contextmanager
def pid_namespace():
    """The first process that is started here is process 1 of a new pid namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWPID) < 0:
        raise Failure(f"unshare: {os.strerror(ctypes.get_errno())}")
    try:
        yield
    finally:
        with open("/proc/self/ns/pid") as own:
            libc.setns(own.fileno(), CLONE_NEWPID)


def mount_proc():
    """Between fork and exec: gives the new process a mount namespace with a /proc of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) < 0 or libc.mount(b"proc", b"/proc", b"proc", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "a mount namespace")


class Application:
    """A program in a directory of its own that is started, dumped and brought back."""

    def __init__(self, stasis, work, slave=None, pid_namespace=False,
                 contained=False):
        self.stasis = stasis
        self.work = work  # the application's working directory
        self.base = os.path.dirname(work)  # logs and images
        self.slave = slave  # its terminal, or None: a session of its own
        self.pid_namespace = pid_namespace or contained  # it is process 1 of one of its own
        self.contained = contained  # and has a mount namespace with a /proc
        self.pid = None
        self.status = None  # wait status of the root process
        self.images = None
        self.dumps = 0

    def start(self, command, **options):
        stream = self.slave if self.slave is not None else subprocess.DEVNULL
        # A job of the terminal has a process group, everything else a session of its own.
        prepare = {"preexec_fn": self._take_terminal} if self.slave is not None \
            else {"start_new_session": True}
        if self.contained:
            prepare["preexec_fn"] = mount_proc
        with pid_namespace() if self.pid_namespace else contextlib.nullcontext():
            process = subprocess.Popen(command, cwd=self.work, stdin=stream, stdout=stream,
                                       stderr=stream, **prepare, **options)
        self.pid = process.pid
        process.returncode = 0  # it is waited for here, by reap()

    def _take_terminal(self):
        """In the new process: makes it the terminal's foreground job."""
        os.setpgrp()
        os.tcsetpgrp(self.slave, os.getpid())  # SIGTTOU is ignored, see terminal()
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)

    def reap(self):
        """Collects every child that has ended; True when the root process is among them."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                self.status = status
        return self.status is not None

    def wait(self, seconds):
        """Waits for the end of the root process; its exit code, or minus its signal."""
        end = time.monotonic() + seconds
        while not self.reap():
            if time.monotonic() > end:
                raise Failure(f"the application did not end within {seconds} s: {self.where()}")
            time.sleep(0.002)
        return os.waitstatus_to_exitcode(self.status)

    def where(self):
        """What the root process is doing, for a person who looks for the reason of a hang."""
        lines = []
        for name in ("wchan", "syscall", "stat"):
            with contextlib.suppress(OSError):
                with open(f"/proc/{self.pid}/{name}") as file:
                    lines.append(f"{name}={file.read().strip()[:120]}")
        return " ".join(lines)

    def run(self, command, *arguments, log=None, timeout=100):
        """Runs one command of stasis; (exit code, what it printed)."""
        line = [self.stasis, command, *arguments]
        stream = self.slave if self.slave is not None else subprocess.DEVNULL
        output = os.path.join(self.base, f"{command}.out")
        with open(output, "w") as file:
            try:
                done = subprocess.run(line, stdin=stream, stdout=file, stderr=file,
                                      timeout=timeout, cwd=self.base)
            except subprocess.TimeoutExpired:
                raise Failure(f"stasis {command} did not end within {timeout} s; log:\n"
                              + (words_of_log(log) if log else "")) from None
        with open(output, errors="replace") as file:
            text = file.read()
        if "runtime error:" in text or "Sanitizer" in text:
            raise Failure(f"stasis {command}:\n{text}")
        return done.returncode, text

    def new_images(self):
        self.dumps += 1
        self.images = os.path.join(self.base, f"images.{self.dumps}")
        os.mkdir(self.images)
        return self.images

    def try_dump(self, options=()):
        images = self.new_images()
        return self.run("dump", "-t", str(self.pid), "-D", images, "-o", "dump.log", "-v4",
                        *options, log=f"{images}/dump.log")

    def dump(self, options=(), running=False):
        code, text = self.try_dump([*options, *(["--leave-running"] if running else [])])
        if code:
            raise Failure(f"dump ended with {code}:\n{text}"
                          f"log:\n{words_of_log(self.images + '/dump.log')}")
        if not os.path.exists(f"{self.images}/inventory.img"):
            raise Failure("dump said it worked but there is no inventory.img")
        if running:
            return
        self.reap()
        left = self.living()
        if left:
            raise Failure(f"dump worked but processes are left: {left}")

    def restore(self, options=()):
        pidfile = f"{self.images}/restored.pid"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(pidfile)
        self.status = None
        code, text = self.run("restore", "-D", self.images, "-o", "restore.log", "-v4", "-d",
                              "--pidfile", pidfile, *options,
                              log=f"{self.images}/restore.log")
        if code:
            raise Failure(f"restore ended with {code}:\n{text}"
                          f"log:\n{words_of_log(self.images + '/restore.log')}")
        with open(pidfile) as file:
            pid = int(file.read())
        if self.pid_namespace:
            self.pid = pid  # inside, it is 1 again
        if pid != self.pid:
            raise Failure(f"restored as process {pid} instead of {self.pid}")
        if self.slave is not None:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(self.slave, os.getpgid(self.pid))

    def living(self):
        """Every process of this namespace but the test itself, zombies included."""
        self_pid = os.getpid()
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != self_pid:
                with contextlib.suppress(OSError):
                    with open(f"/proc/{name}/stat") as file:
                        fields = re.match(r"\d+ \((.*)\) (\S)", file.read(), re.S)
                    found.append(f"{name} ({fields[1]}) {fields[2]}")
        return found

    def kill(self):
        """Kills everything of this namespace but the test itself, and waits for it."""
        self_pid = os.getpid()
        for _ in range(5000):
            left = [int(entry.split()[0]) for entry in self.living()]
            if not left:
                return
            for pid in left:
                if pid != self_pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            self.reap()
            time.sleep(0.001)
        raise Failure(f"processes cannot be killed: {self.living()}")


class Snapshot:
    """Contents and links of the regular files of a directory, to be put back in place.

    A checkpoint does not hold files that have names; what an application wrote after its dump
    has to be undone before it can be brought back a second time.
    """

    def __init__(self, directory):
        self.directory = directory
        self.files = {}  # path: inode
        self.contents = {}  # inode: bytes
        for path in self._paths():
            self.files[path] = os.stat(path).st_ino
            with open(path, "rb") as file:
                self.contents[self.files[path]] = file.read()

    def _paths(self):
        for folder, _, names in os.walk(self.directory):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    yield path

    def put_back(self):
        present = {os.stat(path).st_ino: path for path in self._paths()}
        for path, inode in self.files.items():
            if os.path.exists(path):
                continue
            if inode in present:  # another name of it is still there
                os.link(present[inode], path)
            else:
                open(path, "x").close()
        for path in list(self._paths()):
            if path not in self.files:
                os.unlink(path)
                continue
            with open(path, "r+b") as file:
                content = self.contents[self.files[path]]
                if file.read() != content:
                    file.seek(0)
                    file.truncate()
                    file.write(content)


def make_directory(path):
    shutil.rmtree(path, ignore_errors=True)
    try:
        os.makedirs(path)
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    return path
