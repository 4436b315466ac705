"""The command line at a terminal of its own."""

import os
import pty
import select
import subprocess
import termios
import time

from tests.e2e.harness import Freehold


class Terminal:
    """A command at a terminal of its own, as somebody would work with it."""

    def __init__(self, server: Freehold, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (31, 97))
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            server.command(*words), env=server.env, stdin=theirs, stdout=theirs, stderr=theirs, cwd=server.programs
        )
        self._theirs, self.shown = theirs, ""

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 30
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self._ours], [], [], 0.1)[0]:
                self.shown += os.read(self._ours, 4096).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> int:
        code = self.process.wait(30)
        assert termios.tcgetattr(self._theirs) == self.before
        os.close(self._theirs)
        os.close(self._ours)
        return code
