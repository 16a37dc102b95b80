# SPDX-License-Identifier: GPL-2.0-or-later
"""An interactive shell with job control on a pseudo terminal, typed to by a program."""
import os
import pty
import re

pid, master = pty.fork()
if not pid:
    os.environ["PS1"] = "> "
    os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
text = b""
total = 0
for i in range(150):
    os.write(master, b"sleep 0.005; echo answer=$((%d * 7))=\n" % i)
    while not (found := re.search(rb"answer=(\d+)=", text)):
        text += os.read(master, 4096)
    total += int(found[1])
    text = text[found.end():]
os.write(master, b"tty >/dev/null && echo at-$? && jobs && exit 7\n")
while not (found := re.search(rb"at-(\d+)", text)):
    text += os.read(master, 4096)
with open("output", "w") as output:
    print(total, found[1], os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=output)
