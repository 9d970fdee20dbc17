"""Lines of a screen: pieces of text with a role, put into exactly as many cells as there are."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from attrs import frozen

from .cells import cut, padded, visible, width
from .statuses import RunStatus, VisitStatus

_R, _V = RunStatus, VisitStatus

SIGNS: Final[Mapping[str, str]] = {
    _R.QUEUED: "·", _R.RUNNING: "▸", _R.AWAITING_INPUT: "?", _R.PAUSED: "‖", _R.CANCELLING: "▪", _R.INTERRUPTED: "!",
    _R.SUCCEEDED: "✓", _R.FAILED: "✗", _R.CANCELLED: "■",
    _V.PENDING: "·", _V.WAITING_RETRY: "↻", _V.UNKNOWN: "!", _V.SKIPPED: "»",
}  # fmt: skip
"""What tells one status from another without colours."""
_ASCII: Final = str.maketrans("·▸‖▪✓✗■↻»│─…↑↓", ".>=-+x#@>|-~^v")


@frozen
class Span:
    """A piece of a line; `role` says what it is, and a skin gives each role its colour."""

    text: str
    role: str = ""


Line: TypeAlias = tuple[Span, ...]


@frozen
class Paper:
    """What lines are put on.

    Args:
        width: cells of a line.
        height: lines.
        now: UNIX time, seconds.
        clock: says a UNIX time as people do.
        plain: only ASCII.
    """

    width: int
    height: int
    now: float
    clock: Callable[[float], str]
    plain: bool = False


def sign(status: RunStatus | VisitStatus) -> Span:
    """The sign of a status, in its role."""
    return Span(SIGNS.get(status, " "), status)


def word(status: RunStatus | VisitStatus) -> str:
    """A status as people read it."""
    return status.value.lower().replace("_", " ")


def fitted(spans: Iterable[Span], room: int) -> Line:
    """Visible spans in exactly so many cells: cut at the end, or filled with spaces."""
    line, left = list[Span](), room
    for span in spans:
        shown = cut(span.text, left)
        line.append(Span(shown, span.role))
        left -= width(shown)
        if shown != span.text or left <= 0:
            break
    return (*line, Span(" " * left)) if left > 0 else tuple(line)


def both(left: Iterable[Span], right: Iterable[Span], room: int) -> Line:
    """Something at the left, and something at the right edge if that leaves the left one most of the room."""
    ends = tuple(right)
    wide = sum(width(span.text) for span in ends)
    if not wide or wide > room * 2 // 3:
        return fitted(left, room)
    return (*fitted(left, room - wide - 1), Span(" "), *ends)


def rule(title: str, room: int, role: str = "rule") -> Line:
    """A line across, with a title in it."""
    text = f"── {title} " if title else ""
    shown = cut(text, room)
    return (Span(shown + "─" * (room - width(shown)), role),)


def shown(text: str, role: str = "") -> Span:
    """A text of anybody's, made visible."""
    return Span(visible(text), role)


def column(text: str, room: int, role: str = "") -> Span:
    """A text of anybody's in exactly so many cells."""
    return Span(padded(visible(text), room), role)


def in_ascii(line: Line) -> Line:
    """The same for terminals that have no other characters: as many cells, or the nearest that is possible."""
    return tuple(Span(_ascii(span.text), span.role) for span in line)


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    return "".join(char if char.isascii() else "?" * width(char) for char in text.translate(_ASCII))
