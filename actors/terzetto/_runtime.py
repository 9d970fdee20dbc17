"""What `open_runtime` gives: where runs are submitted, found and steered."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar, Unpack, cast, overload

import trio
from attrs import frozen

from terzetto_protocol.blobs import Blob, BlobData, BlobReader
from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.checkpoints import CheckpointPolicy, check_policy
from terzetto_protocol.codec import check_text, pack
from terzetto_protocol.commands import Command
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.errors import InvalidRequest, StoreUnavailable, UnknownRun
from terzetto_protocol.ids import check_choice, check_metadata, check_run_id, check_seconds, input_digest
from terzetto_protocol.limits import BLOB_READ
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.places import Place
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import DURABILITIES, Durability, OnCompletion, RunHeader, RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.state import Mutation
from terzetto_protocol.threads import Busy, check_joins
from terzetto_protocol.turn import Turn

from ._blobs import Blobs
from ._bridge_sink import BridgeSink
from ._carrying_out import CarryingOut
from ._chance import new_id
from ._cleaner import Cleaner, CleanerStatistics
from ._completions import Completions
from ._desk import Desk
from ._feeds import Feeds, SinkStatistics
from ._forgetting import Forgetting
from ._forking import Forking, new_run_id
from ._handles import Run, Thread
from ._history import Past
from ._hub import Hub
from ._joining import Joining
from ._loading import carrier_of
from ._mailbox import Address, MailboxStatistics
from ._options import SubmitOptions, ThreadOptions
from ._persistence import Persistence, PersistenceStatistics
from ._run_facade import Runs
from ._runtime_steering import Steered
from ._services import ServiceTree
from ._sinks import Sink, Sinks, check_sinks
from ._stream_bridge import StreamBridge
from ._supervisor import Supervisor, SupervisorStatistics
from ._watchdog import Watchdog, WatchdogStatistics
from .stores import Store
from .stores._contract import SettlingStore

S = TypeVar("S")


@frozen
class RuntimeStatistics:
    """What every actor of a runtime says of itself."""

    supervisor: SupervisorStatistics
    persistence: PersistenceStatistics
    desk: MailboxStatistics
    hub: Any
    sinks: tuple[SinkStatistics, ...]
    """What became of the calls of sinks, by class."""
    store: dict[str, Any]
    restarts: int
    """System actors that were started again."""
    cleaner: CleanerStatistics | None
    """What was forgotten; None where everything is kept."""
    watchdog: WatchdogStatistics | None
    """How often the event loop was blocked; None where nobody watches it."""


class Runtime(Steered):
    """What `open_runtime` gives: submit runs, find them, steer them."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        hub: Hub,
        persistence: Persistence,
        supervisor: Supervisor,
        *,
        sinks: Sinks | None,
        forgetting: Forgetting,
        stream_bridge: StreamBridge | None = None,
    ) -> None:
        super().__init__(hub, supervisor)
        self.store: Final = store
        self.settles: Final = isinstance(store, SettlingStore)
        """Whether what is written is durable inside the call."""
        self.registry: Final = registry
        self.stopping = trio.Event()
        """Set when a signal asked for a shutdown."""
        self.desk: Final = Desk(self.carry_out)
        self._persistence = persistence
        self.tree: ServiceTree | None = None
        """The system actors; set when they are started."""
        self._forgetting = forgetting
        forgetting.on_delete = self._forgotten
        self.cleaner: Cleaner | None = None
        """Who forgets what is not to be kept, if there is a retention."""
        self.watchdog: Watchdog | None = None
        """Who watches the event loop, if anybody is to."""
        always = () if stream_bridge is None else (BridgeSink(stream_bridge),)
        self.feeds: Final = Feeds(hub, store, lambda run_id, seq: self.state(run_id, at=seq), sinks, always)
        self.runs: Final = Runs(self)
        """Create, join, list and delete runs, under the names that users of other systems know."""
        self.completions: Final = Completions(store, forgetting, hub.readers, supervisor.clock)
        supervisor.on_unkept = self.completions.ended
        self.feeds.on_broken = self._cancel_broken

    @overload
    async def submit(self, graph: Declaration[S, Any], state: S, /, **options: Unpack[SubmitOptions[S]]) -> Run[S]: ...
    @overload
    async def submit(self, graph: Declaration[S, Any], /, **options: Unpack[ThreadOptions[S]]) -> Run[S]: ...
    async def submit(
        self,
        graph: Declaration[S, Any],
        state: S | None = None,
        /,
        *,
        run_id: str | None = None,
        key: str = "",
        max_steps: int | None = None,
        auto_approve: bool = False,
        metadata: dict[str, str | int | float | bool] | None = None,
        deadline: float | None = None,
        deadline_parked: bool = False,
        durability: Durability = "commits",
        checkpoints: CheckpointPolicy | None = None,
        thread: str | None = None,
        busy: Busy = "reject",
        record: Sequence[Mutation[S]] = (),
        sinks: Sequence[Sink] = (),
        on_completion: OnCompletion = "keep",
    ) -> Run[S]:
        """Start a run; once this has returned the run, its input and its graph version are durable. A checkpoint.

        Cancelled, the run may or may not be there: submit it again under the same id or key.

        Args:
            graph: one of the graphs that the runtime was opened with.
            state: copied; without one the run begins with the final state of its thread's head.
            run_id: 1 to 128 of `A-Z a-z 0-9 . _ -`; the same id with the same input is the same run.
            key: idempotency key: the same key with the same input is the same run, whatever its id.
            max_steps: visits that this run may make.
            auto_approve: approve every barrier that this run comes to.
            metadata: kept with the run and shown with it.
            deadline: seconds after which the run is FAILED(`deadline_exceeded`), wherever it is by then.
            deadline_parked: whether the time counts that it waits for people or is paused.
            durability: when its commits are written: `"commits"`, at once; `"barriers"` or `"exit"`, when a barrier
                opens, a `once` node begins, the run rests or it ends, and every `HELD_COMMITS` commits. What it
                shows before is marked as not durable, and a crash takes the run back to what was written.
            checkpoints: which commits carry a snapshot; by default what the graph says.
            thread: the conversation that it continues, by an id like a run's. When it SUCCEEDED it is the head.
            busy: while a run is under way on the thread, the new one is refused (`"reject"`), waits for its turn
                (`"enqueue"`), or takes the place of all that are under way, which are cancelled (`"interrupt"`), unless
                that would forget effects of `once` nodes (`"rollback"`).
            record: what is new: mutations that are stored with the submit, and applied to what the run begins with;
                on a thread that is the head's state, as it is when the run's turn has come.
            sinks: who hears of this run, from its beginning; a slow or failing one is counted, and harms nobody.
                They are forgotten with this runtime: those of `open_runtime` hear of runs that are recovered, too.
            on_completion: `"delete"` forgets the run some time after its end, `FINISHED_GRACE` seconds or more, when
                nobody reads it and no unfinished run went on from it. Not for runs on threads.

        Raises:
            QueueFull: every slot and every place in the queue is taken.
            ThreadBusy: a run is under way on the thread.
            HeadMissing: the thread has no state to begin with.
            Refused: the thread's head has another type of state.
            MutationFailed: what is recorded cannot be applied to the state.
            RunConflict: the id or key belongs to a run with another graph or input.
            InvalidRequest: the id, state or metadata is not acceptable.
            NotStorable: the state, or what is recorded, would not come back from the store as it is.
            StoreUnavailable: the store is gone for now.
        """
        bound = self.registry.of(graph)
        blueprint: Blueprint[S] = self.registry.blueprint(bound)
        given = None if state is None else bound.graph.first(state)
        if given is None and thread is None:
            what = f"a {blueprint.state.type.__name__}, or the thread whose state it continues"
            raise InvalidRequest(f"a run of graph {blueprint.name!r} needs a state to begin with: {what}")
        check_metadata(metadata or {})
        check_text(key, "the idempotency key")
        on = check_joins(thread, busy, on_completion)
        recorded = tuple(map(blueprint.vocabulary.note, record))
        if given is not None and recorded:
            given, recorded = blueprint.applied(recorded, given[1]), ()
        sinks = check_sinks(sinks)
        header = RunHeader(
            run_id=check_run_id(run_id if run_id is not None else new_run_id()),
            graph=blueprint.name,
            version=blueprint.version,
            fingerprint=blueprint.fingerprint,
            input_digest=input_digest(blueprint.name, blueprint.version, given[0] if given else _packed(recorded), on),
            at=self.supervisor.clock(),
            key=key,
            max_steps=blueprint.steps(max_steps),
            auto_approve=auto_approve,
            metadata=dict(metadata or {}),
            deadline=check_seconds(deadline, "deadline"),
            deadline_parked=deadline_parked,
            durability=check_choice(durability, DURABILITIES, "durability"),
            thread=thread or "",
            state_schema=blueprint.state_schema if thread else "",
            checkpoints=blueprint.checkpoints if checkpoints is None else check_policy(checkpoints),
            recorded=recorded,
            on_completion=on_completion,
        )
        if on_completion == "delete":
            self.completions.expect()
        if given is None or thread:
            run = await Joining(self).join(header, blueprint, given, bound.deps, busy)
        else:
            run = await self.start(header, blueprint, given, bound.deps)
        self.feeds.attach(run.run_id, sinks)
        return run

    async def start(
        self, header: RunHeader, blueprint: Blueprint[S], state: tuple[bytes, S], deps: Any, *, base: str | None = None
    ) -> Run[S]:
        """Make a new run and have it stored. A checkpoint; raises as `submit`."""
        settled, promises = self.settles, self.store.durable
        machine, first = RunMachine[S].begin(
            blueprint, header, state, settled=settled, promises=promises, command_id=new_id(), base=base
        )
        return await self.begin(machine, first, deps)

    async def begin(self, machine: RunMachine[S], first: Turn, deps: Any) -> Run[S]:
        """Have a new run's first commit stored, and let it wait for a slot. A checkpoint; raises as `submit`."""
        receipt = await self.supervisor.submit(machine, first, deps)
        return Run(self, receipt.run_id, reused=receipt.reused)

    async def fork(
        self, run_id: str, /, *, at: int | None = None, new_id: str | None = None, repeat_effects: bool = False
    ) -> Run[Any]:
        """A new run that goes on from a commit of another, which stays as it is. A checkpoint.

        Args:
            run_id: the parent.
            at: the commit; by default the newest.
            new_id: the new run's id; the same id with the same commit is the same run.
            repeat_effects: whether effects of `once` nodes that the parent began since may happen again.

        Raises:
            InvalidRequest: there is no such commit, nothing is pending at it, or effects would be repeated.
            CommitPruned: the commit is not there any more.
        """
        return await Forking(self).fork(run_id, at, new_id, repeat_effects=repeat_effects)

    async def retry(self, run_id: str, /, *, new_id: str | None = None, repeat_effects: bool = False) -> Run[Any]:
        """A new run that goes on from before the visit with which another FAILED or was CANCELLED. A checkpoint.

        Takes and raises what `fork` does; `InvalidRequest` for a run that has not ended, or has SUCCEEDED.
        """
        return await Forking(self).retry(run_id, new_id, repeat_effects=repeat_effects)

    async def rerun(
        self,
        run_id: str,
        place: Place[S] | str,
        state: S | None = None,
        /,
        *,
        new_id: str | None = None,
        repeat_effects: bool = False,
    ) -> Run[S]:
        """A new run of another's graph that begins at a place, with the other's state or an edited one. A checkpoint.

        Raises as `fork`, and `NotStorable` for a state that would not come back.
        """
        return await Forking(self).rerun(run_id, place, state, new_id, repeat_effects=repeat_effects)

    @overload
    async def run(self, graph: Declaration[S, Any], state: S, /, **options: Unpack[SubmitOptions[S]]) -> S: ...
    @overload
    async def run(self, graph: Declaration[S, Any], /, **options: Unpack[ThreadOptions[S]]) -> S: ...
    async def run(self, graph: Declaration[S, Any], state: S | None = None, /, **options: Any) -> S:
        """Submit, wait for the end, and return the final state. A checkpoint.

        Takes the options of `submit`. Cancelling the caller does not cancel the run.

        Raises:
            RunFailed: the run ended FAILED or CANCELLED.
        """
        run: Run[S] = await self.submit(graph, cast("S", state), **options)
        return (await run.result()).unwrap()

    def get(self, run_id: str) -> Run[Any]:
        """A handle on a run that was submitted earlier, perhaps by another process. Not a checkpoint."""
        return Run(self, check_run_id(run_id))

    async def row(self, run_id: str) -> RunRow:
        """What the store lists about a run; raises `UnknownRun`. A checkpoint."""
        row = await self.store.run(run_id)
        if row is None:
            raise UnknownRun(run_id)
        return row

    def thread(self, thread: str) -> Thread:
        """A handle on a thread, whether or not there is a run on it. Not a checkpoint."""
        return Thread(self, check_run_id(thread, "thread id"))

    async def past(self, run_id: str) -> Past:
        """A run's stored past. A checkpoint; raises `UnknownRun`, and `Refused` for an unknown graph."""
        row = await self.row(run_id)
        bound = await carrier_of(self.store, self.registry, row)
        return Past(self.store, row, bound.graph.build())

    async def state(self, run_id: str, *, at: int | None = None) -> Any:
        """A copy of a run's durable state, as of the commit `at` or the newest. A checkpoint."""
        return await (await self.past(run_id)).state(at)

    async def put_blob(
        self, data: BlobData, /, *, media_type: str = "application/octet-stream", name: str = ""
    ) -> Blob:
        """Store a blob, for the input of a run or for a decision; it is durable when this returns. A checkpoint.

        It is kept for `BLOB_GRACE` seconds, and then by the runs whose input or records name it. Cancelled, nothing of
        it can be read. Takes what `ctx.blob` takes.

        Raises:
            NotStorable: there are too many bytes, or one of the texts cannot be stored.
            StoreUnavailable: the store is gone for now.
        """
        if not self._persistence.available:
            raise StoreUnavailable("the store is gone for now: no new blobs are taken")
        return await self.supervisor.blobs.put(data, media_type=media_type, name=name)

    def open_blob(self, blob: Blob, /) -> BlobReader:
        """Read a blob chunk by chunk: `async for chunk in runtime.open_blob(blob)`.

        Not a checkpoint, which each chunk is.
        """
        return Blobs(self.store).open(blob)

    async def blob_bytes(self, blob: Blob, /, *, limit: int = BLOB_READ) -> bytes:
        """All bytes of a blob at once. A checkpoint; raises as a reader does.

        Args:
            blob: its name.
            limit: bytes; more are refused with `InvalidRequest`.
        """
        return await Blobs(self.store).read(blob, limit=limit)

    async def prune(self, run_id: str, keep_from: int, /) -> int:
        """Forget the commits of a run in front of a checkpoint, and return how many are gone. A checkpoint.

        The cut is in front of the newest checkpoint that is not after `keep_from`. That one and all that follows it
        stay; so the run goes on, and can be forked, undone and looked at from there on. Checkpoints in front of it
        that nodes have asked for are forgotten too. Cancelled, it may have happened.

        Raises:
            UnknownRun: no run has this id.
            InvalidRequest: the run has no such commit.
        """
        return await self._forgetting.truncate(run_id, keep_from)

    async def delete(self, run_id: str, /) -> int:
        """Forget a run that has ended, and return how many commits it had left. A checkpoint.

        Nothing is left of it, and its id is free: what is submitted under it is a new run. Who still reads its events
        gets what is in memory, and then `UnknownRun`. Cancelled, it may have happened.

        Raises:
            UnknownRun: no run has this id.
            Refused: it has not ended, a run that went on from it has not, or it is the head of a thread.
        """
        return await self._forgetting.delete(run_id)

    def _forgotten(self, run_id: str) -> None:
        """A run was deleted: nobody here may take what comes under its id for it."""
        self.hub.forget(run_id)
        self.supervisor.forget(run_id)
        self.completions.forget(run_id)
        self._abandoned.drop(run_id)

    @property
    def address(self) -> Address[Command, Receipt]:
        """The typed mailbox that takes commands as messages: `await runtime.address.ask(command)`."""
        return self.desk.address

    async def ask(self, command: Command) -> Receipt:
        """Send a command to the desk and wait for its receipt. A checkpoint."""
        return await self.address.ask(command)

    async def carry_out(self, command: Command) -> Receipt:
        """Do what a command from outside says, once however often it comes. A checkpoint."""
        return await CarryingOut(self).carry_out(command)

    @property
    def pool_size(self) -> int:
        """Runs that are live at once; may be set while running."""
        return self.supervisor.admission.pool_size

    @pool_size.setter
    def pool_size(self, size: int) -> None:
        if size < 1:
            raise InvalidRequest(f"a pool of {size} runs would never run anything")
        self.supervisor.admission.pool_size = size
        self.supervisor.store_changed()

    def statistics(self) -> RuntimeStatistics:
        """What every actor says of itself, now. Not a checkpoint."""
        return RuntimeStatistics(
            supervisor=self.supervisor.statistics(),
            persistence=self._persistence.statistics(),
            desk=self.desk.statistics(),
            hub=self.hub.statistics(),
            sinks=self.feeds.statistics(),
            store=self.store.statistics(),
            restarts=0 if self.tree is None else self.tree.restarts,
            cleaner=None if self.cleaner is None else self.cleaner.statistics(),
            watchdog=None if self.watchdog is None else self.watchdog.statistics(),
        )


def _packed(recorded: tuple[Recorded, ...]) -> bytes:
    """What is recorded with a submit as a part of its input; raises `NotStorable` where it is too much."""
    return pack(recorded, "what is recorded with a submit") if recorded else b""
