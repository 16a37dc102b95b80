# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts from outside: what --external, --root and --skip-mnt do, case by case."""

import os
import subprocess
import time

from .program import Application, Failure, make_directory

# Tried in a directory of its own, {w}; {s} is a mount of the host's in it, which is shared.
# before: in the host's namespace; inside: in that of the application; then the options of a dump
# and of a restore.  refused: words of the dump's answer, or behind "restore: " of the restore's.
# Afterwards the mount table is the same, but: gone, so many mounts are missing; moved, one shows
# something else, as (old, new) ends of its root.
CASES = {
    "external_elsewhere": {
        "before": "mkdir x y m", "inside": "mount --bind x m; mount -o remount,bind,ro m",
        "dump": ["--external", "mnt[{w}/m]:key"], "restore": ["--external", "mnt[key]:{w}/y"],
        "moved": ("/x ", "/y ")},
    "external_map": {
        "before": "mkdir x m", "inside": "mount --bind x m",
        "dump": ["--ext-mount-map", "{w}/m:key"], "restore": ["-M", "key:{w}/x"]},
    "external_file": {
        "before": "touch x m", "inside": "mount --bind x m",
        "dump": ["--external", "mnt[{w}/m]:key"], "restore": ["--external", "mnt[key]:{w}/x"]},
    "external_found": {
        "before": "mkdir x m", "inside": "mount --bind x m",
        "dump": ["--external", "mnt[]:ms"], "restore": ["--external", "mnt[]"]},
    "external_unknown": {
        "before": "mkdir x m", "inside": "mount --bind x m",
        "dump": ["--external", "mnt[/nothing]:key"], "refused": "there are /,"},
    "external_missing": {
        "before": "mkdir x m", "inside": "mount --bind x m",
        "dump": ["--external", "mnt[{w}/m]:key"],
        "refused": "restore: --external mnt[key]:PATH"},
    "external_misspelt": {
        "before": "mkdir x m", "inside": "mount --bind x m",
        "dump": ["--external", "mnt[{w}/m]:key"],
        "restore": ["--external", "mnt[key]:{w}/x", "--external", "mnt[kex]:{w}/x"],
        "refused": "restore: there is key"},
    "external_gone": {
        "before": "mkdir x m", "inside": "mount --bind x m",
        "dump": ["--external", "mnt[{w}/m]:key"], "restore": ["--external", "mnt[key]:{w}/z"],
        "refused": "restore: {w}/z"},
    "external_master": {
        "propagation": "slave",
        "dump": ["--external", "mnt[{s}]:key", "--enable-external-masters"],
        "restore": ["--external", "mnt[key]:{s}"]},
    "external_master_unasked": {
        "propagation": "slave", "dump": ["--external", "mnt[{s}]:key"],
        "refused": "--enable-external-masters"},
    "external_peer": {
        "propagation": "shared",
        "dump": ["--external", "mnt[{s}]:key", "--enable-external-sharing"],
        "restore": ["--external", "mnt[key]:{s}"]},
    "external_peer_unasked": {
        "propagation": "shared", "dump": ["--external", "mnt[{s}]:key"],
        "refused": "--enable-external-sharing"},
    "external_master_private": {
        "before": "mkdir x",
        "propagation": "slave",
        "dump": ["--external", "mnt[{s}]:key", "--enable-external-masters"],
        "restore": ["--external", "mnt[key]:{w}/x"], "refused": "restore: slave of mounts outside"},
    "machine_master": {"propagation": "slave"},
    "machine_peer": {"propagation": "shared"},
    "skip": {
        "before": "mkdir m", "inside": "mount -t tmpfs gone m; mkdir m/a; mount -t tmpfs gone m/a",
        "dump": ["--skip-mnt", "{w}/m"], "gone": 2},
    "skip_in_use": {
        "before": "mkdir m", "inside": "mount -t tmpfs gone m; exec 5>m/file",
        "dump": ["--skip-mnt", "{w}/m"], "refused": "--skip-mnt leaves out"},
    "skip_unknown": {
        "dump": ["--skip-mnt", "/nothing"], "refused": "matches no mount"},
    "root": {
        "before": "mkdir new; mount --bind new new; cd new; mkdir bin lib lib64 usr proc old",
        "inside": "for i in bin lib lib64 usr proc; do mount --bind /$i new/$i; done; cd new;"
                  " pivot_root . old; umount -l /old; cd /",
        "restore": ["--root", "{w}/new"]},
}


def _table(pid):
    """The mount table without numbers."""
    lines = []
    with open(f"/proc/{pid}/mountinfo") as file:
        for line in file:
            own, _, filesystem = line.rstrip("\n").partition(" - ")
            words = own.split()
            tags = [word.split(":")[0] for word in words[6:] if not word.startswith("propagate")]
            lines.append(" ".join(words[3:6] + sorted(tags) + [filesystem]))
    return sorted(lines)


def _name(pid):
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def _shell(script, directory):
    done = subprocess.run(["sh", "-ec", script], cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"{script}: {done.stderr}")


def _differences(before, after):
    return [line for line in before if line not in after], \
           [line for line in after if line not in before]


class External:
    mode = "command"
    alone = False
    timeout = 100

    def __init__(self, settings, name, case):
        self.settings = settings
        self.name = name
        self.case = case
        self.base = os.path.join(settings.work, f"command.{name}")

    def run(self):
        app = Application(self.settings.stasis, make_directory(os.path.join(self.base, "work")))
        self.names = {"w": app.work, "s": os.path.join(app.work, "shared")}
        try:
            self.prepare(app)
            self.take(app)
        except Failure as failure:
            return "FAIL", f"{failure}" + self.leftovers()
        finally:
            subprocess.run(["umount", "-l", self.names["s"]], capture_output=True)
            subprocess.run(["umount", "-l", os.path.join(app.work, "new")], capture_output=True)
        return "PASS", ""

    def leftovers(self):
        return f"\n(files: {self.base})" if self.settings.keep else ""

    def words(self, key):
        return [word.format(**self.names) for word in self.case.get(key, [])]

    def prepare(self, app):
        _shell("mkdir shared; mount --bind shared shared; mount --make-private shared;"
               " mount --make-shared shared; " + self.case.get("before", ""), app.work)
        propagation = self.case.get("propagation", "private")
        app.start(["unshare", "--mount", "--propagation", propagation, "sh", "-ec",
                   f"cd {app.work}; {self.case.get('inside', 'true')}; exec sleep 1000"])
        end = time.monotonic() + 10
        while not app.reap() and _name(app.pid) != "sleep":
            if time.monotonic() > end:
                raise Failure("the application does not start")
            time.sleep(0.005)
        if app.status is not None:
            raise Failure("the application could not make its mounts")

    def is_refused(self, code, text, where):
        """Was this the answer that was wanted?  An answer to something else is a failure."""
        words = self.case.get("refused", "").format(**self.names)
        wanted = words if words and words.startswith("restore: ") == (where == "restore") else ""
        wanted = wanted.removeprefix("restore: ")
        if bool(code) != bool(wanted) or wanted not in text:
            raise Failure(f"{where} ended with {code}, wanted was '{wanted}':\n{text}")
        return bool(wanted)

    def take(self, app):
        before = _table(app.pid)
        code, text = app.try_dump(self.words("dump"))
        if self.is_refused(code, text, "dump"):
            app.reap()
            if app.status is not None:
                raise Failure("the refused dump ended the application")
            os.kill(app.pid, 9)
            return
        app.wait(10)
        host = _table("self")
        code, text = app.run("restore", "-d", "-D", app.images, "-o", "restore.log",
                             *self.words("restore"))
        if self.is_refused(code, text, "restore"):
            if os.path.exists(f"/proc/{app.pid}"):
                raise Failure("the refused restore left a process")
        else:
            self.compare(before, _table(app.pid))
            os.kill(app.pid, 9)
        if _table("self") != host:
            raise Failure(f"the host's mounts are others: {_differences(host, _table('self'))}")

    def compare(self, before, after):
        gone, new = _differences(before, after)
        if "gone" in self.case:
            if len(before) - len(after) != self.case["gone"] or new:
                raise Failure(f"gone are {gone}, new are {new}")
        elif "moved" in self.case:
            if len(gone) != 1 or new != [gone[0].replace(*self.case["moved"], 1)]:
                raise Failure(f"gone are {gone}, new are {new}")
        elif gone or new:
            raise Failure(f"gone are {gone}, new are {new}")


def collect(settings):
    return [External(settings, name, case) for name, case in CASES.items()]
