"""Writes `statuses.md` from the tables that the code obeys; `--check` only says whether the page is stale.

uv run python docs/draw_statuses.py
"""

import sys
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from terzetto_protocol import statuses
from terzetto_protocol.drawing import status_diagram

E = TypeVar("E", bound=StrEnum)

PAGE: Final = Path(__file__).with_name("statuses.md")

_HEAD: Final = """\
# Statuses

% Made by draw_statuses.py from the tables in terzetto_protocol.statuses. Edit those, not this page.

Four machines, four tables. A move that is not in its table raises `IllegalTransition` and writes nothing. A status that
nothing follows is terminal, and immutable: retry, rerun and fork make a new run that names its parent.
"""

_RUN: Final = """\
RUNNING covers everything from the claim to the last commit, also while barriers are open beside branches that run.
AWAITING_INPUT and PAUSED hold no slot, no task and no owner. CANCELLING leads to CANCELLED and nowhere else, also after
a crash. INTERRUPTED is a run whose owner stopped before it did; another claim goes on.
"""

_VISIT: Final = """\
A visit is one execution of one node. RUNNING is durable only where an intent is: a `once` node whose process died in
its body becomes UNKNOWN, until a probe or a person says what happened.
"""

_BARRIER: Final = "DROPPED is a barrier whose run ended before anybody decided.\n"

_STREAM: Final = "A run's stream ends when the run does. CLOSED is the hub going away, which is not the run's end.\n"


def page() -> str:
    """The whole page, the same in every process."""
    machines = (
        _machine("Run", "The life of a run", _RUN, statuses.RUN_MOVES),
        _machine("Visit", "The life of a visit", _VISIT, statuses.VISIT_MOVES),
        _machine("Barrier", "The life of a barrier", _BARRIER, statuses.BARRIER_MOVES),
        _machine("Stream", "The life of an event stream", _STREAM, statuses.STREAM_MOVES),
    )
    return "\n".join((_HEAD, *machines, _ends(), _failures(), _other_names()))


def _machine(name: str, title: str, text: str, moves: Mapping[E | None, frozenset[E]]) -> str:
    diagram = f"```mermaid\n{status_diagram(title, moves)}```\n"
    return f"## {name}\n\n{text}\n{diagram}\n{_table(('from', 'to'), _rows(moves))}"


def _rows(moves: Mapping[E | None, frozenset[E]]) -> Iterator[tuple[str, str]]:
    order = list(moves)
    for source, targets in moves.items():
        names = ", ".join(target.value for target in sorted(targets, key=order.index))
        yield "(none)" if source is None else source.value, names or "nothing"


def _table(head: tuple[str, str], rows: Iterator[tuple[str, str]]) -> str:
    return "".join(f"| {left} | {right} |\n" for left, right in (head, ("---", "---"), *rows))


def _ends() -> str:
    rows = ((run.value, stream.value) for run, stream in statuses.STREAM_END.items())
    return f"### How a stream ends\n\n{_table(('run', 'stream'), rows)}"


def _failures() -> str:
    codes = ", ".join(f"`{code.value}`" for code in statuses.FailureCode)
    return f"## Why a run FAILED\n\nFAILED is one status; why is a code: {codes}.\n"


def _other_names() -> str:
    runs = ((theirs, ours.value) for theirs, ours in statuses.OTHER_NAMES.items())
    streams = ((f"{status.value} (stream)", f"{status.value} (stream)") for status in statuses.StreamStatus)
    return "## Names elsewhere\n\nWhat the systems that Terzetto replaces call these.\n\n" + _table(
        ("elsewhere", "here"), iter((*runs, *streams))
    )


def main(arguments: list[str]) -> int:
    """Write the page, or with `--check` say whether it is stale; the exit code is 1 if it is."""
    if arguments == ["--check"]:
        if PAGE.read_text(encoding="utf-8") == page():
            return 0
        print(f"{PAGE.name} is stale: run python docs/draw_statuses.py", file=sys.stderr)
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
