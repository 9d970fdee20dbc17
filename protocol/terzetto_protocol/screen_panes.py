"""The parts of a screen: the list of runs, and the run that is selected."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from .cells import padded, visible, wrapped
from .sayings import count, short, span
from .screen import Screen
from .screen_lines import Line, Paper, Span, column, fitted, rule, shown, sign, word
from .screen_run import Said
from .screen_runs import waits
from .shown import Shown
from .statuses import TERMINAL, VisitStatus
from .views import BarrierView, RunLine

_STATUS: Final = 14
"""Cells of the longest status."""
_AGE: Final = 7
_WITH_GRAPH: Final = 32
"""Cells from which on a run's graph stands beside its id."""
_TOLD: Final = 3
"""Lines that are kept for events, if there are any."""
_OVER: Final = (VisitStatus.SUCCEEDED, VisitStatus.SKIPPED, VisitStatus.CANCELLED)


# -- the list --------------------------------------------------------------------------------------------------


def runs_pane(screen: Screen, paper: Paper) -> list[Line]:
    """As many runs as there is room for, around the selected one."""
    runs = screen.runs.shown
    if not runs:
        return _nothing(screen, paper)
    top = max(0, min(screen.runs.at - paper.height // 2, len(runs) - paper.height))
    lines = runs[top : top + paper.height]
    return [_run_line(line, screen.runs.selected == line.run_id, paper) for line in lines]


def _nothing(screen: Screen, paper: Paper) -> list[Line]:
    if screen.runs.filter:
        text = f"no run has {screen.runs.filter!r} in it (Esc shows all)"
    else:
        text = "no runs yet: n starts one" if screen.runs.whole else "listing runs"
    return [fitted([Span("  "), shown(text, "dim")], paper.width)]


def _run_line(line: RunLine, selected: bool, paper: Paper) -> Line:  # noqa: FBT001 - private
    age = span(paper.now - line.updated).rjust(_AGE)
    asks = f"{len(line.open_barriers)} open " if waits(line) else ""
    room = paper.width - 2 - 2 - _STATUS - 1 - len(asks) - _AGE - 1
    graph = min(16, room - 24) if room >= _WITH_GRAPH else 0
    spans = [
        Span("> " if selected else "  ", "cursor"),
        sign(line.status),
        Span(" "),
        column(word(line.status), _STATUS, line.status),
        Span(" "),
        column(line.run_id, room - graph - bool(graph), "selected" if selected else "id"),
        Span(" " * bool(graph)),
        column(line.graph, graph, "dim"),
        Span(" " + asks, "waiting"),
        Span(age, "dim"),
    ]
    return fitted(spans, paper.width)


# -- one run ---------------------------------------------------------------------------------------------------


def run_pane(screen: Screen, paper: Paper) -> list[Line]:
    """How the selected run stands: what it waits for, its places, and the last of what it told."""
    line = screen.runs.line
    if line is None:
        return []
    head = _head(line, paper)
    barriers = _barriers(screen, paper)
    places = list(_places(screen.run.places, paper))
    if screen.run.trouble:
        places = [fitted([shown(screen.run.trouble, "error")], paper.width)]
    room = paper.height - len(head)
    told = min(_TOLD, room) if screen.run.events else 0
    asked = min(len(barriers), max(0, (room - told) * 2 // 3 if places else room - told))
    listed = min(len(places), max(0, room - told - asked))
    lines = head[: paper.height] + _some(barriers, asked, paper) + _some(places, listed, paper)
    return lines + _events(screen, paper, paper.height - len(lines))


def _some(lines: Sequence[Line], room: int, paper: Paper) -> list[Line]:
    """So many of the lines, with a word about those that have no room."""
    if len(lines) <= room:
        return list(lines)
    left = len(lines) - room + 1
    more = fitted([Span(f"  … {count(left, 'more line')}", "dim")], paper.width)
    return [*lines[: room - 1], more] if room else []


def _head(line: RunLine, paper: Paper) -> list[Line]:
    spans = [
        sign(line.status), Span(" "), Span(word(line.status), line.status), Span("  "), shown(line.run_id, "title"),
        shown(f"  {line.graph} {line.version}".rstrip(), "dim"),
        shown(f"  on {line.thread}" if line.thread else "", "dim"),
        Span(f"  {count(line.seq, 'commit')}, {span(paper.now - line.submitted)} old", "dim"),
    ]  # fmt: skip
    why = line.damaged or ": ".join(filter(None, (line.code, line.message)))
    told = list(wrapped(visible(why), paper.width))[:3] if why else []
    return [fitted(spans, paper.width), *(fitted([Span(text, "error")], paper.width) for text in told)]


def _barriers(screen: Screen, paper: Paper) -> list[Line]:
    line = screen.runs.line
    if line is None or line.status in TERMINAL:
        return []
    return [each for barrier in screen.run.barriers for each in _barrier(barrier, screen.exits(barrier), paper)]


def _barrier(barrier: BarrierView, exits: Sequence[str], paper: Paper) -> Iterator[Line]:
    asks = "asks what became of its effect" if barrier.reconcile else "waits for a decision"
    due = f", till {paper.clock(barrier.deadline)}" if barrier.deadline is not None else ""
    spans = [
        Span("? ", "waiting"), shown(barrier.barrier, "waiting"), Span(f" {asks}", "waiting"),
        shown(f", {span(paper.now - barrier.opened)}{due}", "dim"), shown(f" ({' / '.join(exits)})", "dim"),
    ]  # fmt: skip
    yield fitted(spans, paper.width)
    for name, text in outlined(barrier.payload):
        label = [shown(f"  {name}: ", "dim")] if name else [Span("  ")]
        yield fitted([*label, shown(text)], paper.width)


def outlined(payload: Any) -> Iterator[tuple[str, str]]:
    """Plain data as lines of a name and what it has: fields one by one, texts as they are, the rest as JSON."""
    if payload is None:
        return
    if isinstance(payload, dict):
        for name, value in cast("dict[str, Any]", payload).items():
            yield str(name), _said(value)
    elif isinstance(payload, str):
        yield from (("", text) for text in payload.splitlines())
    else:
        yield "", _said(payload)


def _said(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return short(value)
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else short(value)


def _places(places: Mapping[str, Shown], paper: Paper) -> Iterator[Line]:
    """In the order in which the run came to them; places that are not over stand out."""
    names = {name: visible(name) for name in places}
    wide = min(24, max((len(name) for name in names.values()), default=0))
    for name, place in places.items():
        if place.status is None:
            continue
        over = place.status in _OVER
        spans = [
            sign(place.status), Span(" "), Span(padded(names[name], wide), "" if over else "title"), Span("  "),
            column(word(place.status), _STATUS, place.status), Span(_visits(place.visits), "dim"), Span("  "),
            shown(place.note, "error" if place.status is VisitStatus.FAILED else "dim"),
        ]  # fmt: skip
        yield fitted(spans, paper.width)


def _visits(number: int) -> str:
    return f"{count(number, 'visit'):>9}"


def _events(screen: Screen, paper: Paper, room: int) -> list[Line]:
    """The last events that there is room for, below each other as they came; older ones after scrolling."""
    events = list(screen.run.events)
    if room < 2 or not events:
        return []
    end = max(min(room - 1, len(events)), len(events) - screen.scroll)
    title = f"events, {count(len(events) - end, 'later one')} below" if end < len(events) else "events"
    lines = [_event(said, paper) for said in events[max(0, end - room + 1) : end]]
    return [rule(title, paper.width), *lines]


def _event(said: Said, paper: Paper) -> Line:
    at = visible(paper.clock(said.at)) if said.at else " " * 8
    return fitted([Span(f"{at} ", "dim"), shown(said.text, said.role)], paper.width)
