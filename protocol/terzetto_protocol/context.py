"""What a node sees: the state to read, mutations to record, chunks to emit, and where to go next."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, overload

from msgspec import Raw, Struct
from msgspec.structs import replace
from typing_extensions import TypeVar

from .asking import Asking
from .composites import Lens, call_name, exit_name
from .decisions import Recorded
from .places import Place
from .port import Port, Visit
from .questions import Inner, RunGraph, Sending, key_of
from .remarks import NO_REMARKS, THE_END, Remarks
from .speaking import Speaking
from .state import Entry, Mutation

if TYPE_CHECKING:
    from .declaration import Declaration

S = TypeVar("S")
T = TypeVar("T")
D = TypeVar("D", default=None)


class LeafContext(Struct, Speaking, Generic[S, D], weakref=False):
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
    remarks: Remarks = NO_REMARKS
    """What was said so far besides; read by the runtime when the body has ended."""
    asked: dict[str, int] | None = None
    """How often each question was asked in this visit."""

    def record(self, mutation: Mutation[S], /) -> None:
        """Add a mutation to this visit's batch, which is applied whole when the node has returned.

        It is encoded here and now: what happens to the object afterwards changes nothing. If the node
        raises or is cancelled, the whole batch is dropped. Not a checkpoint.

        Raises:
            NotStorable: it is unlisted, or would not come back from the store as it is.
        """
        self.batch.append(self.port.pack(mutation))


class NodeContext(LeafContext[S, D], Asking, Generic[S, D], weakref=False):
    """Everything of `LeafContext`, and control over what comes next."""

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
        data = graph.first(state)[0] if lens is None else lens.enter(self.state)
        name = exit_name(call_name(self.visit.node, graph.name))
        question = RunGraph(key_of("run", graph.name, number), graph, number, data, lens)

        def leave(final: bytes) -> None:
            if lens is not None:
                self.batch.append(Recorded(name, Raw(final)))

        return self.port.run(self.visit.visit, Inner(question, form.unpack, leave))

    def goto(self, place: Place[S], /) -> None:
        """Go to this node or barrier next, whether an edge leads there or not; the last of goto and end wins."""
        if not isinstance(place, Place):  # a person without a type checker writes goto("name")
            raise TypeError(f"goto takes the node or barrier itself, not {place!r}")
        self.remarks = replace(self.remarks, next=place.name)

    def end(self) -> None:
        """End the run after this visit; the last of goto and end wins."""
        self.remarks = THE_END if self.remarks is NO_REMARKS else replace(self.remarks, next="")

    def pause(self) -> None:
        """Park the run at the commit boundary of this visit, until somebody resumes it; independent of goto and end."""
        self.remarks = replace(self.remarks, pause=True)


class ItemContext(NodeContext[S, D], Generic[S, T, D], weakref=False, kw_only=True):
    """Everything of `NodeContext`, for a node in a branch of a map: `terzetto.ItemContext[State, Item]`."""

    item: T
    """This branch's item, as it was when the map was entered; a copy of its own."""
    index: int
    """Its position among the items, from 0."""


class FlowContext(Struct, Speaking, Asking, Generic[D], weakref=False):
    """What a node of a dataflow gets: it sends, instead of recording and choosing what comes next."""

    inputs: dict[str, Any]
    """What it was called with."""
    deps: D
    """What `terzetto.bind(flow, deps)` was given."""
    visit: Visit
    port: Port
    """The runtime's side of this context."""
    asked: dict[str, int] | None = None
    """How often each question was asked in this visit."""
    remarks: Remarks = NO_REMARKS
    """What was said so far besides; read by the runtime when the body has ended."""

    def send(self, output: str, value: object, /) -> Awaitable[None]:
        """Send a value; it is durable when this returns, and goes on along its links at once. A checkpoint.

        A node that runs again after a crash sends again: what has gone on already is passed over, and has to be the
        same value. Cancelled, it may or may not have been sent.

        Raises:
            InvalidRequest: the node has no such output.
            NotStorable: the value is not of the output's type, or would not come back from the store.
            NonDeterministicOutput: an earlier attempt sent another value in its place.
            Refused: it was sent, and makes more visits than the run may: the run fails when this node has ended.
        """
        return self.port.send(self.visit.visit, Sending(f"send:{self._count('send')}", output, value))


AnyContext: TypeAlias = LeafContext[Any, Any] | FlowContext[Any]
"""What bodies get, whatever they are."""
