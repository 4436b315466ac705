import os
import threading
import time

threading.Thread(target=time.sleep, args=(10**6,), daemon=True).start()


def spin():
    while True:
        pass


def children():
    try:
        return os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return "no child"
