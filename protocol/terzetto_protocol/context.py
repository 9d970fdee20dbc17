"""What a node sees: the state to read, mutations to record, chunks to emit, and where to go next."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, get_args, overload

from msgspec import Raw, Struct
from typing_extensions import TypeVar

from .blobs import Blob, BlobData, BlobKeeper, BlobReader
from .codec import check_text, pack_plain, unpack_plain
from .composites import Lens, call_name, exit_name
from .decisions import Answering, Exiting, Fail, Recorded, Reject
from .errors import InvalidRequest, describe
from .flow_state import FlowState
from .forms import Form
from .ids import check_name, check_seconds, effect_key
from .limits import BLOB_READ, OBSERVED_LENGTH, OBSERVED_VISIT
from .places import Place
from .questions import AskDecision, Inner, Part, RunGraph, Sending, key_of
from .records import ErrorLevel, Observed, ObservedError
from .state import Entry, Mutation

if TYPE_CHECKING:
    from .declaration import Declaration

S = TypeVar("S")
T = TypeVar("T")
D = TypeVar("D", default=None)

Phase: TypeAlias = Literal["queued", "started", "output", "finished", "failed"]
_PHASES: Final[tuple[str, ...]] = get_args(Phase)
_LEVELS: Final[tuple[str, ...]] = get_args(ErrorLevel)


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
    asked: dict[str, int] | None = None
    """How often each question was asked in this visit."""
    observed: Observed | None = None
    """What was reported so far; read by the runtime when the body has ended."""

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

    def report(self, error: BaseException | str, /, *, level: ErrorLevel = "warning") -> None:
        """Say that something went wrong which ends neither this node nor its run. Not a checkpoint.

        It is stored with the commit of this attempt, also of one that fails, and is then an `ErrorObserved` and
        part of the run's result. An attempt that is cancelled commits nothing, and reports nothing.

        Args:
            error: what happened; of an exception its type and message are kept, and nothing else.
            level: `"warning"` is worth a look; `"degraded"`: the result is worse than it should be;
                `"partial_failure"`: a part of it is missing.
        """
        if level not in _LEVELS:
            raise InvalidRequest(f"{level!r} is no level of an error: they are {', '.join(_LEVELS)}")
        self.port.beat()
        text = check_text(error, "a reported error") if isinstance(error, str) else describe(error)
        if len(text) > OBSERVED_LENGTH:
            text = f"{text[:OBSERVED_LENGTH]}... ({len(text)} characters)"
        visit = self.visit
        node = f"{visit.path}/{visit.node}" if visit.path else visit.node
        reported = ObservedError(level, text, node, visit.visit)
        self.observed = (self.observed or Observed()).plus(reported, OBSERVED_VISIT)

    def heartbeat(self) -> None:
        """Say that this node still works, which is what its `idle_timeout` waits for. Not a checkpoint.

        `record`, `report` and the `emit` family say so too.
        """
        self.port.beat()

    def is_cancelled(self) -> bool:
        """Whether the run is being cancelled or stopped, so that a long computation can leave early.

        To a plain `def` in its thread it says that this function was cancelled or has timed out: whatever it still
        does, returns or raises counts for nothing.
        """
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

    def decision(
        self,
        name: str,
        /,
        *,
        payload: object = None,
        timeout: float | None = None,
        on_timeout: Exiting | Fail | None = None,
        exits: Sequence[str] = ("approved", "rejected"),
    ) -> Awaitable[Answering]:
        """Wait inside this node until somebody decides; the decision is durable when this returns. A checkpoint.

        The run stays RUNNING and keeps its slot: a barrier node is cheaper where people take their time. No timeout of
        the node passes meanwhile. After a restart the node runs again from its top, and is told what was decided
        before at once. Cancelled, the question stays open until the visit ends. Not for `once` nodes.

        Args:
            name: how it is shown and decided; the second question of a name in one visit is another one.
            payload: what the person is shown: plain data.
            timeout: seconds until it decides by itself.
            on_timeout: what it decides then (`Reject()` unless said otherwise), or `Fail()`, which raises.
            exits: what may be decided: `Approve()`, `Reject()`, or `Choose(name)`.

        Raises:
            DecisionTimeout: nobody decided in time, and `on_timeout` is `Fail()`.
        """
        number = self._count(f"decision:{name}")
        question = AskDecision(
            key_of("decision", name, number),
            check_name(name),
            number,
            Raw(pack_plain(payload, f"the payload of {name}")),
            check_seconds(timeout, "timeout"),
            Reject() if on_timeout is None else on_timeout,
            tuple(exits),
        )
        return self.port.decide(self.visit.visit, question)

    @overload
    def effect(self, name: str, fn: Callable[[str], Awaitable[T]], /, *, result: type[T]) -> Awaitable[T]: ...
    @overload
    def effect(self, name: str, fn: Callable[[str], Awaitable[T]], /) -> Awaitable[T]: ...
    def effect(self, name: str, fn: Callable[[str], Awaitable[Any]], /, *, result: Any = None) -> Awaitable[Any]:
        """Do a part of this node's work whose result is stored, so that a node that runs again does not repeat it.

        `fn` gets an idempotency key of its own, the same on every attempt: a process that dies between the
        effect and its store does it again under the same key. The result is durable when this returns. A
        checkpoint. Cancelled, the effect may have happened, and is then done again by whoever runs the node next.

        Args:
            name: the part; the second of a name in one visit is another one.
            fn: `await fn(key)` does it and returns what came of it.
            result: the type of what it returns, if that is more than plain data.

        Raises:
            NotStorable: the result would not come back from the store as it is.
        """
        key = key_of("effect", name, self._count(f"effect:{name}"))
        what, form = f"the result of {key}", None if result is None else Form[Any](result)
        part = Part(
            key,
            effect_key(self.visit.run_id, self.visit.path, self.visit.visit, key),
            fn,
            lambda made: pack_plain(made, what) if form is None else form.pack(made, what),
            lambda data: unpack_plain(data) if form is None else form.unpack(data, what),
        )
        return self.port.do(self.visit.visit, part)

    @overload
    def run(self, graph: "Declaration[T, Any]", state: T, /) -> Awaitable[T]: ...
    @overload
    def run(self, graph: "Declaration[T, Any]", /, *, lens: Lens[S, T]) -> Awaitable[T]: ...
    def run(self, graph: "Declaration[Any, Any]", state: Any = None, /, *, lens: Lens[S, Any] | None = None) -> Any:
        """Run another graph inside of this node, and return the state with which it ended. A checkpoint.

        Its visits are commits of this run, under this node's path: barriers, streams and cancellation work inside, and
        after a crash it goes on where it was, while this node runs again from its top and is told the end. Cancelled,
        its nodes are cancelled and it is over. The node has to declare the graph: `@graph.node(runs=[graph])`. Not for
        `once` nodes.

        Args:
            graph: the inner graph; the second run of the same one in a visit is another one.
            state: the inner state to begin with.
            lens: makes the inner state of the outer one, and has its end change the outer state when this node ends
                well; then no `state` is given. It is declared in the place of the graph: `runs=[lens]`.

        Raises:
            SubgraphFailed: it failed; the state outside is what it was.
            InvalidRequest: this node does not declare it.
            NotStorable: the state would not come back from the store as it is.
        """
        number, form = self._count(f"run:{graph.name}"), graph.build().state
        data = form.copy(state)[0] if lens is None else lens.enter(self.state)
        name = exit_name(call_name(self.visit.node, graph.name))
        question = RunGraph(key_of("run", graph.name, number), graph, number, data, lens)

        def leave(final: bytes) -> None:
            if lens is not None:
                self.batch.append(Recorded(name, Raw(final)))

        return self.port.run(self.visit.visit, Inner(question, form.unpack, leave))

    def blob(
        self, data: BlobData, /, *, media_type: str = "application/octet-stream", name: str = ""
    ) -> Awaitable[Blob]:
        """Store what is too large for a state, and return the name to record; it is durable when this returns.

        A checkpoint. Bytes that the store has already are not stored again. Pieces are read and stored one after the
        other, so that any of them is in memory for a moment only. Cancelled, nothing of it can be read by anybody, and
        what was stored is swept. A blob is kept as long as a run is kept that has put it, or whose input or records
        name it.

        Args:
            data: bytes, or an iterable of them: a plain one is asked for each piece on the event loop, an asynchronous
                one (a file, a stream, a response) is closed if it is a generator.
            media_type: what the bytes are.
            name: how people know it.

        Raises:
            NotStorable: there are too many bytes, or one of the texts cannot be stored.
        """
        return self._blobs.put(data, media_type=media_type, name=name, run_id=self.visit.run_id)

    def open_blob(self, blob: Blob, /) -> BlobReader:
        """Read a blob chunk by chunk: `async with ctx.open_blob(blob) as reader: async for chunk in reader`.

        Not a checkpoint, which each chunk is.
        """
        return self._blobs.open(blob)

    def blob_bytes(self, blob: Blob, /, *, limit: int = BLOB_READ) -> Awaitable[bytes]:
        """All bytes of a blob at once. A checkpoint; raises as a reader does.

        Args:
            blob: its name.
            limit: bytes; more are refused with `InvalidRequest`.
        """
        return self._blobs.read(blob, limit=limit)

    @property
    def _blobs(self) -> BlobKeeper:
        if self.port.blobs is None:
            raise InvalidRequest("blobs need a runtime, terzetto.run, or testing.context")
        return self.port.blobs

    def _count(self, question: str) -> int:
        """How often this was asked before in this visit."""
        if self.asked is None:
            self.asked = {}
        number = self.asked.get(question, 0)
        self.asked[question] = number + 1
        return number

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


class FlowContext(NodeContext[FlowState, D], Generic[D], weakref=False, kw_only=True):
    """What a node of a dataflow gets: it sends, instead of recording and choosing what comes next."""

    inputs: dict[str, Any]
    """What it was called with."""

    def send(self, output: str, value: object, /) -> Awaitable[None]:
        """Send a value; it is durable when this returns, and goes on along its links at once. A checkpoint.

        A node that runs again after a crash sends again: what has gone on already is passed over, and has to be the
        same value. Cancelled, it may or may not have been sent.

        Raises:
            InvalidRequest: the node has no such output.
            NotStorable: the value is not of the output's type, or would not come back from the store.
            NonDeterministicOutput: an earlier attempt sent another value in its place.
        """
        return self.port.send(self.visit.visit, Sending(f"send:{self._count('send')}", output, value))
