"""How far something is: a bar on a terminal that has rich, a few lines in a pipe."""

from typing import TYPE_CHECKING, Final, Protocol

import trio

from terzetto_protocol.sayings import clean

from ._output import Output

if TYPE_CHECKING:
    from rich.console import Console

REFRESH: Final = 0.1
"""Seconds between two drawings of a bar."""
LINES: Final = 10
"""Lines that a whole job makes in a pipe."""


class Progress(Protocol):
    """Shows how far a job is; cheap to tell, however often."""

    def update(self, done: int, total: int, now: str) -> None:
        """Tell how far it is, and what is being worked on; not a checkpoint."""

    def finish(self) -> None:
        """Show the last state and stop, so that lines may follow; not a checkpoint."""

    async def run(self) -> None:
        """Draw until cancelled; a checkpoint."""


def progress(output: Output, noun: str) -> Progress:
    """The form that suits the output; `noun` is what is counted."""
    return _Lines(output, noun) if output.console is None else _Bar(output.console, noun)


class _Lines:
    """A line for every tenth."""

    def __init__(self, output: Output, noun: str) -> None:
        self._output, self._noun = output, noun
        self._told = 0

    def update(self, done: int, total: int, now: str) -> None:
        tenth = done * LINES // total if total else 0
        if tenth > self._told:
            self._told = tenth
            self._output.line(f"{done:,} of {total:,} {self._noun}")

    def finish(self) -> None:
        """There is nothing to take away."""

    async def run(self) -> None:
        await trio.sleep_forever()


class _Bar:
    """A bar that a Trio task draws, ten times a second at most; no thread."""

    def __init__(self, console: "Console", noun: str) -> None:
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._bar = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.fields[now]}", style="dim", table_column=Column(ratio=1, no_wrap=True)),
            console=console,
            auto_refresh=False,
            expand=True,
            transient=True,
        )
        self._noun = noun
        self._task = self._bar.add_task("", now="")
        self._state: tuple[int, int, str] | None = None
        self._running = False
        self._finished = False

    def update(self, done: int, total: int, now: str) -> None:
        self._state = done, total, now

    def finish(self) -> None:
        self._finished = True
        if self._running:
            self._running = False
            self._bar.stop()

    async def run(self) -> None:
        try:
            while not self._finished:
                self._draw()
                await trio.sleep(REFRESH)
        finally:
            self.finish()

    def _draw(self) -> None:
        if self._state is None:
            return
        if not self._running:
            self._running = True
            self._bar.start()
        done, total, now = self._state
        text = f"{done:,} of {total:,} {self._noun}"
        self._bar.update(self._task, completed=done, total=total, description=text, now=clean(now), refresh=True)
