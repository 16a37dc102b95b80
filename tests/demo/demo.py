#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make demo: a real program is frozen, stored, shown and brought back."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time


def say(text):
    print(f"\n\033[1m# {text}\033[0m" if sys.stdout.isatty() else f"\n# {text}", flush=True)


def show(*arguments):
    """Shows a command, runs it and shows what it prints."""
    print("$", " ".join(arguments), flush=True)
    if subprocess.run(arguments).returncode:
        sys.exit("demo: the command failed")


def log_lines(path):
    with open(path) as log:
        return log.read().splitlines()


def wait_for_lines(path, count):
    deadline = time.monotonic() + 30
    while len(log_lines(path)) < count:
        if time.monotonic() > deadline:
            sys.exit(f"demo: the program does not count on; its log is {path}")
        time.sleep(0.05)


def exists(pid):
    return os.path.exists(f"/proc/{pid}")


def run(stasis, place):
    images, log = os.path.join(place, "images"), os.path.join(place, "log")
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "program.py")
    os.mkdir(images)

    say("A program with threads, a timer, shared memory, a child and a file without a name:")
    with open(log, "w") as output:
        process = subprocess.Popen(["/usr/bin/python3", program], cwd=place, stdout=output,
                                   stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
    pid = process.pid
    wait_for_lines(log, 4)
    print("\n".join(log_lines(log)))

    say("Freeze it, store all of it, end it:")
    show(stasis, "dump", "-t", str(pid), "-D", images)
    process.wait()
    before = log_lines(log)
    time.sleep(1)
    print(f"process {pid} is", "still there!" if exists(pid) else "gone",
          f"and its last line was\n{before[-1]}")

    say("What is in the checkpoint:")
    show(stasis, "show", images)

    say("Bring it back; it counts on from where it was:")
    show(stasis, "restore", "-D", images, "--restore-detached")
    try:
        wait_for_lines(log, len(before) + 4)
        print("\n".join(log_lines(log)[len(before):]))
        print(f"process {pid} is", "there again" if exists(pid) else "not there!")
    finally:
        os.killpg(pid, signal.SIGKILL)

    last, first = before[-1].split(":")[0], log_lines(log)[len(before)].split(":")[0]
    if int(first.split()[1]) != int(last.split()[1]) + 1:
        sys.exit(f"demo: after '{last}' came '{first}'")
    say(f"After '{last}' came '{first}': nothing was lost.")


def main():
    if os.geteuid():
        sys.exit("demo: run it as root (sudo make demo)")
    os.closerange(3, 65536)  # nothing of the caller's gets into the program
    place = tempfile.mkdtemp(prefix="stasis-demo-")
    try:
        run(os.path.abspath(sys.argv[1]), place)
    finally:
        shutil.rmtree(place)


main()
