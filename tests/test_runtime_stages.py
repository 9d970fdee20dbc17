"""One run, held at every commit on its way to the store, and somebody who comes just then (SEMANTICS 3, 7 and 9)."""

from contextlib import suppress

import pytest
import trio

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Confirm, Retry
from terzetto_protocol.errors import ActorStopped, Refused
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .runtimes import Say, Tally, both, chain, once, opened, says, settled
from .stores import FaultyStore, records

CANCELLED, SUCCEEDED = RunStatus.CANCELLED, RunStatus.SUCCEEDED
TRAIL = ["write", "pay", "thanks", "done"]
COMMITS = 9
"""Groups that one run of the scene makes; one more would be the next scene."""

everywhere = pytest.mark.parametrize("stage", range(COMMITS + 1))


class Scene:
    """write -> pay (once) -> thanks (pure) -> sign-off -> done; the store stops after `stage` groups."""

    def __init__(self, stage: int) -> None:
        self.paid: list[str] = []
        """What the world has seen."""
        self.inner = MemoryStore()
        self.store = self.hold_after(stage)
        self.graph: Graph[Tally] = chain(
            says("write"), once(self.pay), says("thanks"), "sign-off", says("done"), name="scene"
        )
        self.receipts: list[object] = []

    async def pay(self, ctx) -> None:
        self.paid.append(ctx.key)
        ctx.record(Say("pay"))

    def hold_after(self, stage: int) -> FaultyStore:
        store = FaultyStore(self.inner)

        def count(_: object) -> None:
            if len(store.groups) == stage:
                store.hold()

        store.meanwhile = count
        count(None)
        return store

    async def play(self, runtime: terzetto.Runtime) -> None:
        """Submit the run, answer what it asks, and wait for its end."""
        run = await runtime.submit(self.graph, Tally(), run_id="r")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.answer, run)
            await run.result()
            nursery.cancel_scope.cancel()

    async def answer(self, run: terzetto.Run) -> None:
        async with run.events() as events:
            async for event in events:
                if isinstance(event, BarrierOpened):
                    with suppress(Refused):
                        self.receipts.append(await run.decide(event.barrier, self.decision(event)))

    def decision(self, event: BarrierOpened) -> terzetto.Decision:
        if not event.reconcile:
            return Approve()
        return Confirm((self.graph.build().vocabulary.note(Say("pay")),)) if self.paid else Retry()


@both
@everywhere
async def test_a_cancel(autojump_clock, dispatch, stage):
    """3 D6: a cancel was acknowledged => nothing commits afterwards; and it is answered wherever the run is."""
    scene = Scene(stage)
    async with opened(scene.store, scene.graph, dispatch=dispatch, pool_size=1) as runtime:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.play, runtime)
            await settled()
            nursery.start_soon(cancelled, scene, runtime)
            await settled()
            scene.store.release()
        result = await runtime.get("r").result()
        await settled()
        said = runtime.statistics().supervisor
        assert (0, 0, 0, 0) == (said.live, said.carried, said.waiting, runtime.statistics().restarts)
        assert set() == runtime.supervisor.admission.holders
    kinds = [record.kind for record in await records(scene.inner, "r")]
    if Kind.CANCEL in kinds:
        assert CANCELLED is result.status
        assert {Kind.CANCEL, Kind.END} >= set(kinds[kinds.index(Kind.CANCEL) :])
        assert result.state.trail == TRAIL[: len(result.state.trail)]
    else:
        assert (SUCCEEDED, TRAIL) == (result.status, result.state.trail)
    assert len(scene.paid) <= 1


async def cancelled(scene: Scene, runtime: terzetto.Runtime) -> None:
    receipt = await runtime.get("r").cancel()
    row = await scene.inner.run("r")
    if receipt.outcome == "requested":
        assert row.status in {RunStatus.CANCELLING, CANCELLED}
    elif receipt.outcome == "stopped":
        assert CANCELLED is row.status
    else:
        assert ("already_terminal", True) == (receipt.outcome, row.status in TERMINAL)


@both
@everywhere
async def test_an_early_decision(autojump_clock, dispatch, stage):
    """6.4: taken exactly once, wherever the run is: who is not first is told so, or that nothing is open."""
    scene = Scene(stage)
    async with opened(scene.store, scene.graph, dispatch=dispatch, pool_size=1) as runtime:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.play, runtime)
            await settled()
            nursery.start_soon(decided, scene, runtime)
            await settled()
            scene.store.release()
        result = await runtime.get("r").result()
        assert (SUCCEEDED, TRAIL) == (result.status, result.state.trail)
        await settled()
        assert 0 == runtime.statistics().supervisor.live
    assert 1 == sum(isinstance(receipt, DecisionTaken) for receipt in scene.receipts)
    log = await records(scene.inner, "r")
    assert 1 == sum(record.kind is Kind.DECIDE for record in log)
    epochs = [record.epoch for record in log]
    assert sorted(epochs) == epochs
    assert not {Kind.INTERRUPT} & {record.kind for record in log}


async def decided(scene: Scene, runtime: terzetto.Runtime) -> None:
    with suppress(Refused):
        receipt = await runtime.get("r").decide("sign-off", Approve(), source="early")
        assert isinstance(receipt, DecisionTaken | AlreadyResolved)
        scene.receipts.append(receipt)


@both
@everywhere
async def test_the_same_submit(autojump_clock, dispatch, stage):
    """DESIGN: same id and input again = the same run, at every moment of its life."""
    scene = Scene(stage)
    async with opened(scene.store, scene.graph, dispatch=dispatch, pool_size=1) as runtime:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.play, runtime)
            await settled()
            nursery.start_soon(submitted_again, scene, runtime)
            await settled()
            scene.store.release()
        assert TRAIL == (await runtime.get("r").result()).state.trail
        assert set() == runtime.supervisor.admission.holders
    assert 1 == len(scene.paid)


async def submitted_again(scene: Scene, runtime: terzetto.Runtime) -> None:
    for _ in range(3):
        assert (await runtime.submit(scene.graph, Tally(), run_id="r")).reused


@both
@everywhere
@pytest.mark.parametrize("back", ["in time", "too late"])
async def test_leaving(autojump_clock, dispatch, stage, back):
    """9.6, 7: what was stored goes on from there with the next owner; a `once` body was started once."""
    scene = Scene(stage)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            with suppress(ActorStopped):
                async with terzetto.open_runtime(
                    scene.store, graphs=[scene.graph], dispatch=dispatch, shutdown_deadline=2
                ) as runtime:
                    nursery.start_soon(heard, scene, runtime)
                    await settled()
                    if back == "in time":
                        nursery.start_soon(release_later, scene)
        scene.store.release()
    async with opened(again := scene.hold_after(10**6), scene.graph, dispatch=dispatch) as runtime:
        await scene.play(runtime)
        result = await runtime.get("r").result()
        assert (SUCCEEDED, TRAIL) == (result.status, result.state.trail)
        assert 0 == runtime.statistics().restarts
    assert again.groups or stage >= COMMITS
    assert 1 == len(scene.paid)


async def heard(scene: Scene, runtime: terzetto.Runtime) -> None:
    try:
        await scene.play(runtime)
    except* ActorStopped:
        pass


async def release_later(scene: Scene) -> None:
    await trio.sleep(1)
    scene.store.release()
