"""`terzetto_protocol.machine`: durable before visible (SEMANTICS 3), as far as the machine decides it.

The witness of every driver checks most of these promises in every test; here each is led into temptation.
"""

import pytest
from msgspec import Raw

from terzetto_protocol.events import CustomChunk, EffectIntended, TextChunk, ThinkingChunk, ToolChunk
from terzetto_protocol.image import read_snapshot
from terzetto_protocol.limits import EVENT_WINDOW, RUN_AHEAD
from terzetto_protocol.port import Custom, Thinking, Tool
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .machines import Driver, claimed
from .sketches import Add, Spoil, Tally, sketch

_R = RunStatus


# -- D1, D2: before a node starts ----------------------------------------------------------------------------------


def test_nothing_is_said_before_the_submit_is_durable():
    """D1: `submit` returns => the run, its input and its graph version are durable."""
    driver = Driver(sketch("a"), acks="later")
    assert (driver.events, driver.finishes) == ([], [])
    driver.ack()

    assert driver.events == ["RunQueued"]
    assert [finish.status for finish in driver.finishes] == [_R.QUEUED]


@pytest.mark.parametrize("effects", ["repeatable", "once", "probed", "pure"])
def test_the_first_node_waits_for_its_claim(effects):
    """2: a claim is durable before its user code."""
    driver = Driver(sketch(f"a:{effects}"), acks="later")
    driver.ack()
    driver.claim()
    assert driver.started == []
    driver.ack()

    assert driver.started == ["a"]


def test_a_repeatable_node_waits_for_the_commit_before_it():
    """D2: any other non-pure node starts => the commit before it is durable."""
    driver = claimed(sketch("a b", "a>b"))
    driver.finish()
    assert driver.started == ["a"]
    driver.ack()

    assert driver.started == ["a", "b"]


def test_the_intent_of_a_once_node_is_a_write_of_its_own():
    """D2: a node with `effects="once"` starts => its intent is durable, in a write of its own."""
    driver = claimed(sketch("a b:once", "a>b"))
    driver.finish()
    assert [write.kind for write in driver.sent] == [Kind.VISIT], "the intent is not made before all else is durable"
    driver.ack(1)
    assert [write.kind for write in driver.sent] == [Kind.INTENT]
    assert driver.started == ["a"]
    driver.ack(1)

    assert driver.started == ["a", "b"]
    intent = driver.disk.records[-1]
    assert (intent.visit, intent.place, intent.attempt, intent.epoch) == (2, "b", 1, 1)
    (event,) = (event for event in driver.witness.seen if isinstance(event, EffectIntended))
    assert (event.node, event.visit, event.attempt) == ("b", 2, 1)


def test_a_once_node_behind_pure_ones_waits_for_all_of_them():
    driver = claimed(sketch("a:pure b:pure c:once", "a>b>c"))
    driver.finish()
    driver.finish()
    assert [write.kind for write in driver.sent] == [Kind.VISIT, Kind.VISIT]
    driver.ack(1)
    assert [write.kind for write in driver.sent] == [Kind.VISIT]
    driver.ack(1)
    assert [write.kind for write in driver.sent] == [Kind.INTENT]


# -- D3: running ahead ---------------------------------------------------------------------------------------------


def test_pure_nodes_run_ahead_and_nobody_sees_them():
    """D3: nobody sees them, nor their chunks, before their predecessors are durable."""
    driver = claimed(sketch("a:pure b:pure", "a>b>a"))
    seen = list(driver.events)
    for number in range(5):
        driver.emit(f"chunk {number}")
        driver.finish(Add(1))
    driver.emit("last")

    assert driver.started == ["a", "b", "a", "b", "a", "b"]
    assert driver.events == [*seen, "TextChunk"], "only the first visit has no predecessor under way"
    driver.ack(1)
    assert driver.events[len(seen) + 1 :] == ["NodeFinished", "NodeStarted", "TextChunk"]
    driver.ack()
    chunks = [event.text for event in driver.witness.seen if isinstance(event, TextChunk)]
    assert chunks == [*(f"chunk {number}" for number in range(5)), "last"]


@pytest.mark.parametrize("max_visits", [None, 10_000], ids=["everyday path", "general path"])
def test_running_ahead_is_bounded(max_visits):
    """D3: `pure` may run ahead while their predecessors' commits are in flight (bounded window)."""
    graph = sketch("a:pure")
    graph.edge("a", "a", max_visits=max_visits)
    driver = claimed(graph, watch=False)
    while driver.running:
        driver.finish()
    assert len(driver.sent) == RUN_AHEAD + 1
    driver.ack(10)
    for _ in range(10):
        driver.finish()

    assert not driver.running
    assert len(driver.sent) == RUN_AHEAD + 1


def test_nothing_else_runs_ahead_of_a_pure_node():
    driver = claimed(sketch("a:pure b:pure c", "a>b>c"))
    driver.finish()
    driver.finish()
    assert driver.started == ["a", "b"]
    driver.ack(1)
    assert driver.started == ["a", "b"]
    driver.ack(1)
    assert driver.started == ["a", "b", "c"]


def test_what_ran_ahead_is_gone_after_a_crash():
    """7: commit not durable: pure / repeatable run again."""
    for keep in range(4):
        driver = claimed(sketch("a:pure", "a>a"))
        for _ in range(3):
            driver.finish(Add(1))
        driver.crash(keep=keep)
        assert driver.state.count == keep
        driver.claim()
        driver.ack()
        assert driver.frontier.keys() == {keep + 1}
        driver.finish(Add(1))
        driver.ack()
        assert driver.state.count == keep + 1


EMITTED = {
    TextChunk: str,
    ThinkingChunk: Thinking,
    ToolChunk: lambda text: Tool("c", "search", "output", text),
    CustomChunk: lambda text: Custom(text, Raw(b"\xc0")),
}


@pytest.mark.parametrize("chunk", EMITTED)
def test_chunks_that_wait_are_bounded_and_nothing_else_is_dropped(chunk):
    """8.1: token chunks live in the window only; 8.5: control events are never dropped by a flood of chunks."""
    driver = claimed(sketch("a:pure b:pure", "a>b"))
    driver.finish()
    for number in range(EVENT_WINDOW + 50):
        driver.emit(EMITTED[chunk](str(number)))
    driver.finish()
    driver.witness.gaps = True
    driver.ack()

    chunks = [event for event in driver.witness.seen if isinstance(event, chunk)]
    texts = [event.name if isinstance(event, CustomChunk) else event.text for event in chunks]
    assert texts == [str(number) for number in range(50, EVENT_WINDOW + 50)]
    assert driver.events.count("NodeFinished") == 2
    assert driver.events[-1] == "RunEnded"


def test_a_late_voice_is_not_heard():
    """4.2, 9.1: a task that outlived its visit still talks: nobody may hear it."""
    driver = Driver(sketch("a b", "a>b")).claim()
    first = dict(driver.running)
    driver.finish()
    driver.running = {**first, **driver.running}
    driver.emit("late")
    driver.running = {visit: start for visit, start in driver.running.items() if visit not in first}

    assert "TextChunk" not in driver.events


# -- D5, D6, D7, D8 ------------------------------------------------------------------------------------------------


def test_a_decision_is_acknowledged_when_it_is_durable():
    """D5: a decision was acknowledged => it is durable and its barrier closed, in one transaction."""
    driver = Driver(sketch("gate:barrier b", "gate.approved>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    driver.decide(command="d1")
    assert driver.receipts == {}
    assert [len(write.barriers) for write in driver.sent] == [1]
    driver.crash()
    assert driver.status is _R.AWAITING_INPUT, "nobody was told anything else"
    driver.decide(command="d2")
    driver.ack()
    assert list(driver.receipts) == ["d2"]


@pytest.mark.parametrize("ending", ["finish", "fail", "leave"])
def test_after_a_cancel_nothing_is_committed(ending):
    """D6: a cancel was acknowledged => no commit and no intent of that run succeeds afterwards."""
    driver = claimed(sketch("a:pure b:pure c:once", "a>b>c"))
    driver.finish(Add(1))
    driver.cancel("c1")
    assert driver.receipts == {}
    getattr(driver, ending)()
    driver.settle()

    assert driver.receipts["c1"][0].outcome == "requested"
    assert [record.kind for record in driver.disk.records][-3:] == [Kind.VISIT, Kind.CANCEL, Kind.END]
    assert driver.state.count == 1, "what was committed before stays"


def test_a_cancel_between_commit_and_intent_writes_no_intent():
    driver = claimed(sketch("a b:once", "a>b"))
    driver.finish()
    driver.cancel("c1")
    driver.settle()

    assert [record.kind for record in driver.disk.records][-3:] == [Kind.VISIT, Kind.CANCEL, Kind.END]
    assert driver.started == ["a"]
    assert driver.receipts["c1"][0].outcome == "stopped"


def test_a_cancel_between_intent_and_body_starts_no_body():
    """D6, and law 5: it ends although nothing runs that could answer."""
    driver = claimed(sketch("a:once"))
    assert driver.started == ["a"]
    driver = Driver(sketch("a:once"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack(1)
    driver.cancel("c1")
    driver.settle()

    assert driver.started == []
    assert driver.status is _R.CANCELLED


@pytest.mark.parametrize("how", ["finish", "fail", "cancel", "spoil"])
def test_the_end_is_one_commit_and_the_last(how):
    """D7: terminal status, final state, end event are one transaction; END is last, exactly once."""
    driver = Driver(sketch("a"), Tally(1)).claim()
    if how == "cancel":
        driver.cancel()
        driver.leave()
    elif how == "spoil":
        driver.finish(Spoil())
    else:
        getattr(driver, how)()
    last = driver.disk.writes[-1]
    driver.settle()

    assert last.status in TERMINAL
    assert read_snapshot(last.snapshot).state == driver.blueprint.state.pack(Tally(1))
    assert driver.events[-1] == "RunEnded"
    assert driver.events.count("RunEnded") == 1


def test_the_end_is_told_once_although_its_process_died():
    """8.3: exactly one terminal event per run, always kept, always last."""
    driver = claimed(sketch("a"))
    driver.finish()
    driver.crash(keep=1)

    assert driver.status is _R.SUCCEEDED
    assert driver.events.count("RunEnded") == 1, "whoever resumes reads it from the store"
    driver.settle()


def test_a_stale_writer_publishes_nothing():
    """D8: a stale writer gets `StaleEpoch`, cancels its run scope and publishes nothing."""
    driver = claimed(sketch("a:pure b:pure", "a>b"))
    driver.finish()
    driver.emit("never shown")
    before = list(driver.events)
    driver.refuse()

    assert driver.events == before
    assert driver.leaving
    assert driver.finishes[-1].fenced


def test_a_stale_writer_holds_nothing_any_more():
    """D8: nobody may see it and nothing of it starts; its statistics say that nothing waits for the store."""
    driver = claimed(sketch("a b", "a>b"))
    driver.finish()
    waits = driver.machine.waits
    assert waits.gate
    assert waits.outbox
    driver.refuse()

    assert ([], []) == (waits.gate, waits.outbox)
