"""The terminal of a screen: keys come one by one and nothing is echoed, until the block is left, whatever happens."""

import os
import sys
import termios
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from ._output import abandon_stdout

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[2J\x1b[H"
"""The other screen, no cursor, pastes in brackets, nothing on it."""
_LEAVE: Final = "\x1b[?2004l\x1b[0m\x1b[?25h\x1b[?1049l"
_INPUT, _LOCAL, _CHARS = 0, 3, 6
"""Places in what `tcgetattr` gives."""


class Terminal:
    """Standard input and output as one terminal."""

    def __init__(self) -> None:
        self.keys: Final = sys.stdin.fileno()
        self._sheet: Final = sys.stdout.fileno()
        self._before: Final[list[Any]] = termios.tcgetattr(self.keys)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines as they are now."""
        with suppress(OSError):
            return os.get_terminal_size(self._sheet)
        return 80, 24

    def enter(self) -> None:
        """Take the terminal over. Not a checkpoint."""
        mode = termios.tcgetattr(self.keys)
        mode[_INPUT] &= ~termios.IXON  # Ctrl-S would hold the screen, and us with it
        mode[_LOCAL] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)  # Ctrl-C and Ctrl-Z stay signals
        mode[_CHARS] = [*mode[_CHARS]]
        mode[_CHARS][termios.VMIN], mode[_CHARS][termios.VTIME] = 1, 0
        termios.tcsetattr(self.keys, termios.TCSANOW, mode)
        self._write(_ENTER)

    def leave(self) -> None:
        """Give it back as it was; what was typed and not read is forgotten. Not a checkpoint; never raises."""
        try:
            self._write(_LEAVE)
        except OSError:
            abandon_stdout()  # the terminal is gone
        with suppress(termios.error):
            termios.tcflush(self.keys, termios.TCIFLUSH)
            termios.tcsetattr(self.keys, termios.TCSANOW, self._before)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def taken_over() -> Generator[Terminal]:
    """The terminal for as long as the block lasts. Not a checkpoint."""
    terminal = Terminal()
    try:
        terminal.enter()
        yield terminal
    finally:
        terminal.leave()
