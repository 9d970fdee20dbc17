"""What a screen asks a person: a line to type, or one of several things to choose."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define, field

from .keystrokes import Key, Pasted, Typed
from .line_edit import LineEdit


@define(eq=False)
class LinePrompt:
    """Asks for a line; Enter answers, Escape leaves everything as it was."""

    title: str
    then: Callable[[str], None]
    line: LineEdit = field(factory=LineEdit)
    heard: Callable[[str], None] = lambda _: None
    """Told of every change while it is typed."""
    left: Callable[[], None] = lambda: None
    """Told of an Escape."""

    def feed(self, typed: Typed) -> bool:
        """Take a key; True when the prompt is over."""
        match typed:
            case Key("enter"):
                self.then(self.line.text)
                return True
            case Key("escape"):
                self.left()
                return True
            case _:
                self.line.feed(typed)
                self.heard(self.line.text)
                return False


@define(eq=False)
class PickPrompt:
    """Asks for one of several; arrows or the number choose, Enter answers, Escape leaves everything as it was."""

    title: str
    choices: Sequence[str]
    then: Callable[[int], None]
    at: int = 0

    def feed(self, typed: Typed) -> bool:
        """Take a key; True when the prompt is over."""
        match typed:
            case Key("enter"):
                self.then(self.at)
                return True
            case Key("escape"):
                return True
            case Key("up" | "k"):
                self.at = max(0, self.at - 1)
            case Key("down" | "j"):
                self.at = min(len(self.choices) - 1, self.at + 1)
            case Key(name) if name.isascii() and name.isdecimal() and 1 <= int(name) <= len(self.choices):
                self.at = int(name) - 1
            case Key() | Pasted():
                pass
        return False


Prompt: TypeAlias = LinePrompt | PickPrompt
