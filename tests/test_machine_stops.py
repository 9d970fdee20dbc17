"""`terzetto_protocol.machine`: runs that are paused, cancelled or halted, and what comes too late (SEMANTICS 9)."""

import pytest
from msgspec import Struct

from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.errors import IllegalTransition
from terzetto_protocol.frames import Frame
from terzetto_protocol.graph import Graph
from terzetto_protocol.inputs import BodiesCancelled, CommitDurable, NodeFinished
from terzetto_protocol.records import Kind, Note
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .branches import Board, Set, each, fan
from .machines import Driver, ended, refused
from .sketches import Add, Tally, body, gated, sketch

_R = RunStatus


# -- pause, cancel, halt -----------------------------------------------------------------------------------------


def test_a_pause_parks_the_run_at_the_commit_boundary():
    """5.1: `pause` is independent of the outcome; 6.6: a parked run holds no slot and no task."""
    driver = Driver(sketch("a b c", "a>b")).claim()
    driver.finish(Add(1), next="c", pause=True)

    assert driver.status is _R.PAUSED
    assert driver.running == {}
    assert driver.events[-2:] == ["NodeFinished", "RunPaused"]
    assert driver.finishes[-1].status is _R.PAUSED
    driver.settle()

    driver.resume("again")
    assert driver.status is _R.QUEUED
    assert driver.receipts["again"][0].run_id == "r"
    driver.claim()
    assert driver.started == ["a", "c"]


def test_a_paused_last_node_ends_the_run():
    driver = Driver(sketch("a")).claim()
    driver.finish(pause=True)

    assert driver.status is _R.SUCCEEDED


def test_a_paused_run_outlives_its_process():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(Add(3), pause=True)
    driver.crash()
    assert driver.status is _R.PAUSED
    driver.resume()
    driver.claim()
    driver.finish(Add(1))

    assert driver.state.count == 4
    assert driver.status is _R.SUCCEEDED


def test_only_a_paused_run_can_be_resumed():
    """2: anything else raises `IllegalTransition` and writes nothing."""
    driver = Driver(sketch("a")).claim()
    message = refused(driver.resume, error=IllegalTransition)
    assert "RUNNING" in message


def test_a_cancel_waits_for_the_node_and_drops_what_it_did():
    """9.1: receipts `requested`, `stopped`; 3 D6: no commit of that run succeeds afterwards."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.cancel("c1")
    assert driver.status is _R.CANCELLING
    assert driver.leaving
    assert driver.receipts["c1"][0].outcome == "requested"

    driver.finish(Add(1))  # it returned all the same
    assert driver.status is _R.CANCELLED
    assert driver.state == Tally()
    assert [record.status for record in driver.disk.records] == [_R.QUEUED, _R.RUNNING, _R.CANCELLING, _R.CANCELLED]
    driver.settle()


@pytest.mark.parametrize("ending", ["finish", "fail", "leave"])
def test_however_the_body_ends_a_cancelled_run_is_cancelled(ending):
    driver = Driver(sketch("a", "a>a"), Tally(2)).claim()
    driver.cancel()
    driver.state.count = 77
    getattr(driver, ending)()

    assert driver.status is _R.CANCELLED
    assert driver.state == driver.stored == Tally(2)
    driver.settle()


def test_bodies_hear_that_they_should_leave():
    """9.1: also those that have outlived their run."""
    driver = Driver(sketch("a")).claim()
    assert not driver.machine.cancelling
    driver.cancel()
    assert (_R.CANCELLING, True) == (driver.status, driver.machine.cancelling)
    driver.leave()
    assert (_R.CANCELLED, True) == (driver.status, driver.machine.cancelling)


def test_a_cancel_before_the_first_claim_runs_no_node():
    """9.1: before the first claim: no node ever runs."""
    driver = Driver(sketch("a"))
    driver.cancel("c1")

    assert driver.status is _R.CANCELLED
    assert driver.receipts["c1"][0].outcome == "stopped"
    assert driver.started == []
    refused(driver.claim, error=IllegalTransition)


def test_a_parked_run_is_cancelled_at_once_and_its_barrier_dropped():
    for pause in (False, True):
        driver = Driver(sketch("a gate:barrier", "a>gate")).claim()
        driver.finish(pause=pause)
        driver.cancel("c1")

        assert driver.status is _R.CANCELLED
        assert driver.receipts["c1"][0].outcome == "stopped"
        assert driver.disk.open_barriers() == []
        driver.settle()


def test_a_second_cancel_hears_what_the_first_came_to():
    driver = Driver(sketch("a")).claim()
    driver.cancel("c1")
    driver.cancel("c2")
    driver.leave()
    driver.cancel("c3")

    outcomes = [driver.receipts[name][0].outcome for name in ("c1", "c2", "c3")]
    assert outcomes == ["requested", "requested", "already_terminal"]
    assert [record.kind for record in driver.disk.records].count(Kind.CANCEL) == 1


def test_a_cancel_of_a_finished_run_changes_nothing():
    driver = Driver(sketch("a")).claim()
    driver.finish()
    before = driver.disk.seq
    driver.cancel("c1")

    assert driver.receipts["c1"][0].outcome == "already_terminal"
    assert driver.disk.seq == before
    assert driver.status is _R.SUCCEEDED


def test_a_soft_halt_lets_the_node_reach_its_commit():
    """9.6: let running work reach its commits until the deadline, then INTERRUPTED (resumable)."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.halt()
    assert not driver.leaving
    driver.finish(Add(1))

    assert driver.status is _R.INTERRUPTED
    assert driver.started == ["a"]
    assert driver.state.count == 1
    driver.claim()
    assert driver.started == ["a", "b"]


def test_a_hard_halt_cancels_the_node_which_runs_again_later():
    """9.6; 3: no visit with a durable commit runs again by itself, and this one has none."""
    driver = Driver(sketch("a")).claim()
    driver.halt(hard=True)
    assert driver.leaving
    driver.leave()
    assert driver.status is _R.INTERRUPTED
    assert isinstance(driver.disk.records[-1].detail, Note)
    driver.settle()

    driver.claim()
    driver.finish(Add(1))
    assert driver.started == ["a", "a"]
    assert [start.visit for start in driver.witness.starts] == [1, 1]
    assert driver.status is _R.SUCCEEDED


def test_a_halt_leaves_parked_and_waiting_runs_untouched():
    """9.6: parked runs untouched."""
    for graph in (sketch("gate:barrier"), sketch("a")):
        driver = Driver(graph)
        if graph.places[0].name == "gate":
            driver.claim()
        before = driver.disk.seq, driver.status
        driver.halt(hard=True)
        assert (driver.disk.seq, driver.status) == before


def test_a_cancelled_scope_interrupts_the_run():
    """9.4: KeyboardInterrupt is re-raised and the run INTERRUPTED."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.leave()

    assert driver.status is _R.INTERRUPTED


def once():
    """A function that is interrupted when it is called first; the interruption does not come again."""
    calls = []

    def interrupts(*args):
        calls.append(args)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return []

    return interrupts


class Interrupt(Struct, frozen=True):
    def apply(self, tally):
        raise KeyboardInterrupt


def asked_where_to_go() -> Graph[Tally]:
    graph = sketch("a b")
    graph.edge("a", "b", when=once())
    return graph


def interrupted() -> Graph[Tally]:
    graph: Graph[Tally] = Graph("interrupted", state=Tally, mutations=[Interrupt])
    graph.start(graph.node(name="a")(body))
    return graph


def ends_all(driver: Driver, *mutations) -> None:
    """Every body returns, and who is asked to decides, until the run has ended."""
    driver.claim()
    while not ended(driver):
        if driver.running:
            driver.finish(*mutations)
        else:
            driver.decide()


@pytest.mark.parametrize("acks", ["now", "settled"])
@pytest.mark.parametrize(
    "graph, mutations",
    [
        (lambda: each(once()), ()),
        (lambda: fan("x y", merge=once()), ()),
        (lambda: gated(payload=once()), ()),
        (lambda: gated(decided=once()), ()),
        (asked_where_to_go, ()),
        (interrupted, (Interrupt(),)),
    ],
    ids=["items", "merge", "payload", "decided", "predicate", "apply"],
)
def test_who_interrupts_the_program_in_a_function_of_the_graph_is_heard(graph, mutations, acks):
    """9.4: KeyboardInterrupt is re-raised."""
    with pytest.raises(KeyboardInterrupt):
        ends_all(Driver(graph(), acks=acks), *mutations)


# -- what comes too late, or never belonged here -------------------------------------------------------------------


def test_late_results_are_refused():
    """9.1: its late results are refused."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(Add(1))
    message = refused(driver.feed, NodeFinished(1, (), 0.0))
    assert "visit 1" in message
    refused(driver.feed, NodeFinished(99, (), 0.0))
    assert driver.started == ["a", "b"]


def test_a_visit_that_waits_at_the_gate_cannot_end():
    """3 D2: any other non-pure node starts => the commit before it is durable."""
    driver = Driver(sketch("a b", "a>b"), acks="later")
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish()
    refused(driver.feed, NodeFinished(2, (), 0.0))
    driver.ack()
    driver.finish()
    driver.settle()


def test_an_old_answer_of_the_store_changes_nothing():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish()
    driver.finish()
    driver.feed(CommitDurable(1, 0.0))

    assert driver.machine.at_rest


def test_statistics_count_what_was_finished():
    graph = sketch("a")
    graph.node(name="b", token_cost=2.5)(graph.places[0].fn)
    graph.edge("a", "b")
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()

    assert (driver.machine.fold.image.finished, driver.machine.fold.image.cost) == (2, 2.5)
    assert driver.status in TERMINAL


def test_a_cancel_of_many_looks_at_the_state_once(monkeypatch):
    """9.1: what bodies did to the state that they were lent is undone before the run ends, and not once for each."""
    looked: list[str] = []
    rebuild = Frame.rebuild
    monkeypatch.setattr(Frame, "rebuild", lambda frame: (looked.append(frame.path), rebuild(frame))[1])
    driver = Driver(fan("w x y z", of=Board, merge="replay"), Board(), watch=False).claim()
    driver.state.w = 99  # what a body must not do
    driver.cancel()
    for node in "wxyz":
        driver.leave(node)

    assert _R.CANCELLED is driver.status
    assert 0 == driver.state.w
    assert [""] == looked


def boards(**header) -> Driver:
    """A fan whose bodies run, each of whose commits is a checkpoint."""
    policy = CheckpointPolicy(every=1)
    return Driver(fan("w x y z", of=Board, merge="replay"), Board(), watch=False, checkpoints=policy, **header).claim()


def test_the_checkpoint_of_a_cancel_is_without_what_bodies_did_to_the_state():
    """4.3: a node that is cancelled leaves no trace, also where a checkpoint is made before it has left."""
    driver = Driver(sketch("a"), checkpoints=CheckpointPolicy(every=1)).claim()
    driver.state.count = 99  # what a body must not do
    driver.cancel()

    assert (_R.CANCELLING, 0) == (driver.status, driver.stored.count)
    driver.leave("a")
    assert (_R.CANCELLED, 0, 0) == (driver.status, driver.stored.count, driver.state.count)


@pytest.mark.parametrize("command", ["cancel", "pause"])
def test_what_is_commanded_when_the_time_is_over_stores_no_trace_of_a_body_that_left(command):
    """4.3, 9.7: of several bodies one has left, and a command is stored before the others have."""
    driver = boards(deadline=10.0)
    driver.now = 11.0
    driver.expire()
    driver.state.w = 99
    driver.leave("w")
    getattr(driver, command)()

    assert 0 == driver.stored.w
    for node in "xyz":
        driver.leave(node)
    assert (True, 0, 0) == (ended(driver), driver.stored.w, driver.state.w)


def test_the_checkpoint_of_a_branch_is_without_what_its_siblings_did_to_the_state():
    """4.3, 5.5: they are lent the same state, and one that is cancelled later leaves no trace."""
    driver = boards()
    driver.state.w = 99
    driver.finish(node="x")

    assert 0 == driver.stored.w
    driver.cancel()
    for node in "wyz":
        driver.leave(node)
    assert (_R.CANCELLED, 0) == (driver.status, driver.state.w)


@pytest.mark.parametrize("stop", ["cancel", "halt", "expire", "nothing"])
def test_bodies_that_leave_at_once_are_bodies_that_leave_one_by_one(stop):
    """9.1: the scope of a run takes all of them with it, and the machine hears of that once."""
    drivers = [Driver(fan("w x y z", of=Board), Board(), watch=False, deadline=60.0).claim() for _ in range(2)]
    for driver in drivers:
        driver.finish(Set("w", 1), node="w")
        driver.state.x = 99  # what a body must not do
        driver.now = 60.0 if stop == "expire" else 5.0
        if stop != "nothing":
            driver.halt(hard=True) if stop == "halt" else getattr(driver, stop)()
    for node in "xyz":
        drivers[0].leave(node)
    drivers[1].leave_all()

    assert drivers[0].disk.writes == drivers[1].disk.writes
    assert [driver.state for driver in drivers] == [drivers[0].state] * 2
    assert 0 == drivers[1].state.x
    assert drivers[0].events == drivers[1].events


def test_who_does_not_run_cannot_leave():
    """A refused input changes nothing: not even about those that do run."""
    driver = Driver(fan("w x", of=Board), Board()).claim()
    refused(driver.feed, BodiesCancelled((2, 99), 0.0))
    assert {2, 3} == driver.machine.live
