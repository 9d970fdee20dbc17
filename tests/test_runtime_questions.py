"""What a body asks while it runs: decisions and journalled effects (SEMANTICS 6.2, 7)."""

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.decisions import Approve, Choose, Fail, Modify, Reject
from terzetto_protocol.errors import InvalidRequest, Refused
from terzetto_protocol.events import BarrierOpened, BarrierResolved
from terzetto_protocol.graph import Graph
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from .runtimes import FAILED, MUTATIONS, RUNNING, SUCCEEDED, Held, Say, Tally, both, opened, says, settled, stores, told


def graph_of(body, **options):
    graph = Graph("asks", state=Tally, mutations=MUTATIONS)
    graph.start(graph.node(name="work", **options)(body))
    return graph


async def asks(ctx):
    ctx.record(Say("before"))
    decision = await ctx.decision("go", payload={"cost": 3})
    ctx.record(Say(repr(decision)))


# -- decisions -----------------------------------------------------------------------------------------------


@both
@stores
async def test_a_node_waits_for_a_decision(autojump_clock, dispatch, store):
    """6.2: `await ctx.decision(name, ...)` waits inside a node: the run stays RUNNING and owned."""
    graph = graph_of(asks)
    async with opened(store(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        (row,) = await run.barriers()
        assert (RUNNING, "go@1", "go") == (await run.status(), row.barrier, row.name)
        receipt = await run.decide("go", Reject("no"), source="ann")
        assert isinstance(receipt, DecisionTaken)
        result = await run.result()
        assert (SUCCEEDED, ["before", "Reject(reason='no')"]) == (result.status, result.state.trail)
        assert isinstance(await run.decide("go@1", Approve()), AlreadyResolved)
        events = [event for event in await told(run) if isinstance(event, BarrierOpened | BarrierResolved)]
        assert ["go@1", "go@1"] == [event.barrier for event in events]
        assert {"cost": 3} == terzetto.payload_of(events[0])
        assert [] == await run.barriers()


@both
async def test_after_a_restart_the_node_runs_again_and_is_told_at_once(autojump_clock, dispatch):
    """6.2: after a restart the node re-runs as any uncommitted node and earlier answers are returned at once."""
    began = []

    async def twice(ctx):
        began.append(trio.current_time())
        first = await ctx.decision("go")
        second = await ctx.decision("go")
        ctx.record(Say(f"{first!r} {second!r}"))

    graph, store = graph_of(twice), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        await run.decide("go", Approve())
        await settled()
        assert ["go@1.1"] == [row.barrier for row in await run.barriers()]
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await settled()
        run = runtime.get("r")
        assert ["go@1.1"] == [row.barrier for row in await run.barriers()]
        await run.decide("", Reject())
        assert ["Approve() Reject(reason='')"] == (await run.result()).state.trail
        opened_ones = [event for event in await told(run) if isinstance(event, BarrierOpened)]
    assert (2, ["go@1", "go@1.1"]) == (len(began), [event.barrier for event in opened_ones])


@both
async def test_a_decision_that_comes_while_nobody_runs_the_node(autojump_clock, dispatch):
    """6.1: decision durable and barrier closed; the next owner's node is told."""
    graph, store = graph_of(asks), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    async with opened(store, graph, dispatch=dispatch, pool_size=1) as runtime:
        await runtime.get("r").decide("go", Approve())
        assert ["before", "Approve()"] == (await runtime.get("r").result()).state.trail


@both
async def test_nobody_decides_in_time(autojump_clock, dispatch):
    """6.4: timeout: `on_timeout=` a decision (Reject unless said otherwise) or `Fail()`; source=timeout."""

    async def hurries(ctx):
        ctx.record(Say(repr(await ctx.decision("go", timeout=5))))
        ctx.record(Say(repr(await ctx.decision("go", timeout=5, on_timeout=Approve()))))
        try:
            await ctx.decision("last", timeout=5, on_timeout=Fail("too late"))
        except terzetto.DecisionTimeout as error:
            ctx.record(Say(str(error)))

    graph = graph_of(hurries)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        before = trio.current_time()
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        assert 15 == round(trio.current_time() - before)
        assert {"timeout"} == {event.source for event in await told(run) if isinstance(event, BarrierResolved)}
    assert ["Reject(reason='')", "Approve()", "nobody decided 'last' in time: too late"] == result.state.trail


async def test_what_a_question_decides_by_itself_has_to_be_one_of_its_exits(autojump_clock):
    """6.4: `on_timeout=` a decision; it is refused when it is asked, and not when nobody is there to be told."""

    async def muddles(ctx):
        with pytest.raises(InvalidRequest, match="has the exits post, pickup, and in time would leave by 'rejected'"):
            await ctx.decision("way", timeout=5, exits=["post", "pickup"])
        decision = await ctx.decision("way", timeout=5, exits=["post", "pickup"], on_timeout=Choose("post"))
        ctx.record(Say(decision.exit))

    graph = graph_of(muddles)
    async with opened(MemoryStore(), graph) as runtime:
        assert ["post"] == (await runtime.run(graph, Tally())).trail


async def test_exits_of_its_own(autojump_clock):
    """6.3: a decision that it does not take is refused, and it keeps waiting."""

    async def chooses(ctx):
        ctx.record(Say((await ctx.decision("way", exits=["post", "pickup"])).exit))

    graph = graph_of(chooses)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await settled()
        with pytest.raises(Refused, match="its exits are post, pickup"):
            await run.decide("way", Approve())
        await run.decide("way", Choose("pickup"))
        assert ["pickup"] == (await run.result()).state.trail


@both
async def test_what_was_shown_may_be_changed(autojump_clock, dispatch):
    """6.3: Modify is checked when it is decided, here against what the body asked about; it keeps waiting."""

    async def asks_to_send(ctx):
        mail = {"to": "ann", "copies": 1, "cost": 1.5, "tags": [], "note": None}
        answer = await ctx.decision("send", payload=mail)
        ctx.record(Say(repr(mail | answer.changes)))

    graph = graph_of(asks_to_send)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        for changes, said in (
            ({"too": "bob"}, r"run 'r': send@1 keeps waiting: it showed no 'too' \(did you mean 'to'\?\)"),
            ({"x": 1}, r"it showed no 'x' \(what may be changed: to, copies, cost, tags, note\)"),
            ({"to": "bob", "copies": "two"}, "copies is malformed: Expected `int`, got `str`"),
            ({"copies": True}, "copies is malformed: Expected `int`, got `bool`"),
            ({"to": None}, "to is malformed: Expected `str`, got `null`"),
            ({"tags": {}}, "tags is malformed: Expected `array`, got `object`"),
        ):
            with pytest.raises(Refused, match=said):
                await run.decide("send", Modify(changes))
        assert ["send@1"] == [row.barrier for row in await run.barriers()]
        await run.decide("send", Modify({"cost": 2, "note": "urgent"}))
        assert [repr({"to": "ann", "copies": 1, "cost": 2, "tags": [], "note": "urgent"})] == (
            await run.result()
        ).state.trail


@pytest.mark.parametrize("shown", [None, "a text", ["a", "list"], {}])
async def test_what_showed_no_parts_has_none_to_change(autojump_clock, shown):
    """6.3: it may be approved all the same, and so by a `Modify` that changes nothing."""

    async def asks_about(ctx):
        ctx.record(Say(repr(await ctx.decision("go", payload=shown))))

    graph = graph_of(asks_about)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await settled()
        with pytest.raises(Refused, match=r"it showed no 'x' \(what may be changed: nothing\)"):
            await run.decide("go", Modify({"x": 1}))
        await run.decide("go", Modify({}, "as it is"))
        assert ["Modify(changes={}, note='as it is')"] == (await run.result()).state.trail


async def test_a_kept_change_that_does_not_fit_decides_nothing(autojump_clock):
    """6.5, 6.3: nobody could know before what would be asked; the question waits for somebody else."""
    held = Held()

    async def asks_about(ctx):
        await held.go.wait()
        ctx.record(Say(repr(await ctx.decision("go", payload={"x": 1}))))

    graph = graph_of(asks_about)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await run.decide("go", Modify({"y": 1}), keep="once")
        held.go.set()
        await settled()
        assert ["go@1"] == [row.barrier for row in await run.barriers()]
        await run.decide("go@1", Modify({"x": 2}))
        assert ["Modify(changes={'x': 2}, note='')"] == (await run.result()).state.trail


@both
async def test_what_a_body_does_to_its_answer_changes_nothing(autojump_clock, dispatch):
    """4.5: a checkpoint holds what was decided, and so does whoever asks again."""
    seen = []

    async def scribbles(ctx):
        answer = await ctx.decision("go", payload={"x": []})
        seen.append(repr(answer.changes))
        answer.changes["x"].append("scribbled")
        await ctx.decision("more")

    graph, store = graph_of(scribbles), MemoryStore()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        await run.decide("go", Modify({"x": [1]}))
        await settled()
        await run.pause()
        await settled()
        await run.resume()
        await run.decide("more", Approve())
        assert SUCCEEDED is (await run.result()).status
    assert ["{'x': [1]}", "{'x': [1]}"] == seen


async def test_a_once_node_asks_nobody(autojump_clock):
    """6.2: refused in a `once` node."""
    graph = graph_of(asks, effects="once")
    async with opened(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, True) == (result.status, "is once" in result.message)


@both
async def test_two_questions_of_one_node_at_once(autojump_clock, dispatch):
    """6.5: a decision without an id is refused when more than one barrier is open."""

    async def both_at_once(ctx):
        async def ask(name):
            ctx.record(Say(f"{name} {(await ctx.decision(name)).exit}"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "one")
            nursery.start_soon(ask, "two")

    graph = graph_of(both_at_once)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        await settled()
        with pytest.raises(Refused, match="several barriers are open"):
            await run.decide("", Approve())
        await run.decide("two", Approve())
        await settled()
        await run.decide("", Reject())
        assert ["two approved", "one rejected"] == (await run.result()).state.trail


@both
@pytest.mark.parametrize("last", [True, False])
async def test_a_question_that_nobody_waits_for_any_more_closes_with_the_visit(autojump_clock, dispatch, last):
    """2: BarrierStatus DROPPED: its visit ended before anybody decided, whether or not another visit follows."""

    async def gives_up(ctx):
        with trio.move_on_after(3):
            await ctx.decision("go")
        ctx.record(Say("went on"))

    graph = Graph("asks", state=Tally, mutations=MUTATIONS)
    work = graph.node(name="work")(gives_up)
    graph.start(work)
    if not last:
        graph.edge(work, graph.node(name="done")(says("done")))
    store = MemoryStore()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert ["went on"] == (await run.result()).state.trail[:1]
        (row,) = await store.barriers("r", only_open=False)
        assert BarrierStatus.DROPPED is row.status


@both
async def test_a_soft_stop_does_not_wait_for_people(autojump_clock, dispatch):
    """9.6: running work reaches its commits; a body that waits for somebody has nothing to commit."""
    graph, store = graph_of(asks), MemoryStore()
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=100) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        began = trio.current_time()
    assert began == trio.current_time()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await settled()
        await runtime.get("r").decide("go", Approve())
        assert ["before", "Approve()"] == (await runtime.get("r").result()).state.trail


@both
async def test_a_pause_does_not_wait_for_people(autojump_clock, dispatch):
    """2: a run whose body waits is paused at once, and asks again when it goes on; the question stays open."""
    graph = graph_of(asks)
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await settled()
        await run.pause()
        await settled()
        assert (RunStatus.PAUSED, ["go@1"]) == (await run.status(), [row.barrier for row in await run.barriers()])
        await run.resume()
        await settled()
        await run.decide("go", Approve())
        assert ["before", "Approve()"] == (await run.result()).state.trail


async def test_auto_approve_answers_bodies_too(autojump_clock):
    """6.7: `auto_approve=True` on the run approves."""
    graph = graph_of(asks)
    async with opened(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally(), auto_approve=True)).result()
    assert ["before", "Approve()"] == result.state.trail


async def test_a_cancel_ends_the_waiting(autojump_clock):
    graph = graph_of(asks)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await settled()
        await run.cancel()
        assert RunStatus.CANCELLED is (await run.result()).status
        assert [] == await run.barriers()


async def test_a_decider_answers_bodies_without_a_runtime(autojump_clock):
    """6.7: `terzetto.run(graph, state)` takes `decider=`."""

    async def decider(event):
        return Reject(event.name)

    state = await terzetto.run(graph_of(asks), Tally(), decider=decider)
    assert ["before", "Reject(reason='go')"] == state.trail


# -- the journal ---------------------------------------------------------------------------------------------


@both
@stores
async def test_a_journalled_effect_is_not_done_again(autojump_clock, dispatch, store):
    """7: `ctx.effect(name, fn)` journals sub-effects of a node: what is stored is not done again."""
    done, keys = [], []

    async def pays(ctx):
        async def charge(key):
            done.append("charge")
            keys.append(key)
            return {"receipt": len(done)}

        first = await ctx.effect("charge", charge)
        second = await ctx.effect("charge", charge)
        if len(done) < 3:
            done.append("sleep")
            await trio.sleep(100)
        ctx.record(Say(f"{first['receipt']} {second['receipt']}"))

    graph, shelf = graph_of(pays), store()
    async with opened(shelf, graph, dispatch=dispatch, shutdown_deadline=0) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        assert ["1 2"] == (await runtime.get("r").result()).state.trail
    assert ["charge", "charge", "sleep"] == done
    assert 2 == len(set(keys))


@pytest.mark.parametrize("name", ["pay.1", "", "two words", 5, "\ud800"])
async def test_the_name_of_an_effect_stands_for_no_other(autojump_clock, name):
    """7: what is stored of one part is never told as what came of another (`pay.1` is the second `pay`)."""
    done = []

    async def pays(ctx):
        async def charge(key):
            done.append(key)

        await ctx.effect("pay", charge)
        await ctx.effect("pay", charge)
        await ctx.effect(name, charge)

    graph = graph_of(pays)
    async with opened(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, True, 2) == (result.status, "is not a name: use 1 to 64" in result.message, len(done))


async def test_a_retried_attempt_finds_what_the_one_before_has_done(autojump_clock):
    """9.8 beside 7: the journal belongs to the visit, not to the attempt."""
    done = []

    async def pays(ctx):
        async def charge(key):
            done.append(key)
            return 7

        value = await ctx.effect("charge", charge, result=int)
        if ctx.visit.attempt < 3:
            raise OSError("down")
        ctx.record(Say(str(value)))

    graph = graph_of(pays, retry=terzetto.RetryPolicy())
    async with opened(MemoryStore(), graph) as runtime:
        assert ["7"] == (await (await runtime.submit(graph, Tally())).result()).state.trail
    assert 1 == len(done)


async def test_a_result_that_cannot_be_stored_is_an_error_of_the_node(autojump_clock):
    """4.7: a NaN is a typed error of that node."""

    async def pays(ctx):
        async def charge(key):
            return float("nan")

        await ctx.effect("charge", charge)

    graph = graph_of(pays)
    async with opened(MemoryStore(), graph) as runtime:
        result = await (await runtime.submit(graph, Tally())).result()
    assert (FAILED, True) == (result.status, "NaN" in result.message)


async def test_the_journal_works_without_a_runtime(autojump_clock):
    async def pays(ctx):
        async def charge(key):
            return [key == ctx.key]

        ctx.record(Say(str(await ctx.effect("charge", charge))))

    assert ["[False]"] == (await terzetto.run(graph_of(pays), Tally())).trail
