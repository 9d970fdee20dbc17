"""A command on a pseudo-terminal, whose screen is interpreted by pyte: what a person would see of it."""

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager

import pyte

LIMIT = 30.0
"""Seconds that a person has patience."""


class Terminal:
    """The other end of a terminal, with the process that lives on it."""

    def __init__(self, folder, words, size, environ):
        self._master, self._slave = pty.openpty()
        self.resize(*size, tell=False)
        self.mode = termios.tcgetattr(self._slave)
        self.raw = b""
        self._screen = pyte.Screen(*size)
        self._stream = pyte.Stream(self._screen)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._end = time.monotonic() + LIMIT
        self.process = subprocess.Popen(
            [sys.executable, "-m", "terzetto", *words],
            cwd=folder, env={**os.environ, "TERM": "xterm-256color", **environ},
            stdin=self._slave, stdout=self._slave, stderr=self._slave, start_new_session=True,
        )  # fmt: skip

    @property
    def lines(self):
        return [line.rstrip() for line in self._screen.display]

    @property
    def colours(self):
        """All that are on the screen."""
        return {char.fg for line in self._screen.buffer.values() for char in line.values()} | {
            char.bg for line in self._screen.buffer.values() for char in line.values()
        }

    @property
    def modes_now(self):
        return termios.tcgetattr(self._slave)

    def type(self, text):
        os.write(self._master, text.encode())

    def resize(self, columns, lines, *, tell=True):
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        if tell:
            self._screen.resize(lines, columns)
            self.process.send_signal(signal.SIGWINCH)  # it is no session leader of this terminal

    def read(self, seconds=0.05):
        """Take what has come; False when nothing did."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        data = os.read(self._master, 65536)
        self.raw += data
        self._stream.feed(self._decoder.decode(data))
        return True

    def until(self, *texts):
        """Wait until all of these are on the screen; the lines of it."""
        return self.when(lambda: all(any(text in line for line in self.lines) for text in texts), texts)

    def when(self, true, why=""):
        while not true():
            over = self.process.poll() is not None
            if not self.read() and (over or time.monotonic() > self._end) and not true():
                raise AssertionError(f"{why} never came:\n" + "\n".join(self.lines))
        return self.lines

    def end(self):
        """The exit code, once the process is over."""
        self.when(lambda: self.process.poll() is not None, "the end")
        while self.read(0):
            pass
        return self.process.returncode

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)


@contextmanager
def terminal(folder, *words, size=(80, 24), **environ):
    made = Terminal(folder, words, size, environ)
    try:
        yield made
    finally:
        made.close()
