"""`terzetto.run`: a graph in the caller's own scope, without a runtime and without a store."""

import inspect
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio

from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.decisions import Approve, Decision
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.errors import InvalidRequest, Refused
from terzetto_protocol.events import BarrierOpened, BarrierResolved, Event
from terzetto_protocol.graph import Bound, unbind
from terzetto_protocol.ids import check_run_id
from terzetto_protocol.inputs import Claimed, Decided
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import is_open
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import RunHeader, RunRow, Write
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.stepped import Stepped
from terzetto_protocol.turn import Finish
from terzetto_protocol.verdict import judge

from ._carrying import Carrying
from ._chance import new_id
from ._clock import wall_clock
from ._results import Result, result_of
from ._run import RunActor
from ._run_services import Services

if TYPE_CHECKING:
    from ._blobs import Blobs
    from ._deciders import Decider
    from ._hub import Hub
    from ._inline_sinks import Heard
    from ._sinks import Sink

S = TypeVar("S")


class _Alone:
    """Keeper, outlet and writer of a run that has nobody else.

    Args:
        hub: where sinks are fed from, if there are any.
    """

    def __init__(self, hub: "Hub | None") -> None:
        self.hub: Final = hub

    def rested(self, actor: RunActor, finish: Finish) -> None:
        """Nothing to do: the caller looks at the machine."""

    def left_behind(self, actor: Carrying) -> None:
        """Nobody is: the caller's scope waits for every body."""

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """Nobody asks by command."""

    def denied(self, command_id: str, error: Refused) -> None:
        """Nobody asks by command."""

    def overtaken(self, actor: RunActor) -> None:
        """There is no thread."""

    def taken(self, actor: RunActor, row: RunRow) -> None:
        """There is no store in which it could be taken."""

    def broke(self, actor: RunActor, error: BaseException) -> None:
        """There is nobody else whom it could harm."""
        raise error

    def send(self, write: Write, sender: Any) -> None:
        """A run without a log makes no writes."""

    def publish(self, event: Event) -> None:
        """Whoever listens is a sink."""
        if self.hub is not None:
            self.hub.publish(event)

    def publish_step(self, step: Stepped) -> None:
        """Steps open nothing."""
        if self.hub is not None:
            self.hub.publish_step(step)


class _Decided(_Alone):
    """As `_Alone`, of a run with a decider."""

    def __init__(self, hub: "Hub | None", decider: "Decider") -> None:
        super().__init__(hub)
        self.decider: Final = decider
        self.opened: list[BarrierOpened] = []
        self.changed = trio.Event()
        """Set when a barrier opens, and when the run is over."""
        self.decided = trio.Event()
        self.is_over = False
        self.error: Exception | None = None
        """What the decider has raised."""

    def publish(self, event: Event) -> None:
        """Remember what is open."""
        super().publish(event)
        if isinstance(event, BarrierOpened):
            self.opened.append(event)
            self.changed.set()
        elif isinstance(event, BarrierResolved):
            self.opened = [opened for opened in self.opened if opened.barrier != event.barrier]


async def run(
    graph: Declaration[S, None] | Bound[S],
    state: S,
    /,
    *,
    run_id: str | None = None,
    max_steps: int | None = None,
    auto_approve: bool = False,
    decider: "Decider | None" = None,
    sinks: "Sequence[Sink]" = (),
    strict: bool = False,
    blobs: "Blobs | None" = None,
) -> S:
    """Run a graph to its end in the caller's own scope and return the final state; nothing is stored.

    A checkpoint. Cancelling the caller cancels the nodes, and nothing is left behind.

    Args:
        graph: a graph, or `terzetto.bind(graph, deps)`.
        state: copied, so that the caller's object stays what it is.
        run_id: shown in errors; a random one by default.
        max_steps: visits allowed; the graph's own limit by default.
        auto_approve: approve every barrier.
        decider: `await decider(event)` answers each `BarrierOpened`.
        sinks: who hears of the run; they have `SINK_GRACE` seconds to hear the rest when it has ended. With sinks
            the run keeps its log in memory, so that what its nodes record has to be storable, as in a runtime.
        strict: for tests; see `open_runtime`.
        blobs: where nodes find the blobs of the input, and the caller those that they put; without it, they are gone
            with the run.

    Raises:
        RunFailed: the run FAILED; the error says why.
        InvalidRequest: the graph has barriers and nobody to decide them, or the state is of another type.
    """
    result = await run_to_end(
        graph,
        state,
        run_id=run_id,
        max_steps=max_steps,
        auto_approve=auto_approve,
        decider=decider,
        sinks=sinks,
        strict=strict,
        blobs=blobs,
    )
    return result.unwrap()


async def run_to_end(
    graph: Declaration[S, None] | Bound[S],
    state: S,
    *,
    run_id: str | None,
    max_steps: int | None,
    auto_approve: bool,
    decider: "Decider | None",
    sinks: "Sequence[Sink]" = (),
    strict: bool = False,
    blobs: "Blobs | None" = None,
) -> Result[S]:
    """As `run`, with the outcome as a value. A checkpoint."""
    bound = unbind(graph)
    blueprint = bound.graph.build().strict if strict else bound.graph.build()
    if decider is None and not auto_approve and blueprint.has_barriers:
        raise InvalidRequest(
            f"graph {blueprint.name!r} has barriers and nobody would decide them: "
            "pass decider= or auto_approve=True, or use a runtime"
        )
    clock = wall_clock()
    header = RunHeader(
        run_id=check_run_id(run_id) if run_id is not None else new_id(),
        graph=blueprint.name,
        version=blueprint.version,
        fingerprint="",
        input_digest="",
        at=clock(),
        max_steps=blueprint.steps(max_steps),
        auto_approve=auto_approve,
    )
    heard, copied = _heard(blueprint, sinks), bound.graph.first(state)
    kind: type[RunMachine[S]] = RunMachine  # to say RunMachine[S] here would take as long as half a step
    if heard is None:
        machine, first = kind.alone(blueprint, header, copied, tells=decider is not None)
    else:
        machine, first = kind.begin(blueprint, header, copied, settled=True, promises=False)
    hub = None if heard is None else heard.hub
    alone = _Alone(hub) if decider is None else _Decided(hub, decider)
    settle = None if heard is None else heard.settle
    services = Services(alone, alone, alone, clock, settle, blobs=blobs, answers=decider is not None)
    actor = RunActor(machine, bound.deps, services)
    actor.perform(first)
    live = partial(_live, actor, alone) if isinstance(alone, _Decided) else actor.main
    await trio.lowlevel.checkpoint()  # for bodies that wait for nothing have none
    if heard is None:
        await live()
    else:
        actor.claim(Claimed(clock()))
        await heard.live(actor.run_id, live)
    actor.retire()
    if machine.status not in TERMINAL:
        await trio.lowlevel.checkpoint()  # it may be that the scope around us is gone
        raise _unended(machine)
    return result_of(machine.fold)


def _heard(blueprint: Blueprint[Any], sinks: "Sequence[Sink]") -> "Heard | None":
    """What a run needs that has sinks."""
    if not sinks:
        return None
    from ._inline_sinks import Heard

    return Heard(blueprint, sinks)


def _unended(machine: RunMachine[Any]) -> Refused:
    """Why a run that has not ended can go on no more."""
    if machine.status is RunStatus.AWAITING_INPUT:
        return Refused(machine.run_id, _unapproved(machine))
    if machine.status is RunStatus.PAUSED:
        return Refused(machine.run_id, "it paused, and without a runtime nobody can resume it")
    return Refused(machine.run_id, f"it stopped in {machine.status}")


async def _live(actor: RunActor, alone: _Decided) -> None:
    """Carry the run while its decider is asked. A checkpoint."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_carry, actor, alone)
        await _decide(actor, alone)
        nursery.cancel_scope.cancel(reason="the run has ended, or its decider has failed")
    if alone.error is not None:
        raise alone.error


def _unapproved(machine: RunMachine[Any]) -> str:
    """What keeps a run from going on by itself."""
    barrier, (entry, *_) = next(iter(machine.fold.opened.by_id.items()))
    try:
        judge(machine.run_id, machine.blueprint_of(entry), entry, Approve(), timeout=False)
    except Refused as error:
        return f"{barrier} cannot be approved: pass decider= ({str(error).partition(': ')[2]})"
    return f"nobody decides {barrier}: pass decider="


async def _carry(actor: RunActor, alone: _Decided) -> None:
    """Carry the run, again after every decision that lets it go on, until it can go on no more."""
    try:
        while True:
            await actor.main()
            if actor.machine.status is not RunStatus.AWAITING_INPUT:
                return
            alone.decided = trio.Event()
            await alone.decided.wait()
    finally:
        alone.is_over = True
        alone.changed.set()


async def _decide(actor: RunActor, alone: _Decided) -> None:
    """Have what is open decided, one after the other, until the run is over."""
    while not alone.is_over:
        alone.changed = trio.Event()
        if not alone.opened:
            await alone.changed.wait()
            continue
        try:
            await _ask(actor, alone, alone.opened[0])
        except Exception as error:  # noqa: BLE001 - raised again, without a group around it
            alone.error = error
            return


async def _decided(decider: "Decider", opened: BarrierOpened) -> Decision:
    if not inspect.isawaitable(deciding := decider(opened)):
        raise TypeError("the decider has to be an `async def`")
    return await deciding


async def _ask(actor: RunActor, alone: _Decided, opened: BarrierOpened) -> None:
    await trio.lowlevel.checkpoint()  # what begins at this very moment may make the question pointless
    decision = await _decided(alone.decider, opened) if is_open(actor.machine, opened.barrier) else None
    if decision is None or not is_open(actor.machine, opened.barrier):  # it was dropped, or decided by something else
        alone.opened = [each for each in alone.opened if each is not opened]
        return
    actor.claim(Decided(opened.barrier, decision, "decider", actor.services.clock()))
    alone.decided.set()
