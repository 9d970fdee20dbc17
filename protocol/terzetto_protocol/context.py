"""What a node sees: the state to read, mutations to record, chunks to emit, and where to go next."""

from collections.abc import Callable
from typing import Any, Final, Generic, Literal, TypeAlias, get_args

from msgspec import Raw, Struct
from typing_extensions import TypeVar

from .codec import check_text, pack_plain
from .errors import InvalidRequest
from .ids import effect_key
from .places import Place
from .state import Entry, Mutation

S = TypeVar("S")
T = TypeVar("T")
D = TypeVar("D", default=None)

Phase: TypeAlias = Literal["queued", "started", "output", "finished", "failed"]
_PHASES: Final[tuple[str, ...]] = get_args(Phase)


class Text(Struct, frozen=True):
    """What `emit_text` and `emit_thinking` hand over."""

    text: str
    thinking: bool = False


class Tool(Struct, frozen=True):
    """What `emit_tool` hands over."""

    call_id: str
    tool: str
    phase: Phase
    text: str


class Custom(Struct, frozen=True):
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


class Port(Struct):
    """What a context needs of the world around it; the runtime fills it in, and so do unit tests."""

    pack: Callable[[Any], Entry]
    emit: Callable[[int, Emission], None]
    is_cancelled: Callable[[], bool]
    beat: Callable[[], None] = lambda: None


class LeafContext(Struct, Generic[S, D], weakref=False):
    """The small context: read, record, emit, and look whether the run is being cancelled."""

    state: S
    """The state as of the last commit. Read it; what changes it is `record`."""
    deps: D
    """What `terzetto.bind(graph, deps)` was given."""
    visit: Visit
    port: Port
    """The runtime's side of this context."""
    batch: list[Entry] = []
    """What was recorded so far, encoded; read by the runtime when the body has returned."""
    following: str | None = None
    """Name of the place that `goto` chose; empty after `end`."""
    pausing: bool = False

    def record(self, mutation: Mutation[S], /) -> None:
        """Add a mutation to this visit's batch, which is applied whole when the node has returned.

        It is encoded here and now: what happens to the object afterwards changes nothing. If the node
        raises or is cancelled, the whole batch is dropped. Not a checkpoint.

        Raises:
            NotStorable: it is unlisted, or would not come back from the store as it is.
        """
        self.batch.append(self.port.pack(mutation))

    def emit_text(self, text: str, /) -> None:
        """Show a piece of text to whoever is listening now; it is not stored. Not a checkpoint."""
        self.port.emit(self.visit.visit, Text(check_text(text, "emitted text")))

    def emit_thinking(self, text: str, /) -> None:
        """Show a piece of reasoning; it is not stored. Not a checkpoint."""
        self.port.emit(self.visit.visit, Text(check_text(text, "emitted text"), thinking=True))

    def emit_tool(self, call_id: str, tool: str, phase: Phase, text: str = "") -> None:
        """Show a step in the life of a tool call; it is not stored. Not a checkpoint."""
        for part in (call_id, tool, text):
            check_text(part, "emitted text")
        if phase not in _PHASES:
            raise InvalidRequest(f"{phase!r} is no phase of a tool call: they are {', '.join(_PHASES)}")
        self.port.emit(self.visit.visit, Tool(call_id, tool, phase, text))

    def emit(self, name: str, data: object = None, /) -> None:
        """Show something of the application's own, made of plain data; it is not stored. Not a checkpoint.

        Raises:
            NotStorable: it is not plain data, or holds a NaN, an infinity or a lone surrogate.
        """
        packed = pack_plain(data, f"chunk {check_text(name, 'the name of a chunk')}")
        self.port.emit(self.visit.visit, Custom(name, Raw(packed)))

    def heartbeat(self) -> None:
        """Say that this node still works, which is what its `idle_timeout` waits for. Not a checkpoint.

        `record` and the `emit` family say so too.
        """
        self.port.beat()

    def is_cancelled(self) -> bool:
        """Whether the run is being cancelled or stopped, so that a long computation can leave early."""
        return self.port.is_cancelled()


class NodeContext(LeafContext[S, D], Generic[S, D], weakref=False):
    """Everything of `LeafContext`, and control over what comes next."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.visit.run_id

    @property
    def key(self) -> str:
        """The idempotency key of this visit: the same for every attempt, epoch and process.

        Give it to whatever performs an effect, so that a second attempt is recognised there.
        """
        return effect_key(self.visit.run_id, self.visit.path, self.visit.visit)

    @property
    def fence(self) -> int:
        """Rises with every claim of the run; a receiver that refuses lower ones is safe from frozen processes."""
        return self.visit.fence

    def goto(self, place: Place[S], /) -> None:
        """Go to this node or barrier next, whether an edge leads there or not; the last of goto and end wins."""
        if not isinstance(place, Place):  # a person without a type checker writes goto("name")
            raise TypeError(f"goto takes the node or barrier itself, not {place!r}")
        self.following = place.name

    def end(self) -> None:
        """End the run after this visit; the last of goto and end wins."""
        self.following = ""

    def pause(self) -> None:
        """Park the run at the commit boundary of this visit, until somebody resumes it; independent of goto and end."""
        self.pausing = True


class ItemContext(NodeContext[S, D], Generic[S, T, D], weakref=False, kw_only=True):
    """Everything of `NodeContext`, for a node in a branch of a map: `terzetto.ItemContext[State, Item]`."""

    item: T
    """This branch's item, as it was when the map was entered; a copy of its own."""
    index: int
    """Its position among the items, from 0."""
