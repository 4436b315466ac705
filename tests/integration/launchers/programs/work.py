"""User code that the launcher's tests run."""

import asyncio
import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from freehold.sdk.context import current_function_call_id, current_input_id, is_local

HERE = Path(__file__).parent


def echo(x, y=1):
    return x, y


async def aecho(x):
    await asyncio.sleep(0.001)
    return x


def fails(kind="value"):
    if kind == "exit":
        sys.exit(3)
    if kind == "unpicklable":
        return threading.Lock()
    raise ValueError(f"no {kind}")


def forks(ending):
    """How a child ends that leaves the function by itself."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if ending == "raise":
        raise ValueError("in the child")
    return sys.exit(3) if ending == "exit" else None


def pools(numbers):
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, numbers)


def generate(n):
    yield from range(n)


async def agenerate(n):
    for k in range(n):
        await asyncio.sleep(0)
        yield k


def sneaky():
    return (k for k in range(3))


def where():
    return {
        "call": current_function_call_id(), "input": current_input_id(), "local": is_local(), "cwd": os.getcwd(),
        "main_thread": threading.current_thread() is threading.main_thread(), "file": __file__, "home": os.environ["HOME"],
    }  # fmt: skip


async def slow(seconds):
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        print("was cancelled")
        raise
    return "done"


def sleep(seconds):
    time.sleep(seconds)
    return threading.get_ident()


DAEMON = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""


def haunt(pid_file, seconds=600.0):
    """Leave a plain child and a double-forked daemon behind."""
    subprocess.Popen(["sleep", "601.25"])
    subprocess.run([sys.executable, "-c", DAEMON, pid_file], check=True)
    time.sleep(seconds)


def talk():
    print("one line")
    print("partial", end="")
    print(" joined")
    sys.stderr.write("to stderr\n")
    sys.stdout.write("10%\r20%\rdone\n")
    os.system("echo raw line")
    logging.getLogger("my.logger").warning("structured %s", "event", extra={"step": 3})
    print("no newline", end="")


def batch(xs, ys):
    return [(x + y, len(xs)) for x, y in zip(xs, ys, strict=True)]


def eat_memory(mib):
    blob = bytearray(mib << 20)
    blob[::4096] = b"x" * len(blob[::4096])
    return len(blob)


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return Path(path).read_text()


def sees(path):
    return os.path.exists(path)


def run(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def children():
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return "no child"
