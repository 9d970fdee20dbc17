"""A screen as lines: exactly as many as the terminal has, each exactly as wide, whatever there is to show."""

from collections.abc import Sequence
from typing import Final

from attrs import evolve

from .cells import cut, tail, visible, width, wrapped
from .screen import Screen
from .screen_lines import Line, Paper, Span, both, fitted, in_ascii, rule, shown
from .screen_panes import run_pane, runs_pane
from .screen_prompts import LinePrompt, PickPrompt

WIDE: Final = 110
"""Cells from which on the list and the run stand side by side."""
_LEAST: Final = (24, 6)
"""Cells and lines below which there is nothing to be seen."""
_NOTE: Final = 3
"""Lines of what was done last."""
_CHOICES: Final = 9
"""Choices that are shown at once."""

HELP: Final = (
    ("↑ ↓  j k", "the run before, the next one; in a run: older and newer events"),
    ("PgUp PgDn g G", "a page; the first, the last"),
    ("Tab", "the next run that waits for a decision"),
    ("Enter", "the run on the whole screen"),
    ("Esc", "back; without a filter"),
    ("/", "only runs with these words in id, graph, thread or status"),
    ("a", "approve the open barrier"),
    ("r", "reject it, with a reason"),
    ("d", "decide it by any of its exits"),
    ("c", "cancel the run, with a reason"),
    ("p", "pause the run, or let it go on"),
    ("n", "start a run of a graph, with a state as JSON"),
    ("Ctrl-L", "draw everything anew"),
    ("q", "leave; runs go on without you"),
)
"""What keys do."""
_KEYS: Final = (
    ("a", "approve"), ("r", "reject"), ("c", "cancel"), ("p", "pause"), ("n", "new"), ("/", "filter"),
    ("Tab", "next waiting"), ("Enter", "open"), ("?", "help"), ("q", "quit"),
)  # fmt: skip
_IN_RUN: Final = tuple((key, {"Enter": "", "Tab": ""}.get(key, does)) for key, does in _KEYS)


def sheet(screen: Screen, paper: Paper, title: str = "") -> list[Line]:
    """All lines.

    Args:
        screen: what is shown.
        paper: where.
        title: what the console is called, such as its address.
    """
    if paper.width < _LEAST[0] or paper.height < _LEAST[1]:
        lines = [fitted([Span("a larger terminal, please")], paper.width)]
    else:
        foot = _foot(screen, paper)
        body = evolve(paper, height=max(0, paper.height - 1 - len(foot)))
        lines = [_header(screen, paper, title), *_filled(_body(screen, body), body), *foot]
    lines = _filled(lines, paper)
    return [in_ascii(line) for line in lines] if paper.plain else lines


def _filled(lines: Sequence[Line], paper: Paper) -> list[Line]:
    missing = paper.height - len(lines)
    return [*lines[: paper.height], *[(Span(" " * paper.width),)] * missing]


def rows_of(screen: Screen, paper: Paper) -> int:
    """Rows of a page: what one key scrolls."""
    return max(1, (_list_height(screen, paper) if paper.width < WIDE and not screen.whole else paper.height - 4) - 1)


def _header(screen: Screen, paper: Paper, title: str) -> Line:
    if screen.connected:
        left = [Span(" terzetto ", "brand"), Span(" "), shown(title, "dim")]
    else:
        why = f" ({visible(screen.lost)})" if screen.lost else ""
        text = f" ✗ connection lost, trying again{why} "
        return fitted([Span(cut(text, paper.width), "lost")], paper.width)
    words = f"filter: {screen.runs.filter}  " if screen.runs.filter else ""
    return both(left, [shown(words, "key"), shown(screen.runs.said())], paper.width)


def _body(screen: Screen, paper: Paper) -> list[Line]:
    if screen.helping:
        return _help(paper)
    if screen.whole:
        return run_pane(screen, paper)
    return _side_by_side(screen, paper) if paper.width >= WIDE else _stacked(screen, paper)


def _list_height(screen: Screen, paper: Paper) -> int:
    """Runs need few lines while there are few."""
    return max(1, min(max(1, len(screen.runs.shown)), max(3, paper.height * 2 // 5)))


def _stacked(screen: Screen, paper: Paper) -> list[Line]:
    high = evolve(paper, height=_list_height(screen, paper))
    low = evolve(paper, height=max(0, paper.height - high.height - 1))
    return [*runs_pane(screen, high), rule("", paper.width), *run_pane(screen, low)]


def _side_by_side(screen: Screen, paper: Paper) -> list[Line]:
    left = evolve(paper, width=max(52, min(72, paper.width * 2 // 5)))
    right = evolve(paper, width=paper.width - left.width - 3)
    pairs = zip(_filled(runs_pane(screen, left), left), _filled(run_pane(screen, right), right), strict=True)
    return [(*one, Span(" │ ", "rule"), *other) for one, other in pairs]


def _help(paper: Paper) -> list[Line]:
    wide = max(width(keys) for keys, _ in HELP)
    lines = [(Span(f"  {keys:<{wide}}  ", "key"), Span(does)) for keys, does in HELP]
    return [rule("keys", paper.width), *(fitted(line, paper.width) for line in lines)]


def _foot(screen: Screen, paper: Paper) -> list[Line]:
    prompt = screen.prompt
    if isinstance(prompt, LinePrompt):
        return [fitted([shown(prompt.title, "prompt")], paper.width), _typing(prompt, paper)]
    if isinstance(prompt, PickPrompt):
        return _picking(prompt, paper)
    said = list(wrapped(visible(screen.note.text), paper.width))[:_NOTE]
    return [*(fitted([Span(text, screen.note.role)], paper.width) for text in said), _keys(screen, paper)]


def _typing(prompt: LinePrompt, paper: Paper) -> Line:
    """What was typed, around the cursor."""
    line, room = prompt.line, paper.width - 2
    after = visible(line.text[line.cursor :]) or " "
    before = tail(visible(line.text[: line.cursor]), max(1, room - min(width(after), room // 3) - 1))
    return fitted([Span("> ", "key"), Span(before), Span(after[0], "cursor-cell"), Span(after[1:])], paper.width)


def _picking(prompt: PickPrompt, paper: Paper) -> list[Line]:
    most = max(1, min(_CHOICES, paper.height - 4))
    top = max(0, min(prompt.at - most // 2, len(prompt.choices) - most))
    lines = [
        fitted(_choice(at + 1, prompt.choices[at], chosen=at == prompt.at), paper.width)
        for at in range(top, min(top + most, len(prompt.choices)))
    ]
    keys = "Enter chooses, Esc leaves it"
    return [both([shown(prompt.title, "prompt")], [Span(keys, "dim")], paper.width), *lines]


def _choice(number: int, text: str, *, chosen: bool) -> Line:
    head = Span("> " if chosen else "  ", "key")
    return head, Span(f"{number} ", "dim"), shown(text, "selected" if chosen else "")


def _keys(screen: Screen, paper: Paper) -> Line:
    """The keys that matter most where there is no room for all."""
    spans = list[Span]()
    keys = (("Esc", "back"), *_IN_RUN) if screen.whole else _KEYS
    shown_keys = [(key, does) for key, does in keys if does]
    sure = {"?", "q"}
    room = paper.width - sum(width(f" {key} {does} ") for key, does in shown_keys if key in sure)
    for key, does in shown_keys:
        wide = width(f" {key} {does} ")
        if key not in sure and wide > room:
            continue
        room -= 0 if key in sure else wide
        spans += [Span(f" {key}", "key"), Span(f" {does} ", "dim")]
    return fitted(spans, paper.width)
