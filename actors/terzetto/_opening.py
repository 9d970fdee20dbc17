"""`open_runtime`: the tree of a Terzetto program, from its opening to its end in good order."""

import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, Literal, cast

import trio

from terzetto_protocol.admission import Admission
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.graph import Bound
from terzetto_protocol.limits import BLOB_BYTES, POOL_SIZE, QUEUE_SIZE, SHUTDOWN_DEADLINE, SINK_GRACE
from terzetto_protocol.registry import Registry
from terzetto_protocol.retention import Retention

from . import _faults
from ._bridge_sink import check_bridge
from ._cleaner import Cleaner
from ._clock import wall_clock
from ._forgetting import Forgetting
from ._hub import Hub
from ._inbox import Inbox
from ._persistence import Persistence
from ._runtime import Runtime
from ._services import Service, ServiceTree
from ._sinks import Sinks, check_sinks
from ._stored_blobs import StoredBlobs
from ._stream_bridge import StreamBridge
from ._stuck import OnStuck, log_stuck
from ._supervisor import Supervisor
from ._watchdog import Watchdog
from .stores import Store, open_store


@asynccontextmanager
async def open_runtime(
    store: str | Store,
    graphs: Sequence[Declaration[Any, None] | Bound[Any]],
    *,
    pool_size: int = POOL_SIZE,
    queue_size: int = QUEUE_SIZE,
    dispatch: Literal["direct", "task"] = "direct",
    shutdown_deadline: float = SHUTDOWN_DEADLINE,
    signals: bool = False,
    watchdog: bool = False,
    on_stuck: OnStuck = log_stuck,
    sinks: Sinks | None = None,
    strict: bool = False,
    max_blob: int = BLOB_BYTES,
    retention: Retention | None = None,
    stream_bridge: StreamBridge | None = None,
) -> AsyncGenerator["Runtime", None]:
    """Run graphs as long as the `async with` block lasts; afterwards no task, thread or descriptor is left.

    Leaving the block lets running work reach its next commit within `shutdown_deadline` seconds and
    interrupts what is left; an error or a cancel that leaves the block interrupts at once. Both keep the
    same promises: what was interrupted goes on with the next `open_runtime` on the same store, and so
    does what was left behind by a process that died. (Functions that were abandoned in their threads end by
    themselves, and Trio ends its idle threads after some seconds.)

    Args:
        store: a URL (`"sqlite:runs.db"`, `"memory:"`) or a store that is not open yet.
        graphs: every graph whose runs are to be carried, bound to its deps where it has some.
        pool_size: runs that are live at once.
        queue_size: new runs that wait for a slot before `submit` raises `QueueFull`.
        dispatch: `"direct"` runs a lone visit on its run's task, `"task"` gives every visit its own.
        shutdown_deadline: seconds.
        signals: SIGTERM and SIGINT leave the block in good order, a second one at once.
        watchdog: have the stacks of all threads written to standard error while something blocks the event loop
            for a second, and count it in `statistics().watchdog`. Code that keeps the interpreter lock is caught by
            the one timer that a process has for that (`faulthandler.dump_traceback_later`): a program that uses it
            itself should not say True, and of two runtimes only the first to ask has it. A process that was stopped
            for a second and goes on may, rarely, die of that timer.
        on_stuck: called with a `StuckNode` when a node has ignored its cancel for `CANCEL_GRACE` seconds; its run
            has gone on or ended without it, and the block cannot be left before it returns. By default this is
            logged (logger `terzetto`), with the stack of the node.
        sinks: who hears of every run that is live here, recovered ones too: a list of sinks, or a function that
            gets a run's id and gives its sinks. They have `SINK_GRACE` seconds to hear the rest when the block is left.
        strict: for tests. A visit whose node changes `ctx.state` itself fails with `InputMutated`, one whose mutation
            is not deterministic with `NonDeterministicMutation`, and a run whose log does not make what its newest
            snapshot says is not carried on.
        max_blob: largest blob, bytes.
        retention: what is forgotten of the past; by default nothing is.
        stream_bridge: where everything that runs tell is published, too. It is neither started nor closed here, and
            nobody waits for it: it is a sink of every run, whose failures `statistics().sinks` counts.

    Raises:
        GraphError: a graph has mistakes.
        StoreInUse, StoreTooNew, StoreUnavailable: the store cannot be opened; the message says what to do.
    """
    clock = wall_clock()  # first, because it says what is wrong where there is no Trio
    _faults.install_from_environment()
    sinks = sinks if sinks is None or callable(sinks) else check_sinks(sinks)
    if not isinstance(cast("object", retention), Retention | None):
        raise InvalidRequest(f"retention={retention!r:.80}: say terzetto.Retention(history=..., finished=...)")
    if stream_bridge is not None:
        check_bridge(stream_bridge)
    registry = Registry(graphs, strict=strict)
    opened = open_store(store) if isinstance(store, str) else store
    if _faults.hook is not None:
        opened = _faults.hook.store(opened)
    begun = trio.current_time()
    async with opened:
        hub, persistence = Hub(opened), Persistence(opened)
        if opened.lease is not None:
            persistence.lease_ends = begun + opened.lease
        forgetting = Forgetting(opened, persistence)
        cleaner = _cleaner(retention, opened, forgetting, hub, clock)
        if cleaner is not None:
            persistence.on_stored = cleaner.note
        supervisor = Supervisor(
            store=opened,
            registry=registry,
            hub=hub,
            persistence=persistence,
            admission=Admission(pool_size, queue_size),
            clock=clock,
            tasks=dispatch == "task",
            on_stuck=on_stuck,
            blobs=StoredBlobs(persistence, max_bytes=max_blob),
        )
        persistence.on_change = supervisor.store_changed
        runtime = Runtime(
            opened, registry, hub, persistence, supervisor,
            sinks=sinks, forgetting=forgetting, stream_bridge=stream_bridge,
        )  # fmt: skip
        runtime.cleaner = cleaner
        runtime.watchdog = Watchdog() if watchdog else None
        async with _living(runtime, persistence, _Stop(runtime, shutdown_deadline), signals=signals):
            yield runtime


def _cleaner(
    retention: Retention | None, store: Store, forgetting: Forgetting, hub: Hub, clock: Callable[[], float]
) -> Cleaner | None:
    if retention is None or not retention.forgets:
        return None
    return Cleaner(retention, store, forgetting, hub.readers, clock)


@asynccontextmanager
async def _living(
    runtime: Runtime, persistence: Persistence, stop: "_Stop", *, signals: bool
) -> AsyncGenerator[None, None]:
    """Have everything run while the block lasts, and leave in good order."""
    with closing(runtime.hub):
        async with _tree(runtime, persistence) as nursery:
            nursery.start_soon(runtime.cancel_abandoned)
            await nursery.start(runtime.completions.run)
            await nursery.start(runtime.feeds.run)
            if signals:
                await nursery.start(_listen, stop)
            with trio.CancelScope() as stop.body:
                try:
                    yield
                    stop.clean = True
                finally:
                    await stop.drain()  # noqa: ASYNC102 - it is shielded inside, with a deadline that a signal can cut


@asynccontextmanager
async def _tree(runtime: Runtime, persistence: Persistence) -> AsyncGenerator[trio.Nursery, None]:
    watched = [] if runtime.watchdog is None else [Service("watchdog", runtime.watchdog.run)]  # stops last
    services = [
        *watched,
        Service("persistence", persistence.run, persistence.close),
        Service("supervisor", runtime.supervisor.run),
        Service("desk", runtime.desk.run),
        Service("blobs", runtime.supervisor.blobs.run),
    ]
    if runtime.store.shared:
        services.append(Service("inbox", Inbox(runtime.store, runtime.ask).run))
    if runtime.store.lease is not None:
        from ._neighbours import Neighbours

        neighbours = Neighbours(runtime.store, runtime.hub, runtime.supervisor, persistence)
        services.append(Service("neighbours", neighbours.run))
    if runtime.cleaner is not None:
        services.append(Service("cleaner", runtime.cleaner.run))
    tree = ServiceTree(services)
    runtime.tree = tree
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        yield nursery
        nursery.cancel_scope.cancel(reason="the runtime is closed")


class _Stop:
    """The way out: in good order, or at once."""

    def __init__(self, runtime: Runtime, deadline: float) -> None:
        self.clean = False
        self.body = trio.CancelScope()
        self._runtime = runtime
        self._deadline = deadline
        self._drain = trio.CancelScope(shield=True)

    def signalled(self) -> None:
        """A signal came: the first leaves in good order, the second at once."""
        if self._runtime.stopping.is_set():
            self._drain.deadline = trio.current_time()
        self._runtime.stopping.set()
        self.clean = True
        self.body.cancel(reason="a signal asked for a shutdown")

    async def drain(self) -> None:
        """Let runs reach their commits. Shielded, with a deadline. A checkpoint."""
        deadline = self._deadline if self.clean else 0.0
        with self._drain:
            self._drain.deadline = min(self._drain.deadline, trio.current_time() + deadline + 2 * SHUTDOWN_DEADLINE)
            await self._runtime.supervisor.drain(deadline)
            await self._runtime.feeds.settle(SINK_GRACE)


async def _listen(stop: _Stop, *, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as arriving:
        task_status.started()
        async for _ in arriving:
            stop.signalled()
