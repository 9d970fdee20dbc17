"""What a person sees of an audit."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from attrs import define, field
from msgspec import Struct

from terzetto_protocol.events import BarrierResolved, NodeFinished, NodeStarted, StreamItem
from terzetto_protocol.fold import Fold
from terzetto_protocol.sayings import count, event_line
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.views import BarrierView, event_view

from .._demo.graph import Audit, collect, scan_all
from .._demo.report import HTML_NAME, JSON_NAME
from .._demo.scan import Summary
from ._follow import EventPrinter
from ._output import Output
from ._progress import Progress, progress
from ._words import STYLES

_BRANCH: Final = re.compile(rf"{scan_all.name}/(\d+)/")
"""The path of the branch that looks at a file."""


class Report(Struct, frozen=True, tag="Report"):
    """The last JSON line of `demo`."""

    run_id: str
    status: RunStatus
    verdict: str
    summary: Summary
    html: str | None
    """None when no report was written."""
    json: str | None


@define
class AuditScreen:
    """Shows an audit's progress, its summary and its report."""

    output: Output
    asks: bool = True
    """Whether somebody will be asked to sign off."""
    done: int = 0
    total: int | None = None
    """None until the files are listed."""
    files: Sequence[str] = ()
    latest: int | None = None
    """Which of them was looked at last; None until this process has seen one."""
    progress: Progress = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.progress = progress(self.output, "files")

    def learn(self, audit: Audit) -> None:
        """Take the list of files from the state, once there is one."""
        self.files, self.total = audit.files, len(audit.files)
        self._move()

    def goes_on(self, fold: Fold[Audit]) -> None:
        """Say what was done before."""
        done, total = how_far(fold)
        if done:
            files = f"{done:,} of {count(total, 'file')}" if done < total else "all files"
            self.output.line(f"{files} were done before, going on")
        if fold.state.verdict:
            self.output.line(f"the sign-off was {fold.state.verdict}")

    def begins_at(self, fold: Fold[Audit]) -> None:
        """Take where the run is as what the events will add to."""
        self.done, total = how_far(fold)
        if total:
            self.files, self.total = fold.state.files, total

    def saw(self, items: Sequence[StreamItem]) -> bool:
        """Take events in; True when the files were listed just now, so that the state knows them."""
        listed = False
        for item in items:
            if isinstance(item, NodeFinished):
                self._finished(item.node)
                listed = listed or item.node == collect.name
            elif isinstance(item, BarrierResolved):
                self.output.line(event_line(event_view(item)), "green")
        if self.output.json_mode:
            EventPrinter(self.output).show([item for item in items if not isinstance(item, NodeStarted)])
        self._move()
        return listed

    def _finished(self, node: str) -> None:
        if branch := _BRANCH.match(node):
            self.done, self.latest = self.done + 1, int(branch[1])

    def _move(self) -> None:
        if self.total is not None:
            self.progress.update(self.done, self.total, "" if self.latest is None else self.files[self.latest])

    def present(self, barrier: BarrierView) -> None:
        """Show what is to be decided."""
        self.progress.finish()
        if barrier.reconcile:
            self.output.line(
                f"nobody knows whether the report was written ({barrier.barrier}): look, and say", "yellow"
            )
        else:
            self.summary(msgspec.convert(barrier.payload, Summary))
            if self.asks:
                self.output.line("Sign this audit off? Approved, the report is written.", "bold")

    def summary(self, figures: Summary) -> None:
        """The figures, one a line."""
        longest, deepest, largest = figures.longest, figures.deepest, figures.largest
        rows = [
            ("Files", figures.files, ""),
            ("Lines", figures.lines, ""),
            ("Functions", figures.functions, ""),
            ("Missing docstrings", figures.missing_docstrings, "in public code"),
            ("Problems", figures.problems, "files that could not be read or parsed"),
            ("Longest function", longest.lines, f"lines: {longest.name} in {longest.path}"),
            ("Deepest nesting", deepest.nesting, f"blocks: {deepest.path}"),
            ("Largest file", largest.lines, f"lines: {largest.path}"),
        ]
        self.output.line()
        self.output.figures([(label, figure, remark if figure else "") for label, figure, remark in rows])
        self.output.line()

    def ended(self, audit: Audit, run_id: str, status: RunStatus, message: str) -> None:
        """Say what became of it, and where the report is."""
        self.progress.finish()
        html, json = Path(audit.out) / HTML_NAME, Path(audit.out) / JSON_NAME
        paths = (str(html), str(json)) if audit.published else (None, None)
        self.output.document(Report(run_id, status, audit.verdict, audit.summary, *paths))
        if audit.published:
            self.output.line(f"report  {html.as_uri()}", "green", copied=True)
            self.output.line(f"data    {json}", copied=True)
        elif status is RunStatus.SUCCEEDED:
            self.output.line(f"{audit.verdict}: no report was written", "yellow")
        else:
            self.output.line(f"run {run_id} {status}{f': {message}' if message else ''}", STYLES[status])


def how_far(fold: Fold[Audit]) -> tuple[int, int]:
    """How many files were looked at, and how many there are: none until they are listed."""
    fork = fold.image.forks.get(scan_all.name)
    return len(fold.state.rows) if fork is None else fork.ended, len(fold.state.files)
