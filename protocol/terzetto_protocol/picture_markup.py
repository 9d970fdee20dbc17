"""Markup of a picture, and the only way from names, labels and notes into it."""

import re
import unicodedata
from html import escape
from typing import Final

from .layout import Spot

LETTERS: Final = 36
"""A longer line is cut in the picture; all of it is told where one points at it."""
SMALL: Final = 11.0
"""Size of most letters, in pixels."""
BOLD: Final = 14.0
"""Bold letters of 13 pixels are as wide as others of this size."""

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no way to say."""
_THIN: Final = frozenset("iljtfrI.,:;'|!()[]{} -")
_BROAD: Final = frozenset("mwMW@%&")


def clean(text: str) -> str:
    """The text on one line, without what XML cannot say."""
    return " ".join(_FORBIDDEN.sub("", text).split())


def cut(text: str, letters: int = LETTERS) -> str:
    """The text on one line of at most so many letters."""
    line = clean(text)
    return line if len(line) <= letters else f"{line[: letters - 1]}…"


def text_of(text: str) -> str:
    """Markup that shows the text on one line and does nothing else."""
    return escape(clean(text))


def element(name: str, *inner: str, **attributes: float | str) -> str:
    """An element; what is inside is markup, attributes are not."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text_of(value) if isinstance(value, str) else length(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{said}>{''.join(inner)}</{name}>" if inner else f"<{name}{said}/>"


def rectangle(spot: Spot, corner: float, kind: str) -> str:
    """A rectangle with round corners, of this class."""
    left, top = spot.x - spot.width / 2, spot.y - spot.height / 2
    return element("rect", class_=kind, x=left, y=top, width=spot.width, height=spot.height, rx=corner)


def length(value: float) -> str:
    """A length or a coordinate."""
    return f"{value:.1f}".removesuffix(".0")


def point(x: float, y: float) -> str:
    """A point, as paths and moves have it."""
    return f"{length(x)} {length(y)}"


def width_of(text: str, size: float) -> float:
    """About how wide a line is, in pixels, and rather too much: nobody knows the font that it will be in."""
    return size * sum(map(_em, text))


def _em(letter: str) -> float:
    if letter in _THIN:
        return 0.42
    if letter in _BROAD:
        return 0.97
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.74 if letter.isupper() else 0.64
