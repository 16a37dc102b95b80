# SPDX-License-Identifier: GPL-2.0-or-later
"""Threads, a queue, a timer with a signal, an open and an unlinked file, a child to talk to."""
import hashlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time

ticks = 0
work = queue.Queue()
done = queue.Queue()


def on_alarm(number, frame):
    global ticks
    ticks += 1


def worker():
    while (item := work.get()) is not None:
        done.put((item, hashlib.sha256(str(item).encode() * 2000).hexdigest()))


signal.signal(signal.SIGALRM, on_alarm)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
threads = [threading.Thread(target=worker) for _ in range(4)]
for thread in threads:
    thread.start()
child = subprocess.Popen([sys.executable, "-c", """
import sys
for line in sys.stdin:
    print(int(line) ** 3, flush=True)
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

nameless = tempfile.TemporaryFile(dir=".")
cubes = []
for i in range(2000):
    work.put(i)
    child.stdin.write(f"{i}\n")
    cubes.append(int(child.stdout.readline()))
    nameless.write(b"%d\n" % i)
    time.sleep(0.0007)
for _ in threads:
    work.put(None)
for thread in threads:
    thread.join()
child.stdin.close()
while ticks < 10:
    time.sleep(0.01)
signal.setitimer(signal.ITIMER_REAL, 0)  # a finished interpreter has no handlers any more
results = sorted(done.get() for _ in range(2000))
nameless.seek(0)
with open("output", "w") as output:
    print(hashlib.sha256(repr(results).encode()).hexdigest(), file=output)
    print(sum(cubes), child.wait(), len(nameless.read()), file=output)
