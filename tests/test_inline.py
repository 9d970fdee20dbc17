"""`terzetto.run`: a graph in the caller's own scope, without a runtime and without a store."""

import gc

import attrs
import pytest
import trio
import trio.testing

import terzetto
from terzetto_protocol.decisions import Approve, Choose, Reject
from terzetto_protocol.errors import GraphError, InvalidRequest, Refused, RunFailed
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .runtimes import MUTATIONS, Add, Held, Say, Tally, chain, counts, once, says


async def test_a_context_that_is_kept_after_the_run_is_refused_in_words():
    kept = []
    graph = Graph("leak", state=Tally)

    @graph.node
    async def leak(ctx) -> None:
        kept.append(ctx)

    graph.start(leak)
    await terzetto.run(graph, Tally(), decider=never)
    kept[0].emit_text("late")
    with trio.fail_after(5), pytest.raises(Refused):
        await kept[0].decision("late", exits=["approved"])


async def never(_: object) -> None:
    raise AssertionError("nobody asks")


async def test_the_result_is_the_final_state():
    graph = chain(says("one"), says("two"), says("three"))

    assert ["one", "two", "three"] == (await terzetto.run(graph, Tally())).trail


async def test_the_input_is_copied():
    """4.5: no aliasing: the caller's object stays what it is, and changing it changes nothing."""
    held = Held()
    graph = chain(says("first"), held)
    mine = Tally(trail=["mine"])
    results: list[Tally] = []

    async def run() -> None:
        results.append(await terzetto.run(graph, mine))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await held.begun.wait()
            mine.trail.append("late")
            held.go.set()

    assert ["mine", "late"] == mine.trail
    assert ["mine", "first", "held"] == results[0].trail


async def test_a_failed_run_raises():
    """9.3: `run()` raises `RunFailed`, which says why."""

    async def explode(ctx):
        raise LookupError("no such thing")

    with pytest.raises(RunFailed, match="no such thing") as caught:
        await terzetto.run(chain(explode), Tally(), run_id="mine")

    error = caught.value
    assert ("mine", RunStatus.FAILED, "node_error") == (error.run_id, error.status, error.code)


async def test_goto_and_end_overrule_edges():
    """5.1: a node's outcome is Next, `goto(node)` or `end()`; the last one set wins."""
    graph = Graph("ways", state=Tally, mutations=MUTATIONS)

    @graph.node
    async def first(ctx):
        ctx.record(Say("first"))
        ctx.end()
        ctx.goto(third)

    @graph.node
    async def second(ctx):
        ctx.record(Say("second"))

    @graph.node
    async def third(ctx):
        ctx.record(Say("third"))
        ctx.goto(first)
        ctx.end()

    graph.start(first)
    graph.edge(first, second)
    graph.edge(second, third)
    graph.edge(third, first)

    assert ["first", "third"] == (await terzetto.run(graph, Tally())).trail


@pytest.mark.parametrize("steps, ends", [(3, True), (2, False)])
async def test_max_steps_allows_exactly_so_many_visits(steps, ends):
    """5.3: `max_steps` N allows exactly N visits."""
    graph = chain(counts(1), says("two"), says("three"))
    if ends:
        assert 1 == (await terzetto.run(graph, Tally(), max_steps=steps)).count
        return
    with pytest.raises(RunFailed) as caught:
        await terzetto.run(graph, Tally(), max_steps=steps)
    assert "steps_exceeded" == caught.value.code


@pytest.mark.parametrize("steps", [0, -1])
async def test_max_steps_that_allow_nothing_are_refused(steps):
    with pytest.raises(InvalidRequest):
        await terzetto.run(chain(says("one")), Tally(), max_steps=steps)


async def test_a_leaf_context_is_chosen_by_annotation():
    seen: list[type] = []
    graph = Graph("leaves", state=Tally, mutations=MUTATIONS)

    @graph.node
    async def leaf(ctx: terzetto.LeafContext[Tally]) -> None:
        seen.append(type(ctx))
        ctx.record(Add(2))
        assert not hasattr(ctx, "goto")

    @graph.node
    async def full(ctx: terzetto.NodeContext[Tally]) -> None:
        seen.append(type(ctx))
        assert 2 == ctx.state.count

    graph.start(leaf)
    graph.edge(leaf, full)

    assert 2 == (await terzetto.run(graph, Tally())).count
    assert [terzetto.LeafContext, terzetto.NodeContext] == seen


@attrs.frozen
class Clients:
    greeting: str


async def test_deps_reach_the_nodes():
    graph = Graph("deps", state=Tally, mutations=MUTATIONS, deps=Clients)

    @graph.node
    async def greet(ctx):
        ctx.record(Say(ctx.deps.greeting))

    graph.start(greet)

    bound = terzetto.bind(graph, Clients("hello"))
    assert ["hello"] == (await terzetto.run(bound, Tally())).trail
    with pytest.raises(GraphError, match="need deps"):
        await terzetto.run(graph, Tally())


async def test_a_state_of_another_type_is_refused():
    with pytest.raises(InvalidRequest):
        await terzetto.run(chain(says("one")), Clients("no state"))


@pytest.mark.parametrize("run_id", ["", "a b", "-", "x" * 129, "../x"])
async def test_ids_are_checked(run_id):
    """1: an id is `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`, else refused."""
    with pytest.raises(InvalidRequest):
        await terzetto.run(chain(says("one")), Tally(), run_id=run_id)


# -- barriers ------------------------------------------------------------------------------------------------


async def test_a_graph_with_barriers_needs_somebody_to_decide():
    """6.7: `terzetto.run` takes `decider=` or `auto_approve=True` and refuses a graph with barriers otherwise."""
    began: list[str] = []

    async def write(ctx):
        began.append("write")

    with pytest.raises(InvalidRequest, match="barriers"):
        await terzetto.run(chain(write, "sign-off", says("done")), Tally())
    assert [] == began


async def test_auto_approve_approves_every_barrier():
    graph = chain(says("one"), "first", says("two"), "second", says("three"))

    assert ["one", "two", "three"] == (await terzetto.run(graph, Tally(), auto_approve=True)).trail


@pytest.mark.parametrize("approves, exits", [(False, ("approved", "rejected")), (True, ("left", "right"))])
async def test_a_question_that_nobody_could_answer_is_refused(autojump_clock, approves, exits):
    """6.7, law 5: nobody waits for ever unknowingly, so the node that asks is told."""

    async def ask(ctx):
        await ctx.decision("way", exits=exits)

    with trio.fail_after(5), pytest.raises(RunFailed, match=r"'ask': Refused.*'way' \(exits: .*\): pass decider="):
        await terzetto.run(chain(ask), Tally(), auto_approve=approves)


async def test_a_question_that_has_an_answer_needs_nobody(autojump_clock):
    """6.7: the run approves, a timeout decides, or the decider does."""

    async def ask(ctx):
        ctx.record(Say((await ctx.decision("fine")).exit))

    async def in_time(ctx):
        ctx.record(Say((await ctx.decision("way", exits=["on"], timeout=3, on_timeout=Choose("on"))).exit))

    async def decide(event):
        return Reject()

    assert ["approved"] == (await terzetto.run(chain(ask), Tally(), auto_approve=True)).trail
    assert ["rejected"] == (await terzetto.run(chain(ask), Tally(), decider=decide)).trail
    assert ["on"] == (await terzetto.run(chain(in_time), Tally())).trail


@pytest.mark.parametrize(
    "options, why",
    [
        ({"decided": lambda decision: 1 // 0}, "its `decided` raised ZeroDivisionError"),
        ({"exits": ["left"]}, r"its exits are left"),
    ],
    ids=["decided", "exits"],
)
async def test_what_cannot_be_approved_says_why(options, why):
    """6.7, 1: refused names the barrier, and what is wrong with it."""
    graph = Graph("gate", state=Tally, mutations=MUTATIONS)
    graph.start(graph.barrier("gate", **options))
    with pytest.raises(Refused, match=rf"gate@1 cannot be approved: pass decider= \(barrier gate.*{why}"):
        await terzetto.run(graph, Tally(), auto_approve=True)


async def test_a_once_node_in_doubt_says_what_it_takes(autojump_clock):
    """6.7, 7: nobody is there to say what became of its effect."""

    async def wait(ctx):
        await trio.sleep_forever()

    with pytest.raises(Refused, match=r"@1 cannot be approved: pass decider= \(nobody knows .* confirm, retry or fail"):
        await terzetto.run(chain(once(wait, run_timeout=1)), Tally())


def reviewed() -> Graph[Tally]:
    graph = Graph("reviewed", state=Tally, mutations=MUTATIONS)
    write = graph.node(name="write")(says("write"))
    fine = graph.node(name="fine")(says("fine"))
    sign_off = graph.barrier("sign-off", payload=lambda tally: len(tally.trail))
    graph.start(write)
    graph.edge(write, sign_off)
    graph.edge(sign_off.approved, fine)
    graph.edge(sign_off.rejected, write)
    return graph


async def test_a_decider_is_asked_about_each_barrier():
    asked: list[tuple[str, object]] = []

    async def decide(event):
        asked.append((event.barrier, terzetto.payload_of(event)))
        await trio.lowlevel.checkpoint()
        return Approve() if len(asked) == 3 else Reject("again")

    assert ["write"] * 3 + ["fine"] == (await terzetto.run(reviewed(), Tally(), decider=decide)).trail
    assert [("sign-off@2", 1), ("sign-off@4", 2), ("sign-off@6", 3)] == asked


async def test_a_decider_that_chooses_no_exit_is_refused():
    """6.3, 1: refused names the barrier and its exits."""

    async def decide(event):
        return Choose("sideways")

    with pytest.raises(Refused, match=r"sign-off@2.*approved, rejected"):
        await terzetto.run(reviewed(), Tally(), decider=decide)


async def test_a_decider_that_fails_is_the_callers_error():
    async def decide(event):
        raise ConnectionError("nobody at home")

    with pytest.raises(ConnectionError, match="nobody at home"):
        await terzetto.run(reviewed(), Tally(), decider=decide)


async def test_a_pause_is_refused():
    async def stop(ctx):
        ctx.pause()

    with pytest.raises(Refused, match="nobody can resume it"):
        await terzetto.run(chain(stop, says("never")), Tally())


# -- cancellation --------------------------------------------------------------------------------------------


async def test_cancelling_the_caller_cancels_the_node(autojump_clock):
    """9.3: the caller's own cancellation raises, after the node's cleanup."""
    held = Held(cleanup=3)
    with trio.move_on_after(1) as scope:
        await terzetto.run(chain(held, says("never")), Tally())
        raise AssertionError("the caller's own cancellation raises")

    assert scope.cancelled_caught
    assert ["cancelled", "cleaned up"] == held.ends
    assert 4 == trio.current_time()


@pytest.mark.parametrize("effects", ["pure", "repeatable", "once"])
async def test_a_caller_that_is_cancelled_already_starts_nothing_for_long(effects):
    held = Held()
    with trio.CancelScope() as scope:
        scope.cancel()
        await terzetto.run(chain(once(held) if effects == "once" else held), Tally())

    assert scope.cancelled_caught
    assert held.ends in ([], ["cancelled"])


async def test_a_run_without_checkpoints_lets_others_run_and_can_be_cancelled():
    """A chain whose nodes never wait is still cancelled, and others get their turns meanwhile."""
    graph = Graph("spin", state=Tally, mutations=MUTATIONS, max_steps=1_000_000)
    turns: list[int] = []

    @graph.node
    async def spin(ctx):
        ctx.record(Add())

    graph.start(spin)
    graph.edge(spin, spin)

    async def other() -> None:
        for number in range(5):
            turns.append(number)
            await trio.lowlevel.checkpoint()
        scope.cancel()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await terzetto.run(graph, Tally())
    assert scope.cancelled_caught
    assert list(range(5)) == turns


async def test_nothing_is_left(autojump_clock):
    """Law 3: neither a task nor a reference from anywhere to the run's state."""
    states: list[object] = []

    async def look(ctx):
        states.append(id(ctx.state))
        await trio.sleep_forever()

    tasks = trio.lowlevel.current_statistics().tasks_living
    with trio.move_on_after(1):
        await terzetto.run(chain(look), Tally(count=41))
    assert tasks == trio.lowlevel.current_statistics().tasks_living

    await trio.lowlevel.checkpoint()  # Trio holds the last exception until then
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Tally) and each.count == 41]


async def test_a_decider_is_asked_by_one_barrier_after_the_other():
    """6.7: `decider=` answers every barrier, also where one leads straight to the next."""
    graph = terzetto.Graph("two", state=Tally)
    first, second = graph.barrier("first"), graph.barrier("second")
    graph.start(first)
    graph.edge(first.approved, second)
    asked: list[str] = []

    async def decide(opened: terzetto.BarrierOpened) -> terzetto.Decision:
        asked.append(opened.name)
        return terzetto.Approve()

    with trio.fail_after(5):
        await terzetto.run(graph, Tally(), decider=decide)

    assert asked == ["first", "second"]


async def test_it_is_a_checkpoint_whatever_its_nodes_do():
    """A graph whose nodes wait for nothing lets others run all the same, and a cancelled caller begins nothing."""
    ran: list[str] = []
    graph = chain(says("one"))
    with trio.testing.assert_checkpoints():
        await terzetto.run(graph, Tally())
    with trio.CancelScope() as scope:
        scope.cancel()
        await terzetto.run(graph, Tally())
        ran.append("never")
    assert scope.cancelled_caught
    assert [] == ran
