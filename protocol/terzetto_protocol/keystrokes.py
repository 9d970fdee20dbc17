"""Keystrokes: bytes of a terminal decoded into keys, however they are cut up on the way.

A key is a printable character, or a name of several letters such as `up`. What was pasted is one thing of its own:
no letter of it is a key. Sequences that mean nothing here are swallowed whole: no piece
of one is taken for keys.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import frozen


@frozen
class Key:
    """One key: a printable character, or a name such as `up`, `enter` or `ctrl-u`."""

    name: str

    @property
    def text(self) -> str:
        """What it types; empty for a key that types nothing."""
        return self.name if len(self.name) == 1 else ""


@frozen
class Pasted:
    """Text that came all at once out of the clipboard."""

    text: str


Typed: TypeAlias = Key | Pasted

ESCAPE_WAIT: Final = 0.05
"""How long after an escape nothing may come until it was the key, seconds: then call `flush`."""
_LONGEST: Final = 4096
"""Characters of a sequence, after which it is none."""
_PASTED: Final = 65536
"""Characters of a paste that are kept."""
_BEGIN: Final = "\x1b[200~"
_END: Final = "\x1b[201~"
_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[0-?]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[^\[O\]PX^_\x1b])"
)
_BEGUN: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O[0-?]*|[\]PX^_][^\x07\x1b]*\x1b?)?\Z")
"""A sequence of which the end has not come."""
_LETTERS: Final = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "back-tab", "M": "enter",
}  # fmt: skip
_NUMBERS: Final = {
    "1": "home", "2": "insert", "3": "delete", "4": "end", "5": "page-up", "6": "page-down", "7": "home", "8": "end",
}  # fmt: skip
_CONTROLS: Final = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace"}


class Keystrokes:
    """What a terminal sends, as keys; `feed` takes bytes in pieces of any size."""

    def __init__(self) -> None:
        self._decoder: Final = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._paste: str | None = None
        """What was pasted by now; None outside of a paste."""

    @property
    def waiting(self) -> bool:
        """Whether an escape, or the begin of a sequence, waits for what follows: call `flush` when nothing does."""
        return bool(self._rest) and self._paste is None

    def feed(self, data: bytes) -> list[Typed]:
        """Take what has come; the keys that are whole, in order."""
        self._rest += self._decoder.decode(data)
        return list(self._keys())

    def flush(self) -> list[Typed]:
        """Nothing has followed for a while: an escape that stands alone was the key, and half a sequence is none."""
        if not self.waiting:
            return []
        alone, self._rest = self._rest == "\x1b", ""
        return [Key("escape")] if alone else []

    def _keys(self) -> Iterator[Typed]:
        while self._rest:
            if self._paste is not None:
                if not self._pasting():
                    return
                yield Pasted(self._paste)
                self._paste = None
            elif self._rest[0] != "\x1b":
                char, self._rest = self._rest[0], self._rest[1:]
                yield from _typed(char)
            elif (found := _SEQUENCE.match(self._rest)) is not None:
                self._rest = self._rest[found.end() :]
                if found[0] == _BEGIN:
                    self._paste = ""
                else:
                    yield from _named(found[0])
            elif _BEGUN.match(self._rest) and len(self._rest) <= _LONGEST:
                return
            else:
                yield from self._broken()

    def _broken(self) -> Iterator[Typed]:
        """An escape that begins nothing: the key, where another follows; else the begin of what is not understood."""
        alone = self._rest[1:2] == "\x1b"
        self._rest = self._rest[1:] if alone else ""
        if alone:
            yield Key("escape")

    def _pasting(self) -> bool:
        """Take more of a paste; True at its end."""
        assert self._paste is not None
        text, end, rest = self._rest.partition(_END)
        held = 0 if end else next(n for n in range(len(_END) - 1, -1, -1) if text.endswith(_END[:n]))
        self._rest = rest if end else text[len(text) - held :]
        self._paste = (self._paste + text[: len(text) - held])[:_PASTED]
        return bool(end)


def _typed(char: str) -> Iterator[Key]:
    """A character outside of a sequence."""
    if char in _CONTROLS:
        yield Key(_CONTROLS[char])
    elif "\x01" <= char <= "\x1a":
        yield Key(f"ctrl-{chr(ord(char) + 0x60)}")
    elif char.isprintable():
        yield Key(char)


def _named(sequence: str) -> Iterator[Key]:
    """The key of a whole sequence, if it is one that we know; Alt and the others beside it make no difference."""
    body, last = sequence[1:-1], sequence[-1]
    if body[:1] not in ("[", "O"):
        return
    numbers = body[1:].split(";")
    if last == "~" and numbers[0] in _NUMBERS:
        yield Key(_NUMBERS[numbers[0]])
    elif last in _LETTERS and (last != "M" or body == "O"):
        yield Key(_LETTERS[last])
