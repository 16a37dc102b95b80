# SPDX-License-Identifier: GPL-2.0-or-later
"""A pool of processes: semaphores and queues in shared memory, a manager of nothing but pipes."""
import multiprocessing
import time

context = multiprocessing.get_context("fork")


def compute(number):
    time.sleep(0.004)
    return sum(i * i for i in range(number % 5000))


def count(counter, barrier, lock, queue):
    barrier.wait()
    for i in range(300):
        with counter.get_lock():
            counter.value += 1
        if i % 3 == 0:
            with lock:
                queue.put(i)
        time.sleep(0.002)


if __name__ == "__main__":
    counter = context.Value("q", 0)
    barrier = context.Barrier(3)
    lock = context.Lock()
    queue = context.SimpleQueue()
    counters = [context.Process(target=count, args=(counter, barrier, lock, queue))
                for _ in range(3)]
    for process in counters:
        process.start()
    with context.Pool(3) as pool:
        results = pool.map(compute, range(800), chunksize=10)
    items = [queue.get() for _ in range(300)]
    for process in counters:
        process.join()
    with open("output", "w") as output:
        print(sum(results), counter.value, sum(items), [p.exitcode for p in counters],
              file=output)
