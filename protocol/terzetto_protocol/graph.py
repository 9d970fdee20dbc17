"""Declaring a graph: state, mutations, nodes, barriers, edges, one start.

A graph is open until its first `build()` (which the first submit does) and frozen from then on, so
that any number of runs can share it. All mistakes are reported at once.
"""

import inspect
import typing
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Generic, Protocol, cast, get_args, get_origin, overload

from attrs import frozen
from typing_extensions import TypeVar

from .checkpoints import CheckpointPolicy
from .composites import Errors, ForkOptions, Lens, Map, Merge, Parallel, Subgraph
from .context import ItemContext, LeafContext, NodeContext
from .decisions import Confirm, Exiting, Fail, Reject
from .declaration import Declaration
from .errors import GraphError
from .keyed import KeyedState
from .limits import MAX_STEPS
from .migrations import Migration
from .mistakes import find_mistakes
from .places import (
    Asks,
    Barrier,
    BarrierOptions,
    Edge,
    Effects,
    Exit,
    ItemNode,
    Node,
    NodeOptions,
    OnCancel,
    Place,
    Probe,
    Source,
    as_node,
    key_of,
)
from .retry import RetryPolicy
from .state import Mutation

S = TypeVar("S")
T = TypeVar("T")
D = TypeVar("D", default=None)
R = TypeVar("R", Awaitable[None], None)


class Graph(Declaration[S, D]):
    """A declaration that any number of runs share.

    Args:
        name: stored with every run; `(name, version)` finds the code again after a restart.
        state: an attrs class, a dataclass or a msgspec Struct.
        mutations: every class whose instances nodes may record, stored under its name.
        deps: type of what nodes get as `ctx.deps`; a graph that has one is given to a runtime by
            `terzetto.bind(graph, deps)`.
        version: several versions may be live; a run stays with the one it was submitted under.
        max_steps: visits that a run may make unless its submit says otherwise.
        restore: called with a state that was just decoded, to rebuild its transient fields.
        migrations: what leads runs of older versions on to this one, oldest first.
        checkpoints: which commits of its runs carry a snapshot, unless their submit says otherwise; a graph inside
            of another has the outer one's.
    """

    def __init__(
        self,
        name: str,
        *,
        state: type[S],
        mutations: Iterable[type[Mutation[S]]] = (),
        deps: type[D] | None = None,
        version: str = "1",
        max_steps: int = MAX_STEPS,
        restore: Callable[[S], None] | None = None,
        migrations: Sequence[Migration] = (),
        checkpoints: CheckpointPolicy | None = None,
    ) -> None:
        super().__init__(
            name,
            state=state,
            mutations=_listed(state, tuple(mutations)),
            deps=deps,
            version=version,
            max_steps=max_steps,
            restore=restore,
            migrations=migrations,
            checkpoints=checkpoints,
        )
        self.strangers: Final[list[str]] = []

    @overload
    def node(  # type: ignore[overload-overlap]  # what takes every context is a plain node
        self, fn: Callable[[NodeContext[S, D]], R], /
    ) -> Node[S, D, R]: ...
    @overload
    def node(self, fn: Callable[[ItemContext[S, T, D]], R], /) -> ItemNode[S, T, D, R]: ...
    @overload
    def node(
        self,
        /,
        *,
        effects: Effects = ...,
        has_side_effects: bool = ...,
        probe: "Probe[S, D] | None" = ...,
        name: str = ...,
        max_visits: int | None = ...,
        token_cost: float = ...,
        retry: RetryPolicy | None = ...,
        run_timeout: float | None = ...,
        idle_timeout: float | None = ...,
        on_cancel: OnCancel | None = ...,
        thread: bool | None = ...,
        runs: "Sequence[Declaration[Any, Any] | Lens[S, Any]]" = ...,
    ) -> "Declare[S, D]": ...
    def node(
        self,
        fn: Callable[..., Any] | None = None,
        /,
        *,
        effects: Effects = "repeatable",
        has_side_effects: bool = False,
        probe: "Probe[S, D] | None" = None,
        name: str = "",
        max_visits: int | None = None,
        token_cost: float = 0.0,
        retry: RetryPolicy | None = None,
        run_timeout: float | None = None,
        idle_timeout: float | None = None,
        on_cancel: OnCancel | None = None,
        thread: bool | None = None,
        runs: "Sequence[Declaration[Any, Any] | Lens[S, Any]]" = (),
    ) -> Any:
        """Declare a step; the decorated function stays callable.

        A plain `def` runs in a thread, so that it may block: see `on_cancel` and `thread`.

        Args:
            effects: `"pure"` may be re-run and may run ahead of the disk; `"repeatable"` runs at least
                once, with the same `ctx.key` on every attempt; `"once"` is started once, and again only
                when a person or `probe` says so.
            has_side_effects: the same as `effects="once"`.
            probe: for a `once` node whose process died in its body: `await probe(ctx)` says whether the
                effect happened (True; what it recorded is the visit's result), did not happen (False:
                the visit starts again) or cannot be told (None: a person is asked).
            name: how the node is stored and shown; default: the function's name.
            max_visits: the run fails when a visit more begins.
            token_cost: cost of one visit, in the application's own unit, summed up in statistics.
            retry: how often a failed attempt is made again, and when; not for `once` nodes.
            run_timeout: seconds that one attempt may take; then it is cancelled and has failed.
            idle_timeout: seconds that it may take between two signs of life (`record`, `emit`, `heartbeat`).
            on_cancel: what a cancel or a timeout does to a plain `def` in its thread. `"wait"` (the default) waits
                until it returns, which a function that looks at `ctx.is_cancelled()` does soon; `"abandon"` goes on
                without it. Either way whatever comes of it counts for nothing.
            thread: False runs a plain `def` right on the event loop, which it must not block: for a computation
                that is shorter than the way to a thread and back.
            runs: graphs that the body may run by `await ctx.run(...)`, with a lens where one is used.
        """
        chosen: Effects = "once" if has_side_effects and effects == "repeatable" else effects
        inner = tuple(each if isinstance(each, Lens) else Lens[S, Any](each) for each in runs)
        timeouts = run_timeout, idle_timeout
        options = NodeOptions[S, D](
            chosen, probe, max_visits, token_cost, has_side_effects, retry, *timeouts, on_cancel, thread, inner
        )

        def add(wrapped: Callable[..., Any]) -> Node[S, D, Any]:
            return self._add_node(wrapped, name, options)

        return add if fn is None else add(fn)

    def barrier(
        self,
        name: str,
        *,
        timeout: float | None = None,
        on_timeout: Exiting | Fail | None = None,
        exits: Sequence[str] = ("approved", "rejected"),
        payload: Callable[[S], object] | None = None,
        decided: Callable[[Exiting], Sequence[Mutation[S]]] | None = None,
    ) -> Barrier[S]:
        """Declare a point where runs wait for a decision.

        Args:
            name: how the barrier is stored, shown and decided.
            timeout: seconds until it decides by itself, counted from its opening, also while no process runs.
            on_timeout: what it decides then (`Reject()` unless said otherwise), or `Fail()`; needs a `timeout`.
            exits: names of the ways out; edges start from `barrier.exit(name)`.
            payload: what the person is shown: plain data made from the state.
            decided: mutations that a decision amounts to, committed together with it.
        """
        options = BarrierOptions(timeout, Reject() if on_timeout is None else on_timeout, payload, decided)
        names = (exits,) if isinstance(exits, str) else exits  # one text is one exit, not a letter each
        barrier = Barrier[S](name, names, options)
        self._open().places.append(barrier)
        return barrier

    def parallel(
        self,
        name: str,
        branches: "Sequence[Place[S] | str]",
        *,
        merge: "Merge[S]" = "strict",
        errors: Errors = "fail_fast",
        limit: int | None = None,
    ) -> Parallel[S]:
        """Declare a place that runs branches side by side and goes on when all have ended.

        A branch begins at a node (or barrier, or another such place) with the state as it is, follows the edges
        from there, and ends where nothing leads on. What the branches recorded is folded in the order in which
        they stand here, never in the order in which they ended.

        Args:
            name: how the place is stored and shown; also the first part of its branches' paths.
            branches: where each branch begins.
            merge: `"strict"` fails with `MergeConflict` when two branches changed the same field that is not
                `Annotated[..., terzetto.replayed]` or reduced; `"replay"` applies whatever they recorded; a
                function gets the state before and the branches' states, and returns the mutations to record.
            errors: `"fail_fast"` cancels the other branches when one fails, and drops what they committed;
                `"collect"` lets them end, folds those that succeeded, and fails with `BranchesFailed`.
            limit: branches that live at once; one that waits for parallel branches of its own leaves its place.
        """
        options = ForkOptions[S](merge, errors, limit)
        place = Parallel[S](name, [self._claim(branch)[0] for branch in branches], options)
        self._open().places.append(place)
        return place

    @overload
    def map(
        self,
        name: str,
        body: ItemNode[S, T, D, Any],
        *,
        over: Callable[[S], Sequence[T]],
        merge: "Merge[S]" = ...,
        errors: Errors = ...,
        limit: int | None = ...,
    ) -> Map[S, T]: ...
    @overload
    def map(
        self,
        name: str,
        body: "Place[S] | str",
        *,
        over: Callable[[S], Sequence[T]],
        item: type[T],
        merge: "Merge[S]" = ...,
        errors: Errors = ...,
        limit: int | None = ...,
    ) -> Map[S, T]: ...
    def map(
        self,
        name: str,
        body: "Place[S] | str",
        *,
        over: Callable[[S], Sequence[Any]],
        item: Any = None,
        merge: "Merge[S]" = "strict",
        errors: Errors = "fail_fast",
        limit: int | None = None,
    ) -> Map[S, Any]:
        """Declare a place that runs the same branch once for each of some items, as many as there are.

        The items are stored when the place is entered; each branch sees its own as `ctx.item`.

        Args:
            name: how the place is stored and shown; its branches are `name/0`, `name/1` and so on.
            body: where each branch begins.
            over: the items, made from the state.
            item: their type; by default what the body's `terzetto.ItemContext[State, Item]` says.
            merge: as for `parallel`; with many items `"replay"` costs least.
            errors: as for `parallel`.
            limit: branches that live at once; the others begin when these have ended.
        """
        node = as_node(body) if isinstance(body, Place) else None
        kind = item or (None if node is None else node.asks.item)
        place = Map[S, Any](name, self._claim(body)[0], over, kind, ForkOptions[S](merge, errors, limit))
        self._open().places.append(place)
        return place

    def subgraph(
        self,
        name: str,
        graph: Declaration[T, Any],
        *,
        get: Callable[[S], T] | None = None,
        put: Callable[[S, T], None] | None = None,
        deps: Callable[[D], Any] | None = None,
    ) -> Subgraph[S]:
        """Declare a place that runs another graph, with a state, limits and paths of its own.

        Its failure leaves this graph's state as it was; its success is one commit here. Barriers, streams,
        cancellation and recovery work inside as they do outside.

        Args:
            name: how the place is stored and shown; also the first part of the inner paths.
            graph: the inner graph, or a dataflow.
            get: the inner state, made from the outer one; may be left out where both have one type.
            put: what the inner state at its end does to the outer one; by default it takes its fields.
            deps: what the inner nodes get as `ctx.deps`, made from what the outer ones get; by default the same.
        """
        place = Subgraph[S](name, Lens(graph, get, put, deps))
        self._open().places.append(place)
        return place

    def start(self, place: "Place[S] | str", /) -> None:
        """Declare where runs begin; a graph has exactly one start."""
        self._open().starts.append(self._claim(place)[0])

    def edge(
        self,
        source: "Source[S]",
        target: "Place[S] | str",
        /,
        *,
        when: Callable[[S], bool] | None = None,
        fallback: bool = False,
        on_error: bool = False,
        max_visits: int | None = None,
    ) -> None:
        """Declare a way from a node or a barrier's exit to a node or barrier.

        The first edge whose `when` holds is taken, in order of declaration; else the plain edge; else
        the fallback; a place without any edge ends the run.

        Args:
            source: a node, an exit, or their name (`"write"`, `"sign-off.approved"`).
            target: a node or barrier, or its name.
            when: a predicate on the state; one that raises fails the run and names the edge.
            fallback: taken when nothing else matches.
            on_error: looked at after a failed visit, and only then.
            max_visits: the edge is passed over once it was taken this often.
        """
        edges = self._open().edges
        place, exit_name = self._claim(source)
        goal, _ = self._claim(target)
        edges.append(Edge[S](len(edges), place, exit_name, goal, when, fallback, on_error, max_visits))

    def confirm(self, *mutations: Mutation[S], note: str = "") -> Confirm:
        """The answer to "what became of this effect?": it happened, and these are what the visit would have recorded.

        Raises `NotStorable` for a mutation that is unlisted or would not come back from the store.
        """
        vocabulary = self.build().vocabulary
        return Confirm(tuple(vocabulary.note(mutation) for mutation in mutations), note)

    def mistakes(self) -> list[str]:
        """Everything that is wrong with it, with paths; empty means that it can run."""
        return find_mistakes(self)

    def _add_node(self, fn: Callable[..., Any], name: str, options: NodeOptions[S, D]) -> Node[S, D, Any]:
        asks = _asks_for(fn)
        kind = ItemNode[S, Any, D, Any] if asks.context is ItemContext else Node[S, D, Any]
        node = kind(fn, name or getattr(fn, "__name__", ""), options, asks)
        self._open().places.append(node)
        return node

    def _claim(self, source: "Source[S]") -> tuple[str, str]:
        """The (place, exit) of a source; objects of another graph are remembered as mistakes."""
        place = source.barrier if isinstance(source, Exit) else source
        if isinstance(place, Place) and not any(place is own for own in self.places):
            self.strangers.append(place.name)
        return key_of(source)


def _listed(state: type[S], mutations: tuple[type[Mutation[S]], ...]) -> tuple[type[Mutation[S]], ...]:
    """The mutations of a graph; those that a keyed state makes for itself need not be named."""
    if not (isinstance(state, type) and issubclass(state, KeyedState)):
        return mutations
    own = cast("tuple[type[Mutation[S]], ...]", (state.Put, state.Reset))
    return (*mutations, *(cls for cls in own if cls not in mutations))


def _asks_for(fn: Callable[..., object]) -> Asks:
    try:
        parameters = list(inspect.signature(fn).parameters)
        hint = typing.get_type_hints(fn).get(parameters[0])
    except Exception:  # noqa: BLE001 - an annotation that cannot be resolved here asks for nothing special
        return Asks(NodeContext)
    context = get_origin(hint) or hint
    if context is ItemContext:
        return Asks(ItemContext, (*get_args(hint), None, None)[1])
    return Asks(LeafContext if context is LeafContext else NodeContext)


class Declare(Protocol[S, D]):
    """What `@graph.node(...)` gives: a decorator."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # as for `Graph.node`
        self, fn: Callable[[NodeContext[S, D]], R], /
    ) -> Node[S, D, R]: ...
    @overload
    def __call__(self, fn: Callable[[ItemContext[S, T, D]], R], /) -> ItemNode[S, T, D, R]: ...


@frozen
class Bound(Generic[S]):
    """A graph together with what its nodes get as `ctx.deps`."""

    graph: Declaration[S, Any]
    deps: Any


def bind(graph: Declaration[S, D], deps: D, /) -> Bound[S]:
    """Give a graph its dependencies: clients, settings, anything that is not state."""
    return Bound(graph, deps)


def unbind(graph: Declaration[S, Any] | Bound[S]) -> Bound[S]:
    """The same for a bound graph and for one that needs no dependencies; raises `GraphError` for one that does."""
    if isinstance(graph, Bound):
        return graph
    if graph.deps is not None:
        wanted = getattr(graph.deps, "__name__", graph.deps)
        raise GraphError(graph.name, [f"its nodes need deps: give terzetto.bind({graph.name}, {wanted}(...))"])
    return Bound(graph, cast("Any", None))
