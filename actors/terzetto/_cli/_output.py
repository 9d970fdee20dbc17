"""Where a command writes: plain lines in a pipe, colours on a terminal that has rich, JSON for machines.

Lines are flushed one by one, so that whoever reads a pipe sees each when it is written. Nothing that a terminal
would obey is written in plain mode, and nothing of what comes from a store is obeyed in any mode.
"""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import msgspec

from terzetto_protocol.sayings import clean

if TYPE_CHECKING:
    from rich.console import Console

_GAP: Final = "  "


class Output:
    """Standard output and standard error of one command.

    Args:
        json: machines read standard output: lines for people are left out, `note` still reaches standard error.
        plain: no colours and no progress bars, whatever the terminal can do.
    """

    def __init__(self, *, json: bool = False, plain: bool = False) -> None:
        self.json_mode: Final = json
        self.console: Final = None if json or plain else rich_console(sys.stdout)
        self.terminal: Final = not json and _is_terminal(sys.stdin) and _is_terminal(sys.stdout)
        """Whether a person sits there who can be asked."""
        self._midline = False

    def line(self, text: str = "", style: str = "", *, copied: bool = False) -> None:
        """One line (or several) for a person; nothing in JSON mode.

        Args:
            text: what to say; a terminal breaks it between words.
            style: its colour.
            copied: a person will copy it: a terminal breaks it at its edge, where it is still one line.
        """
        if self.json_mode:
            return
        self._end_line()
        if self.console is not None:
            self.console.print(clean(text), style=style or None, markup=False, soft_wrap=copied)
        else:
            _write(sys.stdout, f"{clean(text)}\n")

    def piece(self, text: str) -> None:
        """A piece of text that a node streams, without an end of line."""
        if text and not self.json_mode:
            _write(sys.stdout, clean(text))
            self._midline = not text.endswith("\n")

    def prompt(self, text: str) -> None:
        """A question, with the cursor behind it."""
        self._end_line()
        if self.console is not None:
            self.console.print(text, style="bold", end=" ", markup=False, soft_wrap=True)
        else:
            _write(sys.stdout, f"{text} ")
        sys.stdout.flush()
        self._midline = True

    def answered(self) -> None:
        """The person has ended the line of the prompt."""
        self._midline = False

    def note(self, text: str) -> None:
        """What a person should know whatever is written to standard output: one line on standard error."""
        self._end_line()
        _write(sys.stderr, f"{clean(text)}\n")

    def document(self, value: object) -> None:
        """One JSON document on one line; only in JSON mode."""
        if self.json_mode:
            _write(sys.stdout, msgspec.json.encode(value).decode() + "\n")

    def figures(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """A label, a number and a remark on each line."""
        cells = [(label, f"{figure:,}", clean(remark)) for label, figure, remark in rows]
        if self.console is not None:
            _rich_figures(self.console, cells)
            return
        wide, high = (max(len(cell[column]) for cell in cells) for column in (0, 1))
        for label, figure, remark in cells:
            self.line(f"  {label:<{wide}}  {figure:>{high}}  {remark}".rstrip())

    def table(
        self, head: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str] | None = None
    ) -> None:
        """Columns; cells whose text is a key of `styles` are coloured."""
        cells = [[clean(cell) for cell in row] for row in rows]
        if self.console is not None:
            _rich_table(self.console, head, cells, styles or {})
            return
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        for row in (head, *cells):
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            self.line(_GAP.join(padded).rstrip())

    def _end_line(self) -> None:
        if self._midline:
            self._midline = False
            _write(sys.stdout, "\n")


def _rich_table(
    console: "Console", head: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str]
) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for position, name in enumerate(head):
        # The first column is what a person copies: it is never cut.
        table.add_column(name, no_wrap=position == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, styles.get(cell, "")) for cell in row))
    console.print(table)


def _rich_figures(console: "Console", cells: Sequence[tuple[str, str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 0, 0, 2))
    for justify in ("left", "right", "left"):
        grid.add_column(justify=justify, overflow="fold")
    for label, figure, remark in cells:
        grid.add_row(label, Text(figure, "bold"), Text(remark, "dim"))
    console.print(grid)


def rich_console(file: TextIO) -> "Console | None":
    """A console for colours and progress bars, or None where plain lines are better."""
    if not _is_terminal(file) or os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", ""):
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None  # the extra `cli` is not installed
    return Console(file=file, highlight=False, emoji=False)  # `:name:` of a store or a node is no picture


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()  # a process may be started without any of the three


def _write(file: TextIO, text: str) -> None:
    file.write(text)
    file.flush()


def forgive_streams() -> None:
    """Let standard output and error take any text: what cannot be encoded is written with backslashes."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process lives
    if sys.stderr is None:
        sys.stderr = sys.stdout
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def abandon_stdout() -> None:
    """After a broken pipe: let the interpreter flush into nothing, instead of complaining at its end."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
