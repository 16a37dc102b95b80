# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands and their options do, seen from outside."""

import json
import os
import re
import signal
import subprocess
import time

from .program import Failure, make_directory
from .torture import Worker, await_nothing


def expect(condition, text):
    if not condition:
        raise Failure(text)


class Command:
    mode = "command"
    alone = False
    timeout = 300

    def __init__(self, settings, function):
        self.settings = settings
        self.function = function
        self.name = function.__name__
        self.base = os.path.join(settings.work, f"command.{self.name}")

    def run(self):
        app = Worker(self.settings.stasis, make_directory(os.path.join(self.base, "work")))
        app.program = os.path.join(self.settings.build, "tests", "torture", "worker")
        try:
            self.function(app)
        except Failure as failure:
            return "FAIL", f"{failure}" + self.leftovers()
        return "PASS", ""

    def leftovers(self):
        return f"\n(files: {self.base})" if self.settings.keep else ""


def _state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def _parent(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def leave_stopped(app):
    app.launch(app.program)
    code, text = app.try_dump(["--leave-stopped"])
    expect(code == 0, f"dump ended with {code}: {text}")
    pids = [int(line.split()[0]) for line in app.living() if not line.endswith(" Z")]
    expect(len(pids) >= 3, f"left are only {app.living()}")
    for pid in pids:
        expect(_state(pid) == "T", f"process {pid} is in state {_state(pid)}, not stopped")
    before = app.counters()
    time.sleep(0.05)
    expect(app.counters() == before, "it goes on though it should be stopped")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    app.await_progress("SIGCONT")
    app.finish()


def restore_waits(app):
    """Without --restore-detached, restore ends with the application."""
    app.launch(app.program)
    app.dump()
    app.status = None
    app.reap = lambda: False  # restore is our child, and waited for below
    with open(os.path.join(app.base, "restore.out"), "w") as out:
        restore = subprocess.Popen([app.stasis, "restore", "-D", app.images, "-o", "r.log"],
                                   stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    app.await_progress("restore")
    expect(restore.poll() is None, "restore did not wait for the application")
    expect(_parent(app.pid) == restore.pid, "the application is not restore's child")
    os.kill(app.pid, signal.SIGTERM)
    expect(restore.wait(60) == 0, f"restore ended with {restore.returncode}")
    del app.reap
    await_nothing(app, "the end of the application")


def restore_sibling(app):
    """The root becomes a child of whoever called stasis."""
    app.launch(app.program)
    app.dump()
    caller = subprocess.Popen(
        ["/bin/sh", "-c", '"$0" restore -D "$1" -o restore.log -d --restore-sibling; sleep 60',
         app.stasis, app.images], stdin=subprocess.DEVNULL)
    app.status = None
    app.await_progress("restore")
    expect(_parent(app.pid) == caller.pid,
           f"the parent is {_parent(app.pid)} instead of {caller.pid}")
    app.kill()


def pidfile(app):
    app.launch(app.program)
    app.dump()
    app.status = None
    work = make_directory(os.path.join(app.base, "elsewhere"))
    code, text = app.run("restore", "-D", app.images, "-W", work, "-d", "--pidfile", "pid")
    expect(code == 0, f"restore ended with {code}: {text}")
    with open(os.path.join(work, "pid")) as file:
        expect(file.read().strip() == str(app.pid), "the pid file has another number")
    app.await_progress("restore")
    app.finish()


SCRIPT = """#!/bin/sh
echo "$CRTOOLS_SCRIPT_ACTION $CRTOOLS_IMAGE_DIR $CRTOOLS_INIT_PID" >> {log}
test "$CRTOOLS_SCRIPT_ACTION" != "{failing}"
"""


def _script(app, failing=""):
    path = os.path.join(app.base, "script")
    log = os.path.join(app.base, "script.log")
    with open(path, "w") as file:
        file.write(SCRIPT.format(log=log, failing=failing))
    os.chmod(path, 0o755)
    open(log, "w").close()
    return ["--action-script", path], log


def _actions(log):
    with open(log) as file:
        return [line.split() for line in file]


def action_scripts(app):
    app.launch(app.program)
    options, log = _script(app, failing="post-dump")
    code, text = app.try_dump(options)
    expect(code == 1, f"a dump whose script fails ended with {code}: {text}")
    expect(not app.complete(), "a dump whose script failed left a checkpoint")
    app.await_progress("a script that failed")

    options, log = _script(app)
    app.dump(options)
    stages = [line[0] for line in _actions(log)]
    expect(stages[0] == "pre-dump" and stages[-1] == "post-dump", f"stages of dump: {stages}")
    expect(os.path.realpath(_actions(log)[0][1]) == os.path.realpath(app.images),
           f"image directory: {_actions(log)[0]}")

    options, log = _script(app, failing="post-restore")
    code, _ = app.run("restore", "-D", app.images, "-o", "restore.log", "-d", *options)
    expect(code == 1, f"a restore whose script fails ended with {code}")
    await_nothing(app, "a restore whose script failed")

    options, log = _script(app)
    app.restore(options)
    lines = _actions(log)
    stages = [line[0] for line in lines]
    wanted = ["pre-restore", "post-restore", "pre-resume", "post-resume"]
    expect([stage for stage in stages if stage in wanted] == wanted, f"stages: {stages}")
    pids = {line[0]: line[2:] for line in lines}
    expect(pids["post-restore"] == [str(app.pid)], f"pid told to post-restore: {pids}")
    app.await_progress("restore")
    app.finish()


def check_tree(app):
    """check -t answers as dump would, and changes nothing."""
    app.launch(app.program)
    code, text = app.run("check", "-t", str(app.pid))
    expect(code == 0, f"check -t ended with {code}: {text}")
    app.await_progress("check -t")
    app.kill()
    listener = "import socket, time; s = socket.socket(); s.listen(); time.sleep(100)"
    app.start(["python3", "-c", listener])
    for _ in range(1000):
        code, text = app.run("check", "-t", str(app.pid))
        if code:
            break
        time.sleep(0.01)
    expect(code == 1 and "socket" in text and f"pid {app.pid}" in text,
           f"check -t of a socket ended with {code}: {text}")
    expect(os.path.exists(f"/proc/{app.pid}") and _state(app.pid) in "SRD", "it was harmed")
    app.kill()


def check_kernel(app):
    code, text = app.run("check")
    expect(code == 0 and text.rstrip().splitlines()[-1] == "Looks good.", f"check: {code} {text}")
    code_unknown, text = app.run("check", "--feature", "no-such-feature")
    expect(code_unknown == 1 and "no-such-feature" in text, f"an unknown feature: {text}")


def show(app):
    app.launch(app.program)
    app.dump(running=True)
    code, text = app.run("show", app.images)
    expect(code == 0 and str(app.pid) in text and "worker" in text, f"show: {code} {text}")
    code, text = app.run("show", app.images, "--json")
    expect(code == 0, f"show --json: {code} {text}")
    json.loads(text)
    for name in os.listdir(app.images):
        if name.endswith(".img") and not name.startswith("pages-") or name.startswith("stats-"):
            code, text = app.run("show", "--raw", os.path.join(app.images, name))
            expect(code == 0, f"show --raw {name}: {code} {text}")
            expect("magic" in json.loads(text), f"show --raw {name}: {text[:100]}")
    app.finish()


def statistics(app):
    app.launch(app.program)
    begun = time.monotonic()
    app.dump()
    seconds = time.monotonic() - begun
    code, text = app.run("show", "--raw", f"{app.images}/stats-dump")
    expect(code == 0, text)
    dump = json.loads(text)["entries"][0]["dump"]
    for field in ("freezing_time", "frozen_time", "memdump_time", "memwrite_time",
                  "pages_scanned", "pages_written"):
        expect(int(dump.get(field, 0)) > 0, f"{field} is not there or 0: {dump}")
    expect(int(dump["frozen_time"]) < seconds * 1e6, f"it was frozen for longer than the dump: {dump}")
    size = sum(os.path.getsize(os.path.join(app.images, name)) for name in os.listdir(app.images)
               if name.startswith("pages-"))
    stored = int(dump["pages_written"]) + int(dump.get("shpages_written", 0))
    expect(stored * 4096 == size, f"{stored} pages written, but {size} bytes of pages")
    app.restore()
    code, text = app.run("show", "--raw", f"{app.images}/stats-restore")
    expect(code == 0, text)
    restore = json.loads(text)["entries"][0]["restore"]
    for field in ("forking_time", "restore_time", "pages_restored"):
        expect(int(restore.get(field, 0)) > 0, f"{field} is not there or 0: {restore}")
    app.finish()


def logs_and_configuration(app):
    app.launch(app.program)
    work = make_directory(os.path.join(app.base, "logs"))
    config = os.path.join(app.base, "config")
    with open(config, "w") as file:
        file.write("# as CRIU's\nleave-running\nlog-file from-config.log\nverbosity 4\n")
    images = app.new_images()
    code, text = app.run("dump", "-t", str(app.pid), "-D", images, "-W", work, "--config", config)
    expect(code == 0, f"dump with a configuration ended with {code}: {text}")
    app.await_progress("a dump with leave-running in its configuration")
    with open(os.path.join(work, "from-config.log")) as log:
        lines = log.read().splitlines()
    wrong = [line for line in lines if not re.match(r"\(\d\d\.\d{6}\) ", line)]
    expect(lines and not wrong, f"log lines without a time: {wrong[:3]}")
    code, text = app.run("dump", "-t", "999999", "-D", images, "-o", "err.log", "-W", work)
    expect(code == 1 and "999999" in text, f"a dump of nothing: {code} {text}")
    with open(os.path.join(work, "err.log")) as log:
        expect(re.search(r"^\(\d\d\.\d{6}\) Error \([^:]+:\d+\): ", log.read(), re.M),
               "the log has no line of an error")
    app.finish()


def wrong_use(app):
    """Errors are said in words, with exit code 1, and do no harm."""
    app.launch(app.program)
    pid = str(app.pid)
    empty = make_directory(os.path.join(app.base, "empty"))
    app.dump(running=True)
    for words, command in {
        "--no-such-option": ["dump", "--no-such-option"],
        "leave-running": ["dump", "-t", pid, "-D", empty, "--leave-runing"],
        "no-such-directory": ["dump", "-t", pid, "-D", "/no-such-directory"],
        "inventory": ["restore", "-D", empty],
        "tcp": ["dump", "-t", pid, "-D", empty, "--tcp-established"],
        "no-such-command": ["no-such-command"],
        f"pid {pid}": ["restore", "-D", app.images],  # it still runs
    }.items():
        code, text = app.run(*command)
        expect(code == 1, f"{command} ended with {code}: {text}")
        expect(words in text, f"{command} does not name '{words}': {text}")
        app.await_progress(" ".join(command))
    expect(not [name for name in os.listdir(empty) if name.endswith(".img")],
           f"failed commands left {os.listdir(empty)}")
    app.finish()


def called_as_criu(app):
    criu = os.path.join(app.base, "criu")
    os.symlink(app.stasis, criu)
    text = subprocess.run([criu, "--version"], capture_output=True, text=True).stdout
    expect(text.startswith("Version: 4.3"), f"criu --version: {text}")
    text = subprocess.run([app.stasis, "--version"], capture_output=True, text=True).stdout
    expect("stasis" in text, f"stasis --version: {text}")


def same_directory(app):
    """A dump into a directory with a checkpoint in it replaces that as a whole, or fails."""
    app.launch(app.program)
    app.dump(running=True)
    code, text = app.run("dump", "-t", str(app.pid), "-D", app.images, "-o", "dump.log")
    expect(code == 0, f"a second dump into the same directory ended with {code}: {text}")
    app.reap()
    app.restore()
    app.await_progress("restore")
    app.finish()


TESTS = [leave_stopped, restore_waits, restore_sibling, pidfile, action_scripts,
         check_tree, check_kernel, show, statistics, logs_and_configuration, wrong_use,
         called_as_criu, same_directory]


def collect(settings):
    return [Command(settings, function) for function in TESTS]
