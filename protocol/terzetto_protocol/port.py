"""What a context says to the world around it, and how: chunks, questions, and which visit it is."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeAlias

from msgspec import Raw, Struct

from .blobs import BlobKeeper
from .decisions import Answering
from .errors import InvalidRequest
from .questions import AskDecision, Inner, Part, Sending
from .state import Entry

Phase: TypeAlias = Literal["queued", "started", "output", "finished", "failed"]


class Text(Struct, frozen=True, gc=False):
    """What `emit_text` and `emit_thinking` hand over."""

    text: str
    thinking: bool = False


class Tool(Struct, frozen=True, gc=False):
    """What `emit_tool` hands over."""

    call_id: str
    tool: str
    phase: Phase
    text: str


class Custom(Struct, frozen=True, gc=False):
    """What `emit` hands over."""

    name: str
    data: Raw


Emission = Text | Tool | Custom


class Visit(Struct, frozen=True, gc=False):
    """Which execution of which node this is."""

    run_id: str
    node: str
    visit: int
    attempt: int
    path: str = ""
    fence: int = 0
    """The epoch of the claim under which it runs: a receiver that keeps the highest can refuse a stale one."""


def no_runtime(visit: int, question: Any) -> Any:
    """Refuse what only a runtime can do."""
    raise InvalidRequest(f"{question.key} needs a runtime, or answers that a unit test gives to testing.context")


Limit: TypeAlias = Callable[[], tuple[float, str]]
"""Says when the time of a visit is over, by Trio's clock, and in words which timeout that is."""


class Port(Struct):
    """What a context needs of the world around it; the runtime fills it in, and so do unit tests."""

    pack: Callable[[Any], Entry]
    emit: Callable[[int, Emission], None]
    is_cancelled: Callable[[], bool]
    beat: Callable[[], None] = lambda: None
    decide: Callable[[int, AskDecision], Awaitable[Answering]] = no_runtime
    """Wait for a decision on behalf of a visit."""
    do: Callable[[int, Part], Awaitable[Any]] = no_runtime
    """Do a part of a visit's work, unless its result is known."""
    run: Callable[[int, Inner], Awaitable[Any]] = no_runtime
    """Run a graph within a visit, and wait for its end."""
    send: Callable[[int, Sending], Awaitable[None]] = no_runtime
    """Send a value on behalf of a visit of a dataflow."""
    limit: Callable[[int, Limit | None], None] = lambda visit, limit: None
    """Told who knows when a visit's time is over, when that begins to run, and None when the visit ends."""
    blobs: BlobKeeper | None = None
    """Where the run's blobs are."""
