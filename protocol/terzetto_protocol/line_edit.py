"""A line that a person types: text, cursor, and what keys do to them."""

from typing import Final

from attrs import define

from .keystrokes import Key, Pasted, Typed

TYPED: Final = 65536
"""Characters of a line, at most."""


@define
class LineEdit:
    """A line under the cursor."""

    text: str = ""
    cursor: int = 0
    """Characters before it."""

    @classmethod
    def at_end(cls, text: str) -> "LineEdit":
        """A line that is there already, with the cursor behind it."""
        return cls(text, len(text))

    def feed(self, typed: Typed) -> None:
        """Take a key or a paste; what means nothing here does nothing."""
        if isinstance(typed, Pasted):
            self._insert(" ".join(typed.text.splitlines()))
        elif typed.text:
            self._insert(typed.text)
        else:
            self._edit(typed)

    def _insert(self, text: str) -> None:
        text = text[: TYPED - len(self.text)]
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def _edit(self, key: Key) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match key.name:
            case "left" | "ctrl-b":
                self.cursor = max(0, self.cursor - 1)
            case "right" | "ctrl-f":
                self.cursor = min(len(self.text), self.cursor + 1)
            case "home" | "ctrl-a":
                self.cursor = 0
            case "end" | "ctrl-e":
                self.cursor = len(self.text)
            case "backspace":
                self._set(before[:-1], after)
            case "delete" | "ctrl-d":
                self._set(before, after[1:])
            case "ctrl-w":
                self._set(before.rstrip()[: before.rstrip().rfind(" ") + 1], after)
            case "ctrl-u":
                self._set("", after)
            case "ctrl-k":
                self._set(before, "")
            case _:
                pass

    def _set(self, before: str, after: str) -> None:
        self.text, self.cursor = before + after, len(before)
