"""Puts and gets while the server is killed; notes what was acknowledged, until stdin ends."""

import json
import queue
import sys
import threading
from pathlib import Path

import freehold

folder = Path(sys.argv[1])
items = freehold.Queue.from_name("stored", create_if_missing=True).hydrate()
values = freehold.Dict.from_name("stored", create_if_missing=True).hydrate()
ended, drained = threading.Event(), threading.Event()
lock = threading.Lock()


def note(file, *entries):
    with lock, (folder / file).open("a") as out:
        out.writelines(json.dumps(entry) + "\n" for entry in entries)


def putter(me):
    n = 0
    while not ended.is_set():
        n += 1
        batch = [[me, n, i] for i in range(1 + n % 3)]
        try:
            items.put_many(batch)
        except freehold.exception.ConnectionError:  # whether they are there nobody knows
            note("unsure", *batch)
            continue
        note("put", *batch)


def getter():
    while True:
        try:
            note("got", *items.get_many(3, timeout=1))
        except queue.Empty:
            if drained.is_set():
                return


def writer():
    n = 0
    while not ended.is_set():
        n += 1
        values[f"k{n}"] = n
        note("written", [f"k{n}", n])


threads = [threading.Thread(target=putter, args=(me,)) for me in range(2)] + [threading.Thread(target=writer)]
getters = [threading.Thread(target=getter) for _ in range(3)]
for thread in [*threads, *getters]:
    thread.start()
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
drained.set()
for thread in getters:
    thread.join()
note("read", *map(list, values.items()))
