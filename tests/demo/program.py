# SPDX-License-Identifier: GPL-2.0-or-later
"""The program of the demonstration: it counts, in as many ways as it can.

Three threads count in memory, a timer counts by signal, a child counts what it is sent through a
pipe, in memory that both share; lines go to a log and to a file that has no name any more.
"""

import mmap
import os
import signal
import struct
import threading
import time

THREADS = 3
counts = [0] * THREADS
ticks = 0
shared = mmap.mmap(-1, mmap.PAGESIZE)  # shared anonymous memory


def count_in_thread(number):
    while True:
        counts[number] += 1
        time.sleep(0.05)


def on_timer(_signal, _frame):
    global ticks
    ticks += 1


def child(requests):
    while os.read(requests, 1):
        (total,) = struct.unpack_from("Q", shared)
        struct.pack_into("Q", shared, 0, total + 1)
    os._exit(0)


def main():
    receive, send = os.pipe()
    if os.fork() == 0:
        os.close(send)
        child(receive)
    os.close(receive)

    nameless = open("nameless", "w+")
    os.unlink("nameless")

    for number in range(THREADS):
        threading.Thread(target=count_in_thread, args=(number,), daemon=True).start()
    signal.signal(signal.SIGALRM, on_timer)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)

    number = 0
    while True:
        number += 1
        os.write(send, b"x")
        nameless.write(f"{number}\n")
        nameless.flush()
        (answered,) = struct.unpack_from("Q", shared)
        lines = sum(1 for _ in open(f"/proc/self/fd/{nameless.fileno()}"))
        print(f"count {number:3}: threads {counts}, timer {ticks}, answered by the child "
              f"{answered}, lines in the file without a name {lines}", flush=True)
        time.sleep(0.5)


main()
