"""Draws a screen with rich: each role of a line has its colour here, and nowhere else."""

import os
import sys
import time
from collections.abc import Mapping
from typing import Final

from terzetto_protocol.screen import Screen
from terzetto_protocol.screen_lines import Line, Paper
from terzetto_protocol.screen_sheet import rows_of, sheet

from ._words import STYLES, clock

_BEGIN: Final = "\x1b[?2026h"
_END: Final = "\x1b[?2026l"
"""Terminals that know them show what is in between at once; others pass them over."""
_ROLES: Final[Mapping[str, str]] = {
    **STYLES,
    "PENDING": "dim",
    "WAITING_RETRY": "yellow",
    "UNKNOWN": "bold magenta",
    "SKIPPED": "dim",
    "brand": "bold reverse",
    "title": "bold",
    "selected": "bold reverse",
    "cursor": "bold cyan",
    "cursor-cell": "reverse",
    "id": "",
    "dim": "dim",
    "rule": "dim",
    "key": "bold cyan",
    "prompt": "bold",
    "waiting": "bold yellow",
    "good": "green",
    "error": "bold red",
    "lost": "bold white on red reverse",
}
"""A style for each role that a line may have; without colours bold, dim and reverse are left."""


class Drawing:
    """Puts a screen on a terminal, which is written to only where a line has changed.

    Args:
        title: what the console is called.
        plain: no colours, and no characters but ASCII.
    """

    def __init__(self, title: str, *, plain: bool) -> None:
        from rich.console import Console
        from rich.style import Style

        self._title: Final = title
        self._ascii: Final = plain or not (sys.stdout.encoding or "").lower().startswith("utf")
        bare = plain or bool(os.environ.get("NO_COLOR"))
        self._console: Final[Console] = Console(
            highlight=False, emoji=False, markup=False, no_color=bare, force_terminal=True, legacy_windows=False
        )
        self._styles: Final = {role: Style.parse(text) for role, text in _ROLES.items() if text}
        self._drawn: Final = list[Line]()

    def forget(self) -> None:
        """Draw everything the next time: something else was written on the terminal. Not a checkpoint."""
        self._drawn.clear()

    def draw(self, screen: Screen, size: tuple[int, int]) -> int:
        """Draw what has changed, and return how many rows a page has. Not a checkpoint."""
        paper = Paper(max(1, size[0]), max(1, size[1]), time.time(), clock, self._ascii)
        lines = sheet(screen, paper, self._title)
        text = "".join(map(self._line, range(len(lines)), lines))
        self._drawn[:] = lines
        if text:
            sys.stdout.write(_BEGIN + text + _END)
            sys.stdout.flush()
        return rows_of(screen, paper)

    def _line(self, number: int, line: Line) -> str:
        """What puts a line where it belongs; nothing if it stands there."""
        from rich.segment import Segment, Segments

        if number < len(self._drawn) and self._drawn[number] == line:
            return ""
        segments = [Segment(span.text, self._styles.get(span.role)) for span in line]
        with self._console.capture() as capture:
            self._console.print(Segments(segments), end="", soft_wrap=True)
        return f"\x1b[{number + 1};1H{capture.get()}"
