"""What Metaflow writes while a flow runs: which task says what, and how far it is."""

import re
from typing import Any, Final

from attrs import define
from msgspec import Struct

_LINE: Final = re.compile(
    r"(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ )?"
    r"(?:\[(?P<run>[^/\]]+)/(?P<step>[^/\]]+)/(?P<task>[^/ \]]+)(?: \(pid \d+\))?\] )?(?P<text>.*)"
)
_NAME: Final = re.compile(r"Metaflow \S+ executing (\w+)")
_SAID: Final = {
    "Task is starting.": "started",
    "Task finished successfully.": "finished",
    "Task failed.": "failed",
    "Cloning previously run task": "cloned",
}


class Line(Struct, frozen=True):
    """One line of a flow's log."""

    text: str
    run: str = ""
    step: str = ""
    task: str = ""

    @property
    def status(self) -> str:
        """What it says about its task: started, finished, failed, cloned; or nothing."""
        return next((status for said, status in _SAID.items() if self.step and self.text.startswith(said)), "")

    @property
    def flow(self) -> str:
        """The flow's name, in the line that tells it."""
        found = None if self.step else _NAME.match(self.text)
        return "" if found is None else found[1]


def line_of(raw: bytes) -> Line:
    """A line as Metaflow wrote it."""
    found = _LINE.fullmatch(raw.decode("utf-8", "replace").rstrip())
    if found is None:
        return Line(raw.decode("utf-8", "replace").rstrip())
    return Line(found["text"], found["run"] or "", found["step"] or "", found["task"] or "")


@define
class Progress:
    """How many tasks of a flow have come how far."""

    started: int = 0
    finished: int = 0
    failed: int = 0
    cloned: int = 0

    def note(self, line: Line) -> dict[str, Any] | None:
        """What is to be told of a line that says how far a task is; None for any other."""
        status = line.status
        if not status:
            return None
        setattr(self, status, getattr(self, status) + 1)
        counts = {name: getattr(self, name) for name in ("started", "finished", "failed", "cloned")}
        return {"run": line.run, "step": line.step, "task": line.task, "status": status, **counts}
