# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls of stasis itself fail, one in each run, by strace's fault injection.

A dump that fails leaves the application running and no checkpoint, a restore that fails leaves no
process; both say why.  A failure that stasis can do without is none.
"""

import collections
import os
import random
import shutil

from .program import Failure, Snapshot, words_of_log
from .torture import Torture, await_nothing

# Calls that cannot fail, that only tell the time, or whose failure nobody can do anything about.
PASSED_OVER = {"brk", "clock_gettime", "close", "exit", "exit_group", "futex", "getegid", "geteuid",
               "getpid", "munmap", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "setitimer",
               "write"}
ERRORS = {"mmap": "ENOMEM", "wait4": "ECHILD", "openat": "EMFILE",
          "process_vm_readv": "EFAULT", "process_vm_writev": "EFAULT"}
if "ASAN_OPTIONS" in os.environ:
    PASSED_OVER.add("mmap")  # the sanitizer's own, which ends the program without it
MOST_EACH, MOST = 4, 100


def _strace(app, options, command, *arguments):
    """stasis under strace, which follows none of its children; (exit code, what it printed)."""
    program = app.stasis
    app.stasis = "strace"
    try:
        return app.run("-o", f"{app.base}/trace", *options, program, command, *arguments,
                       timeout=100)
    finally:
        app.stasis = program


def _choose(app, images):
    """Calls to fail, as (name, how manieth), from a trace of a run in which none did."""
    count, ours = collections.Counter(), {}
    begun = False
    with open(f"{app.base}/trace", errors="replace") as trace:
        for line in trace:
            name = line.partition("(")[0]
            count[name] += 1
            begun = begun or images in line and name == "openat"
            if begun and name.isidentifier() and name not in PASSED_OVER:
                ours.setdefault(name, []).append(count[name])
    chosen = []
    for name, places in ours.items():
        some = {places[0], places[-1], *random.sample(places, min(len(places), MOST_EACH - 2))}
        chosen += [(name, place) for place in sorted(some)]
    random.shuffle(chosen)
    return chosen[:MOST]


def _inject(app, name, place, *command):
    """Runs a command in which that call fails; (exit code, what it printed, in words)."""
    error = ERRORS.get(name, "EIO")
    what = f"a {command[0]} whose {name} number {place} fails with {error}"
    try:
        code, text = _strace(app, ["-e", f"trace={name}", "-e",
                                   f"inject={name}:error={error}:when={place}"], *command)
    except Failure as failure:
        raise Failure(f"{what}: {failure}") from None
    if code not in (0, 1):
        raise Failure(f"{what} ended with {code}:\n{text}")
    if code and not text.strip():
        raise Failure(f"{what} failed without a word")
    return code, text, what


def fault_dump(test, app, program):
    app.launch(program)
    images = app.new_images()
    dump = ["dump", "-t", str(app.pid), "-o", "dump.log", "-D"]
    if _strace(app, [], *dump, images, "--leave-running")[0]:
        raise Failure(f"a dump under strace failed: {words_of_log(images + '/dump.log')}")
    results = collections.Counter()
    for name, place in _choose(app, images):
        app.drop_images()
        code, text, what = _inject(app, name, place, *dump, app.new_images())
        results[code] += 1
        if code and app.complete():
            raise Failure(f"{what} failed and left an inventory.img:\n{text}")
        if code == 0:
            app.reap()
            app.restore()
        app.await_progress(f"{what}\n{text}")
    app.finish()
    return f"{results[1]} failed, {results[0]} worked"


def fault_restore(test, app, program):
    app.launch(program)
    app.dump()
    files = Snapshot(app.work)
    restore = ["restore", "-d", "-o", "restore.log", "-D", app.images]
    app.status = None
    if _strace(app, [], *restore)[0]:
        raise Failure(f"a restore under strace failed: {words_of_log(app.images + '/restore.log')}")
    app.await_progress("a restore under strace")
    app.kill()
    results = collections.Counter()
    for name, place in _choose(app, app.images):
        files.put_back()
        app.status = None
        code, text, what = _inject(app, name, place, *restore)
        results[code] += 1
        if code:
            await_nothing(app, f"{what}\n{text}")
        else:
            app.await_progress(f"{what}\n{text}")
            app.kill()
    files.put_back()
    app.status = None
    app.restore()
    app.await_progress("the last restore")
    app.finish()
    return f"{results[1]} failed, {results[0]} worked"


def collect(settings):
    if shutil.which("strace"):
        for function in (fault_dump, fault_restore):
            yield Torture(settings, function.__name__, function)
