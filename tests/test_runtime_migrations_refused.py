"""Runs that no version here can go on with stay as they are, with a reason (SEMANTICS 2)."""

from typing import Any

import pytest
from attrs import frozen

from terzetto._loading import load_fold
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Choose, Modify
from terzetto_protocol.errors import Refused
from terzetto_protocol.graph import Graph
from terzetto_protocol.migrations import Migration

from .runtimes import SUCCEEDED, Tally, chain, opened, says
from .stores import claim_elsewhere
from .versions import FIRST, Bodies, Book, Draft, Paper, first, lines_of, mutation_of, opens, second, third

PLACES = FIRST.places


async def left(store, *, dead_in: str = "") -> None:
    """A run that waits at its barrier, or whose process died in a node, after mutations that no snapshot covers."""
    bodies = Bodies()
    bodies.held = dead_in
    async with opened(store, old := first(bodies), shutdown_deadline=0) as runtime:
        run = await runtime.submit(old, Draft(), run_id="r")
        if dead_in:
            await bodies.begun.wait()
        else:
            await opens(run)
    if dead_in:
        await claim_elsewhere(store, old, "r")


async def stays(store, graph, reason: str) -> None:
    """Whoever asks hears why, nothing has changed, nobody has died, and others go on."""
    before, log = await store.run("r"), await store.records("r")
    fine = chain(says("fine"), name="fine")
    async with opened(store, graph, fine, pool_size=1) as runtime:
        await runtime.run(fine, Tally())
        with pytest.raises(Refused, match=reason) as caught:
            await runtime.get("r").decide("", Approve())
        assert str(caught.value).startswith("run 'r': graph 'article' ")
        assert "stays as it is" in str(caught.value)
        with pytest.raises(Refused, match=reason):
            await runtime.get("r").cancel()
        statistics = runtime.statistics()
        assert [] == [why for _, why in statistics.supervisor.unclaimed if why not in str(caught.value)]
        assert 0 == statistics.restarts
    assert (before, log) == (await store.run("r"), await store.records("r"))


async def test_no_version_has_a_migration_since_that_of_the_run(autojump_clock):
    """2: otherwise a declared migration; the reason says what to do."""
    store = MemoryStore()
    await left(store)
    reason = r"'article' '1' is not known here; .* there is '2', which can declare terzetto.Migration\(since='1'\)"
    await stays(store, second(Bodies(), migrations=()), reason)


async def test_a_run_does_not_go_back_to_an_older_version(autojump_clock):
    """1: a run is pinned to one version, and that is the one that wrote its last commit."""
    store = MemoryStore()
    await left(store)
    async with opened(store, second(Bodies())) as runtime:
        await runtime.get("r").decide("publish", Approve(), keep="once")
    await stays(store, first(Bodies()), "'article' '2' is not known here; .* there is '1', which can declare")


def raises(plain: dict[str, Any]) -> dict[str, Any]:
    return {"lines": plain["lines"]}


def forgets(plain: dict[str, Any]) -> Any:
    """Without a `return`."""
    lines_of(plain)


def not_a_number(plain: dict[str, Any]) -> dict[str, Any]:
    return {"lines": [], "revisions": float("nan")}


def exits(plain: dict[str, Any]) -> dict[str, Any]:
    raise SystemExit("no")


SINCE = r"the migration of graph 'article' since '1' did not take the state: "


@pytest.mark.parametrize(
    "state, reason",
    [
        (raises, SINCE + "KeyError: 'lines'"),
        (forgets, r"state Paper is malformed: Expected `object`, got `None`"),
        (not_a_number, SINCE + "it holds a NaN or an infinity"),
        (exits, SINCE + "SystemExit: no"),
        (lambda plain: {"lines": "a"}, r"state Paper is malformed: Expected `array`, got `str` - at `\$.lines`"),
        (lambda plain: {"lines": {1: object()}}, SINCE + "Encoding objects of type object is unsupported"),
    ],
    ids=["raises", "returns nothing", "nan", "exits", "wrong type", "unstorable"],
)
async def test_a_state_that_does_not_become_one_of_the_new_version(autojump_clock, state, reason):
    """2: its schemas decode; the reason names the run, the version and the field."""
    store = MemoryStore()
    await left(store)
    migration = Migration("1", state=state, mutation=mutation_of, places=PLACES)
    await stays(store, second(Bodies(), migrations=[migration]), reason)


async def test_without_a_function_new_fields_get_their_defaults_and_old_ones_are_left_out(autojump_clock):
    """2: its schemas decode."""
    store = MemoryStore()
    await left(store)
    new = third(Bodies(), migrations=[Migration("1", places={"sign-off": "approval"})])
    async with opened(store, new) as runtime:
        assert Book() == await runtime.get("r").state()


MUTATED = r"the migration of graph 'article' since '1' did not take mutation Written: "


@pytest.mark.parametrize(
    "mutation, reason",
    [
        (None, "mutation Written is malformed: the graph does not list it"),
        (lambda name, plain: (name[99], plain), MUTATED + "IndexError"),
        (lambda name, plain: name, MUTATED + r"it returned 'Written', and not \(name, fields\)"),
        (lambda name, plain: [(name, plain), None], MUTATED + r"it returned None, and not \(name, fields\)"),
        (lambda name, plain: ("Wrote", {"lines": [float("inf")]}), "mutation Wrote: it holds a NaN or an infinity"),
        (lambda name, plain: ("Wrote", {}), r"mutation Wrote is malformed: .*missing required field `lines`"),
    ],
    ids=["none", "raises", "no pair", "no pairs", "infinite", "wrong fields"],
)
async def test_a_mutation_that_does_not_become_one_of_the_new_version(autojump_clock, mutation, reason):
    """2: its schemas decode."""
    store = MemoryStore()
    await left(store, dead_in="check")
    migration = Migration("1", state=lines_of, mutation=mutation, places=PLACES)
    await stays(store, second(Bodies(), migrations=[migration]), reason)
    async with opened(store, second(Bodies(), migrations=[migration])) as runtime:
        for look in (runtime.get("r").replay, runtime.get("r").state, runtime.get("r").fork):
            with pytest.raises(Refused, match=reason):
                await look()
        assert Paper() == await runtime.get("r").state(at=1)


async def test_a_mutation_that_raises_under_the_new_version(autojump_clock):
    """4.6: it names the mutation."""
    store = MemoryStore()
    await left(store, dead_in="check")
    migration = Migration("1", mutation=lambda name, plain: ("Broken", {}), places=PLACES)
    new: Graph[Draft] = Graph("article", state=Draft, mutations=[Broken], version="2", migrations=[migration])
    for name in ("draft", "check", "approval"):
        new.node(name=name)(Bodies().of(name))
    new.start("draft")
    await stays(store, new, "mutation Broken could not be applied: ArithmeticError: broken")


@frozen
class Broken:
    def apply(self, draft: Draft) -> None:
        raise ArithmeticError("broken")


@pytest.mark.parametrize(
    "places, reason",
    [
        ({}, r"cannot go on with it: it has no node sign-off@3 any more; it stays as it is \(say what became of it"),
        ({"sign-off": "publish"}, "sign-off@3 waits for a decision, and 'publish' is no barrier any more"),
    ],
    ids=["gone", "a node"],
)
async def test_what_is_pending_has_to_be_declared(autojump_clock, places, reason):
    """2: every pending node and open barrier is still declared."""
    store = MemoryStore()
    await left(store)
    migration = Migration("1", state=lines_of, mutation=mutation_of, places=places)
    await stays(store, second(Bodies(), migrations=[migration]), reason)


async def test_a_node_that_became_a_barrier_opens_it(autojump_clock):
    """2: a pending visit goes on as what its place is now."""
    store = MemoryStore()
    await left(store, dead_in="write")
    places = {"write": "approval", "sign-off": "approval"}
    migration = Migration("1", state=lines_of, mutation=mutation_of, places=places)
    async with opened(store, second(Bodies(), migrations=[migration])) as runtime:
        run = runtime.get("r")
        await opens(run)
        await run.decide("approval@1", Approve())
        assert SUCCEEDED is (await run.result()).status


async def test_a_refused_command_migrates_nothing(autojump_clock):
    """1: refused: a typed error, and nothing has changed."""
    store = MemoryStore()
    await left(store)
    before, log = await store.run("r"), await store.records("r")
    async with opened(store, second(Bodies())) as runtime:
        run = runtime.get("r")
        for wrong in (Modify({"text": "x"}), Modify({"lines": 5}), Choose("up")):
            with pytest.raises(Refused):
                await run.decide("sign-off", wrong)
        for name in ("sign-of", "approval@9"):
            with pytest.raises(Refused):
                await run.decide(name, Approve())
        assert (before, log) == (await store.run("r"), await store.records("r"))
        await run.decide("sign-off", Modify({"lines": ["x"]}))
        assert Paper(["x"], 3) == (await run.result()).state
        migrated = next(commit.seq for commit in await run.history() if commit.kind == "migrate")
        assert Paper(["a", "b"], 2) == await run.state(at=migrated)
        assert (await run.replay()).holds


async def test_a_graph_that_changed_under_its_own_version_can_still_be_looked_at(autojump_clock):
    """2: compatible = its schemas decode and every pending node is still declared; reading takes the schemas alone."""
    store = MemoryStore()
    await left(store, dead_in="check")
    other: Graph[Draft] = Graph("article", state=Draft, mutations=first(Bodies()).mutations)
    other.start(other.node(name="alone")(Bodies().of("alone")))
    fold = await load_fold(store, await store.run("r"), other.build())
    assert Draft("a\nb", 2) == fold.state
    await stays(store, other, "has no node check@2 any more")
