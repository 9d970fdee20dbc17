"""Signs: how a picture tells one status from another, to who sees no colours and has no special font."""

from collections.abc import Mapping
from typing import Final

from .picture_markup import element, point, width_of
from .statuses import VisitStatus

_V = VisitStatus
_SIZE: Final = 12.0
"""Of letters in the legend, in pixels."""
_SIGNS: Final[Mapping[VisitStatus, str]] = {
    _V.PENDING: "M-3.5 0h.01M0 0h.01M3.5 0h.01",
    _V.RUNNING: "M-2.2-3.6 3.8 0-2.2 3.6Z",
    _V.AWAITING_INPUT: "M-1.9-3V3M1.9-3V3",
    _V.WAITING_RETRY: "M3.5.9A3.6 3.6 0 1 1 2.6-2.5M3.4-4.6V-2H.8",
    _V.UNKNOWN: "M-2.3-1.9A2.3 2.3 0 1 1 1-.1Q0 .5 0 1.5M0 4.2h.01",
    _V.SUCCEEDED: "M-3.6.3-1.1 2.8 3.6-2.6",
    _V.FAILED: "M-2.8-2.8 2.8 2.8M2.8-2.8-2.8 2.8",
    _V.CANCELLED: "M-2.4-2.4H2.4V2.4H-2.4Z",
    _V.SKIPPED: "M-3.4-2.8-.6 0-3.4 2.8M.8-2.8 3.6 0 .8 2.8",
}
"""Drawn around (0, 0)."""


def word_of(status: VisitStatus) -> str:
    """The status as people read it."""
    return status.value.lower().replace("_", " ")


def class_of(status: VisitStatus) -> str:
    """The class of what has this status."""
    return status.value.lower().replace("_", "-")


def sign(status: VisitStatus, x: float, y: float) -> str:
    """The sign around this point."""
    path = element("path", class_="solid" if _SIGNS[status].endswith("Z") else "thin", d=_SIGNS[status])
    return element("g", element("circle", r=8.5), path, class_="sign", transform=f"translate({point(x, y)})")


def legend(items: Mapping[VisitStatus, str], room: float) -> tuple[list[str], float]:
    """What the signs mean, in as many lines as that takes, each `room` pixels wide; and how high that is."""
    x, y, drawn = 0.0, 8.0, list[str]()
    for status, words in items.items():
        width = width_of(words, _SIZE) + 40
        if x and x + width > room:
            x, y = 0.0, y + 26
        text = element("text", words, x=x + 24, y=y + 4)
        drawn.append(element("g", sign(status, x + 9, y), text, class_=class_of(status)))
        x += width
    return drawn, y + 26 if drawn else 0.0
