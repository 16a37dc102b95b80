# SPDX-License-Identifier: GPL-2.0-or-later
"""Scenarios: tests/scenario/NAME.c in every mode."""

import os
import re
import signal
import subprocess
import time

from .program import Application, Failure, Snapshot, make_directory, terminal, words_of_log

# "contained": as the first process of a container, dumped and restored twice.
MODES = ["once", "twice", "running", "again"]
SKIPPED = 77



class Scenario:
    alone = False
    timeout = 300

    def __init__(self, settings, program, about, mode):
        self.settings = settings
        self.program = program
        self.name = os.path.basename(program)
        self.about = about
        self.mode = mode
        self.base = os.path.join(settings.work, f"{self.name}.{mode}")

    # In process 1 of the test's namespaces.
    def run(self):
        work = make_directory(os.path.join(self.base, "work"))
        slave = terminal()[1] if "terminal" in self.about else None
        app = Application(self.settings.stasis, work, slave,
                          pid_namespace="pid_namespace" in self.about,
                          contained=self.mode == "contained")
        app.start([self.program])
        try:
            if not self._ready(app):
                return "SKIP", self._words().removeprefix("SKIP ")
            getattr(self, f"_mode_{self.mode}")(app)
        except Failure as failure:
            return "FAIL", f"{failure}\n{self._words()}".rstrip() + self.leftovers()
        return "PASS", ""

    def leftovers(self):
        return f"\n(files: {self.base})" if self.settings.keep else ""

    def _words(self):
        try:
            with open(os.path.join(self.base, "work", "result"), errors="replace") as file:
                return file.read().rstrip()
        except OSError:
            return ""

    def _ready(self, app):
        """Waits until the state is made; False: it cannot be made here."""
        ready = os.path.join(app.work, "ready")
        end = time.monotonic() + 60
        while not os.path.exists(ready) or not os.path.getsize(ready):
            if app.reap():
                code = os.waitstatus_to_exitcode(app.status)
                if code == SKIPPED:
                    return False
                raise Failure(f"the scenario ended with {code} before its state was made")
            if time.monotonic() > end:
                raise Failure("the scenario's state was not made within 60 s")
            time.sleep(0.002)
        return True

    def _verify(self, app, which):
        try:
            os.kill(app.pid, signal.SIGTERM)
        except ProcessLookupError:
            app.reap()
            raise Failure(f"{which}: the application is gone, wait status {app.status}") from None
        try:
            code = app.wait(100)
        except Failure as failure:
            raise Failure(f"{which}: {failure}") from None
        if code:
            if code == -signal.SIGSEGV:
                code = "SIGSEGV"
            raise Failure(f"{which}: the application ended with {code}")
        app.kill()

    def _dump(self, app, running=False):
        app.dump(self.about.get("dump", "").split(), running)
        size = sum(entry.stat().st_size for entry in os.scandir(app.images)
                   if entry.name.endswith(".img"))
        if size > int(self.about.get("images_limit", size)):
            raise Failure(f"the images take {size} bytes, more than "
                          f"{self.about['images_limit']}")
        if self.settings.crit and self.mode == "once":
            done = subprocess.run([self.settings.crit, app.images], capture_output=True,
                                  text=True, timeout=100)
            if done.returncode:
                raise Failure(f"crit cannot read the images:\n{done.stdout}{done.stderr}")

    def _restore(self, app):
        app.restore(self.about.get("restore", "").split())

    def _mode_none(self, app):
        self._verify(app, "without a checkpoint")

    def _mode_once(self, app):
        self._dump(app)
        self._restore(app)
        self._verify(app, "restored")

    def _mode_twice(self, app):
        for _ in range(2):
            self._dump(app)
            self._restore(app)
        self._verify(app, "restored twice")

    _mode_contained = _mode_twice

    def _mode_running(self, app):
        self._dump(app, running=True)
        files = Snapshot(app.work)
        self._verify(app, "the original")
        files.put_back()
        self._restore(app)
        self._verify(app, "the copy")

    def _mode_again(self, app):
        self._dump(app)
        files = Snapshot(app.work)
        self._restore(app)
        self._verify(app, "restored")
        files.put_back()
        self._restore(app)
        self._verify(app, "restored again")

    def _mode_refuse(self, app):
        code, text = app.try_dump(self.about.get("dump", "").split())
        if code == 0:
            raise Failure("dump worked but should have refused")
        log = words_of_log(app.images + "/dump.log")
        if code != 1:
            raise Failure(f"dump ended with {code} instead of 1:\n{text}{log}")
        for words in self.about["refused"]:
            if not re.search(words, text, re.I):
                raise Failure(f"'{words}' is not in the answer:\n{text}log:\n{log}")
        if os.path.exists(f"{app.images}/inventory.img"):
            raise Failure("a dump that was refused left an inventory.img")
        self._verify(app, "after the refusal")


def _describe(program):
    about = {"refused": []}
    text = subprocess.run([program, "--describe"], capture_output=True, text=True, check=True)
    for line in text.stdout.splitlines():
        key, _, value = line.partition(": ")
        if key == "refused":
            about["refused"].append(value)
        else:
            about[key] = value
    return about


def collect(settings):
    directory = os.path.join(settings.build, "tests", "scenario")
    for name in sorted(os.listdir(directory) if os.path.isdir(directory) else []):
        program = os.path.join(directory, name)
        if not os.path.isfile(program) or not os.access(program, os.X_OK):
            continue
        about = _describe(program)
        modes = about.get("modes", " ".join(MODES)).split()
        if settings.mode == ["none"]:
            modes = ["none"]
        elif settings.mode == ["contained"]:
            modes = [] if "refuse" in modes or "terminal" in about else ["contained"]
        for mode in modes:
            yield Scenario(settings, program, about, mode)
