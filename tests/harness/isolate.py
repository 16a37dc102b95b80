# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs tests in parallel, each in namespaces of its own.

A test is a function that runs as process 1 of a new pid namespace, with private mounts, its own
/proc and its own IPC objects: ids of processes are free to be taken again, and whatever a test
leaves behind dies with it.  stasis runs in the same namespaces as the application it works on.
"""

import contextlib
import ctypes
import json
import os
import selectors
import signal
import time
import traceback

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x08000000, 0x20000000
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def _libc(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def _die_with_parent():
    _libc("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _first_process(test, result_fd):
    """Process 1 of the test: runs it and writes its outcome as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    started = time.monotonic()
    try:
        _libc("mount", b"none", b"/", None, MS_REC_PRIVATE, None)
        _libc("mount", b"proc", b"/proc", b"proc", 0, None)
        outcome, text = test.run()
    except Exception:  # whatever went wrong is this test's result
        outcome, text = "FAIL", traceback.format_exc()
    answer = {"outcome": outcome, "text": text, "seconds": time.monotonic() - started}
    with os.fdopen(result_fd, "w") as result:
        json.dump(answer, result)


def _start(test):
    """Returns (process to kill, descriptor its outcome comes from)."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid:
        os.close(send)
        return pid, receive
    code = 1
    try:
        _die_with_parent()
        os.close(receive)
        os.setsid()
        _libc("unshare", CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC)
        first = os.fork()
        if first == 0:
            _die_with_parent()
            _first_process(test, send)
            os._exit(0)
        os.close(send)
        os.waitpid(first, 0)
        code = 0
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(code)


def run_all(tests, jobs, report):
    """Runs the tests, at most `jobs` at a time; calls report(test, outcome, text, seconds).

    A test has run(), name, mode, timeout (seconds) and alone (nothing else runs beside it).
    """
    waiting = list(reversed(tests))
    running = {}
    with selectors.DefaultSelector() as selector:
        try:
            while waiting or running:
                while waiting and len(running) < jobs and \
                        not (running and (waiting[-1].alone or
                                          any(job["test"].alone for job in running.values()))):
                    test = waiting.pop()
                    pid, fd = _start(test)
                    running[fd] = {"test": test, "pid": pid, "data": b"",
                                   "end": time.monotonic() + test.timeout}
                    selector.register(fd, selectors.EVENT_READ)
                for key, _ in selector.select(0.5):
                    fd = key.fd
                    data = os.read(fd, 65536)
                    if data:
                        running[fd]["data"] += data
                        continue
                    selector.unregister(fd)
                    _finish(running.pop(fd), fd, report)
                for job in running.values():
                    if time.monotonic() > job["end"]:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(job["pid"], signal.SIGKILL)
        finally:
            for fd, job in running.items():
                os.kill(job["pid"], signal.SIGKILL)
                os.waitpid(job["pid"], 0)
                os.close(fd)


def _finish(job, fd, report):
    os.close(fd)
    os.waitpid(job["pid"], 0)
    test = job["test"]
    try:
        answer = json.loads(job["data"])
    except ValueError:
        answer = {"outcome": "FAIL", "seconds": test.timeout,
                  "text": f"no result within {test.timeout} s" + test.leftovers()}
    report(test, answer["outcome"], answer["text"], answer["seconds"])
