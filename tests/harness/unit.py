# SPDX-License-Identifier: GPL-2.0-or-later
"""meson's tests (unit tests and fuzzers), each counted like any other."""

import json
import os
import subprocess

SKIPPED = 77


class Unit:
    mode = "unit"
    alone = False

    def __init__(self, settings, about):
        self.about = about
        self.name = about["name"].replace(" ", "_")
        self.timeout = about["timeout"] * 4
        self.base = os.path.join(settings.work, f"unit.{self.name}")

    def run(self):
        done = subprocess.run(self.about["cmd"], capture_output=True, text=True,
                              cwd=self.about["workdir"], env={**os.environ, **self.about["env"]})
        if done.returncode == SKIPPED:
            return "SKIP", done.stdout.strip()
        if done.returncode:
            return "FAIL", f"exit code {done.returncode}\n{done.stdout}{done.stderr}"[-5000:]
        return "PASS", ""

    def leftovers(self):
        return ""


def collect(settings):
    text = subprocess.run(["meson", "introspect", "--tests", settings.unit_build],
                          capture_output=True, text=True, check=True).stdout
    return [Unit(settings, about) for about in json.loads(text)]
