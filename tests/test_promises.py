"""Promises that cross the borders of modules, each named by its number in SEMANTICS; see `test_promise_index.py`."""

import ast
from pathlib import Path
from typing import Annotated

import pytest
import trio
import trio.testing
from attrs import define, field
from msgspec import Struct

import terzetto
from terzetto._loading import load_fold
from terzetto._recovery import RECOVERY_INTERVAL
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Choose
from terzetto_protocol.errors import Refused, RunConflict
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import split_event_id
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus

from .pages import ROOT
from .runtimes import MUTATIONS, Held, Tally, both, chain, opened, parked, says
from .stores import FaultyStore, claim_elsewhere, records

AWAITING, CANCELLED, FAILED, SUCCEEDED = (
    RunStatus.AWAITING_INPUT, RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.SUCCEEDED,
)  # fmt: skip
stores = pytest.mark.parametrize("store", [MemoryStore, FaultyStore])


# -- 1 and 2: graphs and runs over several starts of a program ------------------------------------------------


@stores
async def test_a_run_stays_with_its_version(autojump_clock, store):
    """1: several versions may be live; a run is pinned to one."""
    shelf = store()
    old, new = chain("ask", says("old"), version="1"), chain("ask", says("new"), version="2")
    async with opened(shelf, old) as runtime:
        await parked(runtime, old, "r")
    async with opened(shelf, new) as runtime:
        for ask in (lambda: runtime.get("r").decide("ask", Approve()), runtime.get("r").cancel):
            with pytest.raises(Refused, match="'chain' '1' is not known here; it stays as it is"):
                await ask()
        assert 3 == (await shelf.run("r")).seq
    async with opened(shelf, new, old) as runtime:
        await runtime.get("r").decide("ask", Approve())
        assert ["old"] == (await runtime.get("r").result()).state.trail
        assert ["new"] == (await runtime.run(new, Tally(), auto_approve=True)).trail
        with pytest.raises(RunConflict):
            await runtime.submit(new, Tally(), run_id="r")


@stores
async def test_ids_that_differ_in_case_are_two_runs(autojump_clock, store):
    """1: a run has an id: every character of it counts."""
    graph = chain("ask")
    async with opened(store(), graph) as runtime:
        one, two = await parked(runtime, graph, "Run"), await parked(runtime, graph, "rUN")
        assert not two.reused
        await one.decide("ask", Approve())
        assert [SUCCEEDED, AWAITING] == [await one.status(), await two.status()]


@stores
async def test_a_graph_may_change_behind_what_is_pending(autojump_clock, store):
    """2: compatible = its schemas decode and every pending node and open barrier is still declared."""
    shelf, before, after = store(), chain("ask", says("b")), chain("ask", says("other"), says("more"))
    assert before.build().fingerprint != after.build().fingerprint
    async with opened(shelf, before) as runtime:
        await parked(runtime, before, "r")
    async with opened(shelf, after) as runtime:
        await runtime.get("r").decide("ask", Approve())
        assert ["other", "more"] == (await runtime.get("r").result()).state.trail
        assert (await runtime.submit(after, Tally(), run_id="r")).reused


# -- 3: durable before visible --------------------------------------------------------------------------------


@stores
async def test_receipts_say_what_durable_is_worth(autojump_clock, store):
    """3: durability is a property of the store and says so in every receipt: memory `durable=False`."""

    async def stop(ctx):
        ctx.pause()

    shelf, held = store(), Held()
    graph = chain("ask", stop, held)
    async with opened(shelf, graph) as runtime:
        run = await parked(runtime, graph, "r")
        receipts = [await run.decide("ask", Approve())]
        await trio.testing.wait_all_tasks_blocked()
        receipts.append(await run.resume())
        await held.begun.wait()
        receipts += [await run.cancel(), await runtime.get("nobody").cancel()]
        await run.result()
        receipts.append(await run.cancel())
    assert {shelf.durable} == {receipt.durable for receipt in receipts}
    assert (store is FaultyStore) == shelf.durable


@both
@pytest.mark.parametrize("moment", range(0, 60, 3))
async def test_nothing_is_committed_after_an_acknowledged_cancel(autojump_clock, dispatch, moment):
    """3 D6: a cancel was acknowledged => no commit and no intent succeeds, whatever is on its way at that moment."""
    shelf = FaultyStore()
    shelf.latency = 1.0

    async def pay(ctx):
        await trio.sleep(1.5)

    graph = Graph("busy", state=Tally, mutations=MUTATIONS)
    ahead = [graph.node(name=f"n{number}", effects="pure")(says("pure")) for number in range(3)]
    nodes = [*ahead, graph.node(effects="once")(pay), graph.node(name="last")(says("last"))]
    graph.start(nodes[0])
    for source, target in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        graph.edge(source, target)
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await trio.sleep(moment / 4)
        receipt = await run.cancel()
        kinds = [record.kind for record in await records(shelf, "r")]
        assert {"requested": Kind.CANCEL, "stopped": kinds[-1]}[receipt.outcome] in kinds
        assert Kind.CANCEL in kinds
        assert CANCELLED is (await run.result()).status
        after = [record.kind for record in await records(shelf, "r")][len(kinds) :]
    assert {Kind.END} >= set(after)
    assert not (receipt.outcome == "stopped" and after)


@both
@stores
async def test_a_stale_owner_leaves_and_the_next_look_finds_the_run(autojump_clock, dispatch, store):
    """3 D8: a stale writer gets `StaleEpoch`, cancels its run scope and publishes nothing. 7: recovery is a loop, not a
    one-shot at start."""
    shelf, held, seen = store(), Held(), []
    graph = chain(says("a"), held, says("c"))
    async with opened(shelf, graph, dispatch=dispatch, limit=100) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def read():
                async with run.events() as events:
                    async for event in events:
                        seen.append(event)  # noqa: PERF401 - it is looked at meanwhile

            await trio.testing.wait_all_tasks_blocked()
            await claim_elsewhere(shelf, graph, "r")
            before = len(seen)
            held.go.set()
            await trio.testing.wait_all_tasks_blocked()
            assert before == len(seen)
            assert (0, 0) == (runtime.statistics().supervisor.live, runtime.statistics().supervisor.carried)
            assert SUCCEEDED is (await run.result()).status
            assert trio.current_time() <= RECOVERY_INTERVAL
    again = [event for event in seen[before:] if getattr(event, "node", "") == "held"]
    assert [3, 3] == [split_event_id(event.id)[0] for event in again]  # only what the third owner did


# -- 4: state -------------------------------------------------------------------------------------------------


@define
class Pile:
    items: list[int] = field(factory=list)
    groups: dict[str, list[int]] = field(factory=dict)
    cache: Annotated[list[int], terzetto.transient] = field(factory=list)


class Put(Struct, frozen=True):
    n: int

    def apply(self, pile: Pile) -> None:
        pile.items.append(self.n)
        pile.groups.setdefault(str(self.n % 3), []).append(self.n)
        pile.cache.append(self.n)


@stores
@pytest.mark.parametrize("size", [1, 2, 60, 700])
async def test_a_node_that_changed_its_input_and_raised(autojump_clock, store, size):
    """4.3: a node that raises leaves no trace in the state: rebuilt from the log if the node had mutated its input, be
    the log long, be snapshots written. 4.7: transient fields are rebuilt by a hook."""
    shelf = store()

    def restore(pile: Pile) -> None:
        pile.cache = list(pile.items)

    graph = Graph("pile", state=Pile, mutations=[Put], restore=restore)

    @graph.node(effects="pure")
    async def grow(ctx):
        ctx.record(Put(len(ctx.state.items)))

    @graph.node
    async def spoil(ctx):
        ctx.record(Put(-1))
        ctx.state.items.reverse()
        ctx.state.groups["0"].append(-99)
        ctx.state.cache.clear()
        raise ValueError("spoiled")

    @graph.node
    async def look(ctx):
        assert list(range(size)) == ctx.state.items == ctx.state.cache
        assert -99 not in ctx.state.groups["0"]
        ctx.record(Put(size))

    graph.start(grow)
    graph.edge(grow, grow, when=lambda pile: len(pile.items) < size)
    graph.edge(grow, spoil)
    graph.edge(spoil, look, on_error=True)
    async with opened(shelf, graph, strict=False) as runtime:
        result = await (await runtime.submit(graph, Pile(), run_id="r")).result()
        assert (SUCCEEDED, list(range(size + 1))) == (result.status, result.state.items)
        assert result.state == (await load_fold(shelf, await shelf.run("r"), graph.build())).state


def test_no_pickle_anywhere():
    """4.7: no fallback codec, no pickle anywhere."""
    for path in [*ROOT.glob("protocol/**/*.py"), *ROOT.glob("actors/**/*.py")]:
        for name in imports(path):
            assert name.split(".")[0] not in {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle"}, path


def imports(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]


# -- 5 and 6: steps and barriers ------------------------------------------------------------------------------


@both
@stores
@pytest.mark.parametrize("limit", range(1, 7))
async def test_barriers_are_visits_too(autojump_clock, dispatch, store, limit):
    """5.3: `max_steps` N allows exactly N visits, of which a barrier is one; the run may set it."""
    graph = chain(says("a"), "b", says("c"), "d", says("e"))
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), max_steps=limit, auto_approve=True)
        result = await run.result()
        rows = await runtime.store.barriers(run.run_id, only_open=False)
    assert ["a", "c", "e"][: (limit + 1) // 2] == result.state.trail
    assert ["b@2", "d@4"][: limit // 2] == [row.barrier for row in rows]
    assert ((SUCCEEDED, "") if limit > 4 else (FAILED, "steps_exceeded")) == (result.status, result.code)


def forked() -> Graph[Tally]:
    """a plain barrier, then one with exits of its own."""
    graph = Graph("forked", state=Tally, mutations=MUTATIONS)
    first, second = graph.barrier("first"), graph.barrier("second", exits=("left", "right"))
    graph.start(first)
    graph.edge(first.approved, second)
    for name in second.exits:
        graph.edge(second.exit(name), graph.node(name=name)(says(name)))
    return graph


@stores
async def test_what_nobody_can_approve_waits_and_is_listed(autojump_clock, store):
    """6.7: nobody to decide: the barrier waits and is listed, also beside `auto_approve=True`; 6.3: declared exits."""
    async with opened(store(), graph := forked()) as runtime:
        run = await runtime.submit(graph, Tally(), auto_approve=True)
        await trio.testing.wait_all_tasks_blocked()
        assert ["second@2"] == [row.barrier for row in await run.barriers()]
        with pytest.raises(Refused, match="left, right"):
            await run.decide("second", Approve())
        await run.decide("", Choose("right"))
        assert ["right"] == (await run.result()).state.trail


@stores
@pytest.mark.parametrize("auto_approve", [False, True])
async def test_what_cannot_be_done_at_the_deadline(autojump_clock, store, auto_approve):
    """6.4: timeout: `on_timeout=` a decision; one that cannot be carried out ends the waiting too. 6.7: nobody to
    decide: what `auto_approve` cannot do waits and is listed. Neither is tried over and over."""
    tried = []

    def decided(decision):
        tried.append(decision)
        raise LookupError("nothing for that")

    graph = Graph("stubborn", state=Tally, mutations=MUTATIONS)
    graph.start(ask := graph.barrier("ask", timeout=5, decided=decided))
    graph.edge(ask.rejected, graph.node(name="no")(says("no")))
    async with opened(store(), graph) as runtime:
        run = await runtime.submit(graph, Tally(), auto_approve=auto_approve)
        await trio.sleep(10)
        assert (AWAITING if auto_approve else FAILED) is await run.status()
        assert (1 if auto_approve else 0) == len(await run.barriers())
        if not auto_approve:
            result = await run.result()
            assert ("barrier_timeout", True) == (result.code, "LookupError: nothing for that" in result.message)
    assert len(tried) <= 3


async def test_a_decider_is_asked_only_what_nothing_else_answers(autojump_clock):
    """6.7: `terzetto.run(graph, state)` takes `decider=` or `auto_approve=True`, and both together."""
    asked = []

    async def decider(event):
        asked.append(event.barrier)
        return Choose("left")

    assert ["left"] == (await terzetto.run(forked(), Tally(), auto_approve=True, decider=decider)).trail
    assert ["second@2"] == asked
    with pytest.raises(Refused, match="second@2 cannot be approved: pass decider="):
        await terzetto.run(forked(), Tally(), auto_approve=True)
