"""What a context says to the world around it, and how: chunks, questions, and which visit it is."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, Protocol, TypeAlias

from msgspec import Raw, Struct

from .blobs import BlobKeeper
from .decisions import Answering
from .errors import InvalidRequest
from .questions import AskDecision, Inner, Part, Sending
from .state import Entry

Phase: TypeAlias = Literal["queued", "started", "output", "finished", "failed"]


class Thinking(Struct, frozen=True, gc=False):
    """What `emit_thinking` hands over."""

    text: str


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


Emission = str | Thinking | Tool | Custom
"""What a node says while it works; a text is what `emit_text` hands over."""


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


_NAMES: Final = ("pack", "emit", "is_cancelled", "beat", "decide", "do", "run", "send", "limit", "blobs")


class Port(Protocol):
    """What a context needs of the world around it."""

    @property
    def pack(self) -> Callable[[Any], Entry]:
        """Encodes what is recorded."""
        ...

    @property
    def emit(self) -> Callable[[int, Emission], None]:
        """Shows a chunk on behalf of a visit."""
        ...

    @property
    def blobs(self) -> BlobKeeper | None:
        """Where the run's blobs are."""
        ...

    @property
    def is_cancelled(self) -> Callable[[], bool]:
        """Says whether the run is being cancelled."""
        ...

    @property
    def beat(self) -> Callable[[], None]:
        """Told of every sign of life."""
        ...

    @property
    def decide(self) -> Callable[[int, AskDecision], Awaitable[Answering]]:
        """Waits for a decision on behalf of a visit."""
        ...

    @property
    def do(self) -> Callable[[int, Part], Awaitable[Any]]:
        """Does a part of a visit's work, unless its result is known."""
        ...

    @property
    def run(self) -> Callable[[int, Inner], Awaitable[Any]]:
        """Runs a graph within a visit, and waits for its end."""
        ...

    @property
    def send(self) -> Callable[[int, Sending], Awaitable[None]]:
        """Sends a value on behalf of a visit of a dataflow."""
        ...

    @property
    def limit(self) -> Callable[[int, Limit | None], None]:
        """Told who knows when a visit's time is over, when that begins to run, and None when the visit ends."""
        ...


class PortOf:
    """A port that is made of functions: for unit tests, and to change some of another one's."""

    def __init__(
        self,
        pack: Callable[[Any], Entry],
        emit: Callable[[int, Emission], None],
        is_cancelled: Callable[[], bool],
        *,
        beat: Callable[[], None] = lambda: None,
        decide: Callable[[int, AskDecision], Awaitable[Answering]] = no_runtime,
        do: Callable[[int, Part], Awaitable[Any]] = no_runtime,
        run: Callable[[int, Inner], Awaitable[Any]] = no_runtime,
        send: Callable[[int, Sending], Awaitable[None]] = no_runtime,
        limit: Callable[[int, Limit | None], None] = lambda visit, limit: None,
        blobs: BlobKeeper | None = None,
    ) -> None:
        self.pack, self.emit, self.is_cancelled, self.beat, self.blobs = pack, emit, is_cancelled, beat, blobs
        self.decide, self.do, self.run, self.send, self.limit = decide, do, run, send, limit


def port_like(port: Port, **changes: Any) -> PortOf:
    """A port like another one, but for some of its functions."""
    return PortOf(**{name: changes.get(name) or getattr(port, name) for name in _NAMES})
