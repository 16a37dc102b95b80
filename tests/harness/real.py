# SPDX-License-Identifier: GPL-2.0-or-later
"""Real programs: tests/real/*, each run twice, once undisturbed and once dumped and restored.

A program works in the current directory and writes what it has found to the file `output`, which
must come out the same, with the same exit code.
"""

import os
import random
import re
import time

from .program import Application, Failure, make_directory

INTERPRETERS = {".sh": "bash", ".py": "python3", ".pl": "perl"}
ROUNDS = 4
ATTEMPTS = 4


class Real:
    mode = "real"
    alone = False
    timeout = 300

    def __init__(self, settings, path):
        self.settings = settings
        self.path = path
        self.name, extension = os.path.splitext(os.path.basename(path))
        self.interpreter = INTERPRETERS[extension]
        self.base = os.path.join(settings.work, f"real.{self.name}")

    def run(self):
        random.seed(self.settings.seed)
        begun = time.monotonic()
        app = self._start("undisturbed")
        expected = app.wait(200), self._output(app)
        seconds = time.monotonic() - begun
        if expected[0] or not expected[1]:
            return "FAIL", f"undisturbed it ended with {expected[0]}"
        for attempt in range(ATTEMPTS):
            begun = time.monotonic()
            app = self._start(f"work.{attempt}")
            try:
                rounds = self._disturb(app, seconds)
                got = app.wait(200), self._output(app)
            except Failure as failure:
                return "FAIL", f"{failure}" + self.leftovers()
            if got != expected:
                return "FAIL", f"after {rounds} checkpoints: {got} instead of {expected}"
            app.kill()
            if rounds:
                return "PASS", f"{rounds} checkpoints"
            # The machine was busier while it was timed than it is now.
            seconds = min(seconds / 2, time.monotonic() - begun)
        return "FAIL", f"it ended before it could be dumped, after {seconds:.2f} s"

    def _disturb(self, app, seconds):
        """Dumps and restores at moments all over the time the program took."""
        moments = sorted(random.uniform(0.05, 0.9) for _ in range(ROUNDS))
        before = rounds = 0
        for moment in moments:
            time.sleep((moment - before) * seconds)
            before = moment
            if app.reap():
                break
            app.dump(self._dump_options())
            app.restore()
            rounds += 1
        return rounds

    def _dump_options(self):
        """Further options are in the program, in a comment `# dump: OPTIONS`."""
        with open(self.path) as file:
            found = re.search("^# dump: (.*)$", file.read(), re.M)
        return found[1].split() if found else []

    def _start(self, directory):
        app = Application(self.settings.stasis, make_directory(os.path.join(self.base, directory)))
        app.start([self.interpreter, self.path])
        return app

    @staticmethod
    def _output(app):
        try:
            with open(os.path.join(app.work, "output"), errors="replace") as file:
                return file.read()
        except OSError as error:
            return str(error)

    def leftovers(self):
        return f"\n(files: {self.base})" if self.settings.keep else ""


def collect(settings):
    directory = os.path.join(settings.source, "tests", "real")
    for name in sorted(os.listdir(directory)):
        if os.path.splitext(name)[1] in INTERPRETERS:
            yield Real(settings, os.path.join(directory, name))
