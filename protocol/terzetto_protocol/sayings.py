"""How what a run tells is said to people: events, counts and spans of time in a few words.

The command line and the terminal console say the same in the same words.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_LONGEST: Final = 160
"""Characters of a value that a line shows."""


def clean(text: str) -> str:
    """The text without what a terminal would obey: file names and messages may hold anything."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def count(number: int, noun: str) -> str:
    """`1 file`, `2 files`, `12,345 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """`3 min`, `2 h`: the largest unit that fits, or `0 s`."""
    for unit, name in _UNITS:
        if abs(seconds) >= unit:
            return f"{int(abs(seconds) // unit)} {name}"
    return "0 s"


def short(value: Any) -> str:
    """Plain data as one line of JSON, cut where it is long."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def event_note(event: Mapping[str, Any]) -> str:
    """An event beside its commit, which has told the rest: its name, and what it adds."""
    note = _NOTES.get(event["type"])
    return clean(event["type"] if note is None else f"{event['type']} {note(event)}".rstrip())


def event_line(event: Mapping[str, Any]) -> str:
    """An event, as `views.event_view` gives it, in words."""
    say = _SAYINGS.get(event["type"])
    return clean(say(event) if say is not None else event["type"])


def observed(level: str, visit: str, message: str) -> str:
    """An error that ended nothing, in words."""
    return f"{visit} {level.replace('_', ' ')}: {message}"


def _visit(event: Mapping[str, Any]) -> str:
    return f"{event['node']}@{event['visit']}"


def _with(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text


def _opened(event: Mapping[str, Any]) -> str:
    asks = "asks what became of its effect" if event["reconcile"] else "waits for a decision"
    payload = event["payload"]
    return f"{event['barrier']} {asks}" if payload is None else f"{event['barrier']} {asks}: {short(payload)}"


def _resolved(event: Mapping[str, Any]) -> str:
    return f"{event['barrier']} decided: {decided(event)}"


def _failed(event: Mapping[str, Any]) -> str:
    return f"{_visit(event)} failed: {event['failure']['message']}"


def branches(number: int) -> str:
    """`1 branch`, `2 branches`."""
    return f"{number:,} {'branch' if number == 1 else 'branches'}"


def decided(event: Mapping[str, Any]) -> str:
    """A decision, and whose it is."""
    decision = dict(event["decision"])
    said = [decision.pop("type"), *(v if isinstance(v, str) else short(v) for v in decision.values() if v)]
    by = [f"by {event['source']}"] if event["source"] else []
    return " ".join([*said, *by])


_NOTES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "BarrierOpened": lambda e: e["barrier"],
    "BarrierResolved": decided,
    "NodeFailed": lambda e: e["failure"]["message"],
    "OutputSent": lambda e: short(e["value"]),
    "ErrorObserved": lambda e: f"{e['level']}: {e['message']}",
    "CancelRequested": lambda e: e["reason"],
    "RunInterrupted": lambda e: e["reason"],
    "RunQueued": lambda e: e["reason"],
    "RunEnded": lambda e: e["status"],
}
_SAYINGS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "RunQueued": lambda e: _with("queued", e["reason"]),
    "RunStarted": lambda e: f"claimed (epoch {e['epoch']})",
    "NodeStarted": lambda e: f"{_visit(e)} started",
    "NodeFinished": lambda e: f"{_visit(e)} finished, {count(e['mutations'], 'mutation')} (commit {e['seq']})",
    "NodeFailed": _failed,
    "ErrorObserved": lambda e: observed(e["level"], _visit(e), e["message"]),
    "RetryScheduled": lambda e: f"{_visit(e)} attempt {e['attempt']} failed: {e['failure']['message']}",
    "OutputSent": lambda e: f"{_visit(e)} sent {e['output']}: {short(e['value'])}",
    "BranchesStarted": lambda e: f"{_visit(e)} opened {branches(e['count'])}",
    "BranchDiscarded": lambda e: f"{e['branch']} is dropped",
    "EffectIntended": lambda e: f"{_visit(e)} is about to act, once",
    "BarrierOpened": _opened,
    "BarrierResolved": _resolved,
    "RunPaused": lambda _: "paused",
    "CancelRequested": lambda e: _with("cancel requested", e["reason"]),
    "RunInterrupted": lambda e: _with("interrupted", e["reason"]),
    "RunEnded": lambda e: _with(f"ended {e['status']}", f"{e['code']} {e['message']}".strip()),
    "TextChunk": lambda e: f"{_visit(e)}: {e['text']}",
    "ThinkingChunk": lambda e: f"{_visit(e)} thinks: {e['text']}",
    "ToolChunk": lambda e: _with(f"{_visit(e)} {e['tool']} {e['phase']}", e["text"]),
    "CustomChunk": lambda e: f"{_visit(e)} {e['name']}: {short(e['data'])}",
    "Gap": lambda e: f"... {'some events' if e['missed'] is None else count(e['missed'], 'event')} missing",
}
