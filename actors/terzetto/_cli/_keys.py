"""Keys as they are typed, read from a terminal without a thread."""

import os
from collections.abc import Callable
from typing import Final

import trio

from terzetto_protocol.keystrokes import ESCAPE_WAIT, Keystrokes, Typed

_READ: Final = 4096
"""Bytes that are read at once."""


async def read_keys(fd: int, heard: Callable[[Typed], object]) -> None:
    """Tell of each key, until the terminal is gone. A checkpoint; cancelled, no key that was read is lost."""
    strokes = Keystrokes()
    while True:
        with trio.move_on_after(ESCAPE_WAIT if strokes.waiting else float("inf")) as alone:
            await trio.lowlevel.wait_readable(fd)
        if alone.cancelled_caught:
            typed = strokes.flush()
        else:
            data = _read(fd)
            if not data:
                return
            typed = strokes.feed(data)
        for each in typed:
            heard(each)


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _READ)
    except OSError:
        return b""  # the other end of the terminal was closed
