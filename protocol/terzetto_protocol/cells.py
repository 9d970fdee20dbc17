r"""Cells: how wide a text is on a terminal, and what of it may be shown there.

Nothing that a terminal obeys is left in a text that was made visible: control characters, those that turn the
direction of writing, invisible ones and lone surrogates stand there as `\x1b` or `\u202e`.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final
from unicodedata import category, combining, east_asian_width

_SELECTORS: Final = frozenset(map(chr, range(0xFE00, 0xFE10)))
"""They change how wide the character before them is on some terminals, and not on others."""


def visible(text: str, *, ascii_only: bool = False) -> str:
    """The text as it may be shown: on one line, with everything that would be obeyed or hidden escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_plain if ascii_only else _shown, text))


@lru_cache(4096)
def _shown(char: str) -> str:
    if category(char) == "Zs":
        return " "
    return char if char.isprintable() and char not in _SELECTORS else _escaped(char)


@lru_cache(4096)
def _plain(char: str) -> str:
    shown = _shown(char)
    return shown if shown.isascii() else _escaped(char)


def _escaped(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return {"\t": " ", "\n": " ", "\r": " "}.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@lru_cache(4096)
def _cells(char: str) -> int:
    if combining(char) or category(char) in ("Mn", "Me"):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def width(text: str) -> int:
    """How many cells a visible text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, room: int, *, more: str = "…") -> str:
    """As much of a visible text as has room, with `more` at its end where something is missing."""
    if width(text) <= room:
        return text
    return _taken(text, room - width(more)) + more if room >= width(more) else _taken(text, room)


def _taken(text: str, room: int) -> str:
    taken = 0
    for place, char in enumerate(text):
        taken += _cells(char)
        if taken > room:
            return text[:place]
    return text


def tail(text: str, room: int, *, more: str = "…") -> str:
    """As `cut`, of the end of the text: what is typed is seen where the cursor is."""
    if width(text) <= room:
        return text
    return more + _taken(text[::-1], room - width(more))[::-1] if room >= width(more) else ""


def padded(text: str, room: int, *, more: str = "…") -> str:
    """The text in exactly so many cells."""
    shown = cut(text, room, more=more)
    return shown + " " * (room - width(shown))


def wrapped(text: str, room: int) -> Iterator[str]:
    """A visible text in lines of at most so many cells, broken between words where that is possible."""
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width(joined) <= room:
            line = joined
            continue
        if line:
            yield line
        *full, line = _chopped(word, room)
        yield from full
    yield line


def _chopped(word: str, room: int) -> list[str]:
    pieces = list[str]()
    while width(word) > room and (piece := _taken(word, room)):
        pieces.append(piece)
        word = word[len(piece) :]
    return [*pieces, word if width(word) <= room else ""]


def widest(texts: Iterable[str], *, of: Callable[[str], int] = width) -> int:
    """Cells of the widest of these; 0 of none."""
    return max(map(of, texts), default=0)
