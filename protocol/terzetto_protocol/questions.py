"""What a body asks while it runs, and what it is told: decisions, journalled results, graphs that it runs.

A question has a key, `kind:name` and its number within the visit. The answer is stored under it with the
visit, so that a body that runs again after a crash gets the same answers at once.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from msgspec import Raw, Struct

from .decisions import Exiting, Fail, Reject


class AskDecision(Struct, frozen=True):
    """A body waits for somebody to decide."""

    key: str
    name: str
    number: int
    """How often it asked under this name before, in this visit."""
    payload: Raw
    timeout: float | None = None
    """Seconds."""
    on_timeout: Exiting | Fail = Reject()
    exits: tuple[str, ...] = ("approved", "rejected")


class Journal(Struct, frozen=True):
    """A body has a result that must not be made twice."""

    key: str
    value: bytes
    """msgpack."""


class Sending(Struct, frozen=True):
    """A node of a dataflow sends a value."""

    key: str
    """What it is answered under; its number is counted where it is committed."""
    output: str
    value: Any


class RunGraph(Struct, frozen=True):
    """A body runs a graph and waits for its end."""

    key: str
    graph: Any
    """The declaration: it has to be one of those that its node says it runs."""
    number: int
    """How many graphs of this name it ran before, in this visit."""
    state: bytes
    lens: Any = None
    """The declared lens, if its end is to change the state outside."""


Question: TypeAlias = AskDecision | Journal | Sending | RunGraph


class Part(Struct, frozen=True):
    """A part of a visit's work whose result is to be stored."""

    key: str
    effect_key: str
    """What `fn` gets: the same on every attempt."""
    fn: Callable[[str], Awaitable[Any]]
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]


class Inner(Struct, frozen=True):
    """A graph that a visit runs, and what is to become of its end."""

    question: RunGraph
    unpack: Callable[[bytes], Any]
    leave: Callable[[bytes], None]
    """Notes what its end does to the state outside."""

    @property
    def key(self) -> str:
        """What it is answered under."""
        return self.question.key


def key_of(kind: str, name: str, number: int) -> str:
    """The key of a visit's question: `kind:name`, with `.n` from the second of its name on."""
    return f"{kind}:{name}.{number}" if number else f"{kind}:{name}"
