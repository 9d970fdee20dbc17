"""`terzetto_protocol.machine`: graphs inside of graphs (SEMANTICS 5.6)."""

from typing import Annotated, Any

import msgspec
import pytest
from attrs import define, field
from msgspec import Struct

from terzetto_protocol.decisions import Approve, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.errors import NotStorable
from terzetto_protocol.events import (
    BarrierOpened,
    BranchDiscarded,
    BranchesStarted,
    NodeFailed,
    NodeFinished,
    TextChunk,
)
from terzetto_protocol.fold import Fold, read_snapshot
from terzetto_protocol.graph import Graph
from terzetto_protocol.ids import effect_key
from terzetto_protocol.records import Joined, Kind
from terzetto_protocol.reducers import replayed
from terzetto_protocol.statuses import BarrierStatus, FailureCode, RunStatus

from .machines import Died, Driver, claimed, ended, image_of, label_of, refused
from .sketches import Add, Burst, Say, Spoil, Tally, body, gated, sketch
from .witness import all_of, state_of

_R = RunStatus


@define
class Words:
    """The state of an inner graph that has one of its own."""

    words: list[str] = field(factory=list)


class Word(Struct, frozen=True):
    text: str

    def apply(self, words: Words) -> None:
        words.words.append(self.text)


@define
class Log:
    """A state that all branches may change."""

    lines: Annotated[list[str], replayed] = field(factory=list)


class Line(Struct, frozen=True):
    text: str

    def apply(self, log: Log) -> None:
        log.lines.append(self.text)


class Only(Struct, frozen=True):
    text: str

    def apply(self, words: Words) -> None:
        words.words = [self.text]


def words_of(tally: Tally) -> Words:
    return Words([*tally.trail])


def put_words(tally: Tally, words: Words) -> None:
    tally.trail = [" ".join(words.words)]
    tally.count += len(words.words)


LENS: dict[str, Any] = {"get": words_of, "put": put_words}


def speech(places: str = "i j", edges: str = "i>j", **options: Any) -> Graph[Any]:
    """An inner graph with a state of its own."""
    graph: Graph[Any] = Graph("speech", state=Words, mutations=[Word, Only], **options)
    for name in places.split():
        graph.node(name=name)(body)
    graph.start(graph.places[0])
    for way in edges.split():
        graph.edge(*way.split(">"))
    return graph


def around(inner: Graph[Any], places: str = "", edges: str = "", *, first: str = "sub", **lens: Any) -> Graph[Tally]:
    """`sub`, which is this graph, and then `end`."""
    graph = sketch(f"end {places}", f"sub>end {edges}")
    graph.subgraph("sub", inner, **lens)
    graph.starts[:] = [first]
    return graph


def two() -> Graph[Tally]:
    """An inner graph with the outer one's type of state."""
    return sketch("i j", "i>j")


def reads_the_same(driver: Driver) -> None:
    """Law 1: the log folded from its newest snapshot, as another process would, is the live run."""
    snapshot, bodies = driver.disk.log()
    fold = Fold.load(driver.blueprint, driver.header, snapshot, bodies)
    live = driver.machine.fold
    assert (image_of(fold), all_of(fold), state_of(fold)) == (image_of(live), all_of(live), state_of(live))


def recover(driver: Driver, keep: int = 0) -> None:
    """The process dies, and another goes on."""
    driver.crash(keep)
    driver.claim()
    driver.ack()


def view(driver: Driver, path: str = "sub") -> Any:
    return driver.machine.fold.frame(path).view()


def running(driver: Driver) -> list[str]:
    return [label_of(start) for start in driver.running.values()]


def told(driver: Driver, kind: type[Any]) -> list[Any]:
    return [event for event in driver.witness.seen if isinstance(event, kind)]


# -- through a lens ------------------------------------------------------------------------------------------------


def test_an_inner_graph_has_a_state_and_mutations_of_its_own():
    """5.6: Subgraph: through a lens; `get=` makes its state from the outer one, `put=` says what its end does."""
    driver = Driver(around(speech(), **LENS), Tally(5, ["to", "be"])).claim()
    assert running(driver) == ["sub/i"]
    assert view(driver) == Words(["to", "be"])
    with pytest.raises(NotStorable, match="mutation Add cannot be stored: it is not listed"):
        driver.batch(Add(1), at="sub")
    driver.finish(Word("or"))
    assert view(driver) == Words(["to", "be", "or"])
    assert driver.state == Tally(5, ["to", "be"]), "outside nothing has happened yet"
    driver.finish(Word("not"))
    assert driver.state == Tally(9, ["to be or not"])
    driver.finish()

    assert driver.status is _R.SUCCEEDED
    assert driver.started == ["i", "j", "end"]
    driver.settle()


def test_without_get_and_put_the_inner_graph_goes_on_with_the_outer_state():
    """5.6: may be left out where both have one type: a copy goes in, and its fields come out."""
    driver = Driver(around(two()), Tally(1, ["a"])).claim()
    outer = driver.state
    driver.finish(Add(1), Say("b"))
    assert (view(driver), driver.state) == (Tally(2, ["a", "b"]), Tally(1, ["a"]))
    assert driver.state is outer
    driver.finish(Add(1))

    assert driver.state == Tally(3, ["a", "b"])
    driver.settle()


def test_the_success_of_a_subgraph_is_one_outer_commit():
    """5.6: its success is one outer commit; 4.4: registered lens + encoded inner value go through the log."""
    driver = Driver(around(two())).claim()
    driver.finish(Add(1))
    driver.finish(Add(1), Say("j"))
    driver.finish()

    commits = [(record.kind, record.path, record.place, len(record.mutations)) for record in driver.disk.records[2:]]
    assert commits == [
        (Kind.FORK, "", "sub", 0),
        (Kind.VISIT, "sub", "i", 1),
        (Kind.VISIT, "sub", "j", 2),
        (Kind.JOIN, "", "sub", 1),
        (Kind.VISIT, "", "end", 0),
    ]
    (left,) = next(record for record in driver.disk.records if record.kind is Kind.JOIN).mutations
    assert left.name == "@changes"
    assert driver.state == Tally(2, ["j"])


def test_a_subgraph_may_be_the_last_place():
    """5.2: a node without out-edges ends the run; 3 D7: status, state and end event are one transaction."""
    graph = around(two())
    del graph.edges[0]
    driver = Driver(graph).claim()
    driver.finish(Add(1))
    driver.finish(Add(1))

    assert (driver.status, driver.stored) == (_R.SUCCEEDED, Tally(2))
    driver.settle()


def test_everything_inside_is_told_with_its_path():
    """5.6: own namespace; streams are inherited."""
    driver = Driver(around(sketch("a end", "a>end"), "a", "a>sub", first="a")).claim()
    driver.finish()
    driver.emit("from inside")
    for _ in range(3):
        driver.finish()

    (opened,) = told(driver, BranchesStarted)
    assert (opened.node, opened.visit, opened.count) == ("sub", 2, 1)
    assert [event.node for event in told(driver, NodeFinished)] == ["a", "sub/a", "sub/end", "sub", "end"]
    assert [event.node for event in told(driver, TextChunk)] == ["sub/a"]
    assert driver.status is _R.SUCCEEDED


def test_goto_and_end_mean_places_of_the_inner_graph():
    """5.6: own namespace; 5.1: `end` ends the graph that its node belongs to."""
    driver = Driver(around(sketch("i j k"))).claim()
    driver.finish(next="k")
    assert running(driver) == ["sub/k"]
    driver.finish(next="")
    assert running(driver) == ["end"]
    other = Driver(around(sketch("i j"))).claim()
    other.finish(next="end")

    assert other.failure.code == FailureCode.UNROUTED


def test_a_subgraph_begins_anew_each_time():
    """5.6: own namespace and step limit: every entry has a state, counts and visits of its own."""
    inner = sketch("i")
    inner.node(name="j", max_visits=1)(body)
    inner.edge("i", "j")
    graph = around(inner, "last")
    graph.edge("end", "sub", when=lambda tally: tally.count < 6)
    graph.edge("end", "last", fallback=True)
    driver = Driver(graph).claim()
    while driver.running:
        driver.finish(*([Add(1)] if driver.start_of().path else []))

    assert driver.status is _R.SUCCEEDED
    assert driver.started == [*["i", "j", "end"] * 3, "last"]
    assert driver.state.count == 6


def test_predicates_inside_see_the_inner_state():
    """5.2: edges are asked after the commit, with the state of their graph."""
    inner = speech("i j k", "")
    inner.edge("i", "k", when=lambda words: words.words == ["go"])
    inner.edge("i", "j", fallback=True)
    driver = Driver(around(inner, **LENS)).claim()
    driver.finish(Word("go"))

    assert driver.started == ["i", "k"]


# -- failures ------------------------------------------------------------------------------------------------------


def test_a_failed_subgraph_leaves_the_outer_state_untouched():
    """5.6: a failed subgraph leaves the outer state untouched; what it had committed is told to be gone."""
    driver = Driver(around(two()), Tally(1)).claim()
    driver.finish(Add(5))
    driver.fail("ValueError: bad luck")

    assert driver.status is _R.FAILED
    assert driver.failure.message == "ValueError: bad luck"
    assert driver.state == driver.stored == Tally(1)
    assert [event.node for event in told(driver, NodeFailed)] == ["sub/j", "sub"]
    assert [event.branch for event in told(driver, BranchDiscarded)] == ["sub"]
    driver.settle()


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_an_error_edge_of_the_subgraph_leads_on_also_after_a_crash(keep):
    """5.6, 5.2: only edges declared `on_error=True` are looked at; 7: commit durable => not re-run."""
    graph = around(two(), "mend")
    graph.edge("sub", "mend", on_error=True)
    driver = claimed(graph, Tally(1))
    driver.finish(Add(5))
    driver.ack()
    driver.fail("ValueError: bad luck")
    recover(driver, keep)
    if keep == 0:
        driver.fail("ValueError: bad luck")
        driver.ack()

    assert driver.started == ["i", "j", *["j"] * (keep == 0), "mend"]
    assert driver.state == Tally(1)
    joined = next(record for record in driver.disk.records if record.kind is Kind.JOIN)
    assert joined.detail.failure.message == "ValueError: bad luck"
    assert joined.detail.discarded == ("sub",)


def test_an_error_edge_inside_keeps_the_subgraph_alive():
    """5.2: after a *failed* visit only edges declared `on_error=True` are looked at."""
    inner = sketch("i mend")
    inner.edge("i", "mend", on_error=True)
    driver = Driver(around(inner)).claim()
    driver.fail()
    driver.finish(Add(1))

    assert driver.started == ["i", "mend", "end"]
    assert driver.state.count == 1


def test_a_mutation_that_cannot_be_applied_is_named_with_its_way():
    """4.6: `apply` that raises fails the run at the previous commit, naming run, node, mutation."""
    driver = Driver(around(two()), Tally(1)).claim()
    driver.finish(Add(5))
    driver.finish(Burst())

    assert driver.status is _R.FAILED
    assert driver.failure.message == (
        "node 'sub/j': MutationFailed: mutation Burst could not be applied: ArithmeticError: burst"
    )
    assert driver.state == Tally(1)


def test_a_subgraph_that_committed_nothing_has_nothing_to_discard():
    """5.5: `BranchDiscarded` tells of what was committed."""
    inner = sketch("x y")
    inner.parallel("fan", ["x", "y"])
    inner.starts[:] = ["fan"]
    for graph in (around(two()), around(inner)):
        driver = Driver(graph).claim()
        driver.fail()
        driver.settle()

        assert driver.status is _R.FAILED
        assert told(driver, BranchDiscarded) == []


def exits(*args):
    raise SystemExit(3)


@pytest.mark.parametrize(
    "get, words",
    [
        (lambda tally: 1 // 0, "ZeroDivisionError"),
        (exits, "SystemExit: 3"),
        (lambda tally: Tally(), "the state must be a Words, not Tally"),
        (lambda tally: Words(["\ud800"]), "state Words cannot be stored"),
    ],
    ids=["raises", "exits", "another type", "surrogate"],
)
@pytest.mark.parametrize("mends", [False, True])
def test_a_get_that_fails_is_a_failure_of_the_place(get, words, mends):
    """5.6, 4.7: what cannot be stored faithfully is a typed error of *that node*."""
    graph = around(speech(), "mend", get=get, put=put_words)
    if mends:
        graph.edge("sub", "mend", on_error=True)
    driver = Driver(graph).claim()

    (failed,) = told(driver, NodeFailed)
    assert failed.failure.message.startswith("'sub' could not open its branches: ")
    assert words in failed.failure.message
    assert driver.started == ["mend"] * mends
    driver.settle()


@pytest.mark.parametrize("put", [lambda tally, words: 1 // 0, exits])
def test_a_put_that_raises_fails_the_run_at_the_commit_before(put):
    """4.6: what is applied goes through the log, and `put` is what is applied."""
    graph = around(speech(), "mend", get=words_of, put=put)
    graph.edge("sub", "mend", on_error=True)
    driver = Driver(graph, Tally(1)).claim()
    driver.finish(Word("x"))
    driver.finish()

    assert driver.status is _R.FAILED
    assert driver.failure.message.startswith("node 'sub': MutationFailed: mutation @sub could not be applied: ")
    assert driver.state == driver.stored == Tally(1)
    assert "mend" not in driver.started
    driver.settle()


def spoil(tally: Tally, words: Words) -> None:
    tally.ratio = float("nan")


def test_a_put_that_makes_a_state_that_cannot_be_stored_is_dropped():
    """4.7: NaN is a typed error of that node."""
    graph = around(speech(), get=words_of, put=spoil)
    del graph.edges[0]
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()

    assert driver.status is _R.FAILED
    assert "'sub'" in driver.failure.message
    assert "state Tally cannot be stored" in driver.failure.message
    assert driver.state == driver.stored == Tally()


def test_an_inner_state_that_cannot_be_stored_does_not_leave_its_graph():
    """4.7: found at the latest where the inner state is put outside."""
    graph = around(sketch("i"), "mend")
    graph.edge("sub", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Spoil())

    assert driver.started == ["i", "mend"]
    assert driver.state == Tally()
    driver.settle()


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_max_steps_of_the_inner_graph_is_its_own(steps):
    """5.6: own step limit; 5.3: max_steps N allows exactly N visits."""
    driver = Driver(around(sketch("i", "i>i", max_steps=steps))).claim()
    while driver.running:
        driver.finish(Add(1))

    assert driver.started == ["i"] * steps
    assert driver.failure.code == FailureCode.STEPS_EXCEEDED
    assert driver.failure.message == f"graph 'sketch' made {steps} visits and 'i' would be one more"
    assert driver.state == Tally()
    driver.settle()


def test_the_last_allowed_visit_may_end_the_inner_graph_however_often_it_is_entered():
    """5.6: own step limit: of each time that it is entered, also after a crash inside."""
    graph = around(sketch("i j", "i>j", max_steps=2), "last")
    graph.edge("end", "sub", when=lambda tally: tally.count < 6)
    graph.edge("end", "last", fallback=True)
    driver = Driver(graph).claim()
    while driver.running:
        if driver.start_of().node == "j":
            recover(driver)
        driver.finish(*([Add(1)] if driver.start_of().path else []))

    assert (driver.status, driver.state.count) == (_R.SUCCEEDED, 6)


@pytest.mark.parametrize("steps", range(1, 5))
def test_visits_inside_are_visits_of_the_run(steps):
    """5.3: max_steps N allows exactly N visits: one that opens, two inside, one after them."""
    driver = Driver(around(two()), max_steps=steps).claim()
    while driver.running:
        driver.finish()

    assert driver.machine.fold.image.visits == steps
    assert (driver.status is _R.SUCCEEDED) == (steps == 4)
    if steps < 4:
        assert driver.failure.code == FailureCode.STEPS_EXCEEDED


def test_max_visits_inside_are_counted_inside():
    """5.3, 5.6: max_visits on an edge or node is enforced, for each graph by itself, also after a crash."""
    inner = sketch("x")
    inner.node(name="i", max_visits=2)(body)
    inner.edge("x", "i")
    inner.edge("i", "i")
    graph = around(inner)
    graph.node(name="i", max_visits=1)(body)
    graph.starts[:] = ["i"]
    graph.edge("i", "sub")
    driver = Driver(graph).claim()
    driver.finish()
    driver.finish()
    driver.finish()
    recover(driver)
    driver.finish()

    assert driver.started == ["i", "x", "i", "i", "i"]
    assert driver.failure.message == "node 'i' was visited 2 times, which is its limit"


@pytest.mark.parametrize("limit", [None, 1])
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_steps_of_an_inner_graph_are_counted_over_its_branches(steps, limit):
    """5.6: own step limit; 5.3: allows exactly N visits: one that opens, three side by side, one after them."""
    inner = sketch("last x y z", max_steps=steps)
    inner.parallel("fan", ["x", "y", "z"], merge="replay", limit=limit)
    inner.starts[:] = ["fan"]
    inner.edge("fan", "last")
    driver = Driver(around(inner)).claim()
    driver.settle()

    inside = [start for start in driver.witness.starts if start.path]
    assert 1 + len(inside) <= steps
    assert driver.status is (_R.SUCCEEDED if steps == 5 else _R.FAILED)


# -- barriers and effects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("decision, follower", [(Approve(), "yes"), (Reject("hm"), "no")])
def test_a_barrier_inside_is_decided_by_its_id_with_the_path(decision, follower, crash):
    """5.6: barriers are inherited; 6.1: Id = (run, path, visit, name, k), stable over restarts."""
    inner = gated(payload=lambda tally: tally.count, decided=lambda decision: [Say(decision.exit)])
    driver = Driver(around(inner, "gate:barrier"), Tally(4)).claim()
    driver.finish(Add(1))
    assert (driver.status, driver.barrier) == (_R.AWAITING_INPUT, "sub/gate@3")
    (opened,) = told(driver, BarrierOpened)
    assert (opened.barrier, opened.name, msgspec.msgpack.decode(opened.payload)) == ("sub/gate@3", "gate", 5)
    for stranger in ("gate@3", "sub/gate@2", "sub/sub/gate@3"):
        assert repr(stranger) in refused(driver.decide, barrier=stranger)
    if crash:
        driver.crash()
    driver.decide(decision, "d1")

    assert driver.receipts["d1"][0].barrier == "sub/gate@3"
    assert running(driver) == [f"sub/{follower}"]
    driver.finish()
    assert driver.state == Tally(5, [decision.exit])
    assert driver.disk.barriers["sub/gate@3"].status is BarrierStatus.RESOLVED
    driver.settle()


@pytest.mark.parametrize("slot", [True, False])
def test_a_decision_may_end_the_inner_graph(slot):
    """2: AWAITING_INPUT -> QUEUED where there is no slot: the exit of the subgraph is left to the next owner."""
    driver = Driver(around(sketch("gate:barrier"))).claim()
    driver.decide(slot=slot)
    if not slot:
        assert (driver.status, driver.started) == (_R.QUEUED, [])
        recover(driver)

    assert driver.started == ["end"]


def test_a_timeout_inside_passes_as_outside():
    """6.4: the absolute deadline is stored with the barrier; `source=timeout`."""
    driver = Driver(around(gated(timeout=5.0))).claim()
    driver.finish()
    assert driver.disk.row.timer == 5.0
    driver.now = 6.0
    driver.fire()

    assert running(driver) == ["sub/no"]
    assert driver.disk.barriers["sub/gate@3"].source == "timeout"


def test_auto_approve_approves_inside():
    """6.7: `auto_approve=True` on the run approves."""
    driver = Driver(around(gated()), auto_approve=True).claim()
    driver.finish()

    assert running(driver) == ["sub/yes"]


def test_keys_of_effects_differ_from_path_to_path_and_stay_what_they_are():
    """7: Key = hash(run, path, visit): the same for every attempt, epoch and process."""
    graph = around(sketch("a end", "a>end"), "a", "a>sub", first="a")
    driver = Driver(graph).claim()
    while driver.running:
        recover(driver)
        driver.finish()

    keys = {}
    for start in driver.witness.starts:
        keys.setdefault((start.path, start.node), set()).add(effect_key("r", start.path, start.visit))
    assert list(keys) == [("", "a"), ("sub", "a"), ("sub", "end"), ("", "end")]
    assert [len(one) for one in keys.values()] == [1, 1, 1, 1]
    assert len(set.union(*keys.values())) == 4
    assert effect_key("r", "sub", 3) != effect_key("r", "", 3) != effect_key("r", "sub/sub", 3)


@pytest.mark.parametrize("decision", [Confirm(), Retry(), Fail("gone")])
def test_an_effect_inside_is_asked_about_by_its_path(decision: Decision):
    """7: visit UNKNOWN, run AWAITING_INPUT with a reconcile barrier: confirm(result), retry, fail."""
    inner = speech("j", "")
    inner.node(name="i", effects="once")(body)
    inner.starts[:] = ["i"]
    inner.edge("i", "j")
    driver = Driver(around(inner, **LENS)).claim()
    recover(driver)
    assert (driver.status, driver.barrier) == (_R.AWAITING_INPUT, "sub/i@2")
    if isinstance(decision, Confirm):
        assert "Add" in refused(driver.decide, Confirm(tuple(driver.batch(Add(1)))))
        decision = inner.confirm(Word("done"))
    driver.decide(decision)

    if isinstance(decision, Fail):
        assert driver.failure.message == "the effect of sub/i@2 was given up by ann: gone"
        return
    assert running(driver) == ["sub/i" if isinstance(decision, Retry) else "sub/j"]
    driver.finish(*([Word("done")] if isinstance(decision, Retry) else []))
    assert view(driver) == Words(["done"]) if isinstance(decision, Retry) else driver.state.trail == ["done"]


def test_an_effect_inside_that_was_cancelled_is_listed_with_its_path():
    """7: a `once` visit ended by a cancel while its body ran is UNKNOWN too, and listed in the run's result."""
    driver = Driver(around(sketch("i:once"))).claim()
    driver.cancel()
    driver.leave()

    assert driver.status is _R.CANCELLED
    assert driver.machine.fold.image.unknown == ("sub/i@2",)
    driver.settle()


# -- pause, cancel, halt -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
def test_a_pause_inside_parks_the_run_which_goes_on_inside(crash):
    """5.6: Resumable from inside; 6.2: taken at the commit boundary."""
    driver = Driver(around(two())).claim()
    driver.finish(Add(1), pause=True)
    assert driver.status is _R.PAUSED
    assert read_snapshot(driver.disk.writes[-1].snapshot).image.branches["sub"].counts.visits == 2
    if crash:
        driver.crash()
    driver.resume()
    driver.claim()
    assert running(driver) == ["sub/j"]
    driver.finish(Add(1))

    assert (running(driver), driver.state.count) == (["end"], 2)


def test_a_pause_in_the_last_visit_inside_parks_the_run_outside():
    """6.2: a run parks after a visit that called `ctx.pause()`."""
    driver = Driver(around(sketch("i"))).claim()
    driver.finish(Add(1), pause=True)
    assert (driver.status, driver.state.count) == (_R.PAUSED, 1)
    driver.resume()
    driver.claim()

    assert running(driver) == ["end"]


@pytest.mark.parametrize("ending", ["finish", "fail", "leave"])
def test_a_cancel_reaches_inside(ending):
    """5.6: cancellation is inherited; 3 D6: no commit of that run succeeds afterwards."""
    driver = Driver(around(two()), Tally(1)).claim()
    driver.finish(Add(1))
    driver.cancel("c1")
    assert driver.leaving == {3}
    getattr(driver, ending)()

    assert driver.status is _R.CANCELLED
    assert driver.state == driver.stored == Tally(1)
    driver.settle()


def test_a_halt_interrupts_inside_and_the_next_owner_goes_on_there():
    """9.6: then INTERRUPTED (resumable)."""
    driver = Driver(around(two())).claim()
    driver.halt()
    driver.finish(Add(1))
    assert driver.status is _R.INTERRUPTED
    recover(driver)
    driver.halt(hard=True)
    driver.leave()
    assert driver.status is _R.INTERRUPTED
    recover(driver)
    driver.finish(Add(1))

    assert driver.started == ["i", "j", "j", "end"]
    assert driver.state.count == 2


# -- crashes and snapshots -----------------------------------------------------------------------------------------


def test_a_crash_inside_loses_no_visit_that_was_stored():
    """5.6: Resumable from inside; 3: no visit with a durable commit runs again."""
    driver = Driver(around(speech("i j k", "i>j j>k"), **LENS), Tally(0, ["a"])).claim()
    for text in ("b", "c"):
        driver.finish(Word(text))
        recover(driver)
        reads_the_same(driver)
    assert view(driver) == Words(["a", "b", "c"])
    driver.finish(Word("d"))

    assert driver.started == ["i", "j", "j", "k", "k", "end"]
    assert driver.state == Tally(4, ["a b c d"])


@pytest.mark.parametrize("nested", [False, True])
def test_snapshots_inside_are_their_log(nested):
    """5.6: barriers, streams, checkpoints are inherited; law 1: folding the log gives the live state, also inside."""
    inner = sketch("i j", "i>j j>i")
    graph = around(around(inner) if nested else inner)
    driver, path = Driver(graph, max_steps=200).claim(), "sub/sub" if nested else "sub"
    for number in range(60):
        driver.finish(Say(f"{number} {'x' * 90}"))
        if number % 29 == 28:
            recover(driver)
        reads_the_same(driver)
    snapshots = [read_snapshot(write.snapshot).image for write in driver.disk.writes if write.snapshot is not None]

    assert len(view(driver, path).trail) == 60
    assert sum(path in image.branches for image in snapshots) > 1, "snapshots were taken inside"
    assert max(len(write.snapshot or b"") for write in driver.disk.writes) < 2.5 * 60 * 100, "and did not hold it twice"
    driver.finish(next="")
    driver.settle()
    assert len(driver.state.trail) == 60


def test_snapshots_inside_do_not_grow_with_what_was_overwritten():
    """5.6: checkpoints are inherited: what is stored of an inner graph is in proportion to its state."""
    driver = Driver(around(speech("i j", "i>j j>i"), **LENS), max_steps=200).claim()
    for number in range(100):
        driver.finish(Only(f"{number} {'x' * 90}"))
        if number % 50 == 49:
            driver.halt()
            driver.finish(pause=True)
            driver.resume()
            driver.claim()
            reads_the_same(driver)

    assert max(len(write.snapshot or b"") for write in driver.disk.writes) < 3000


def test_what_a_body_does_to_the_inner_state_is_undone_when_it_fails():
    """4.3: the state is rebuilt from the log, also where that has a new base inside."""
    inner = sketch("i j", "i>j j>i")
    inner.edge("j", "i", on_error=True)
    driver = Driver(around(inner), Tally(1)).claim()
    for number in range(30):
        driver.finish(Say(f"{number} {'x' * 90}"), node="i")
        view(driver).trail.clear()
        view(driver).count = 77
        driver.fail(node="j")
        assert (len(view(driver).trail), view(driver).count) == (number + 1, 1)

    assert driver.state == Tally(1)


def test_a_run_without_a_store_has_subgraphs_too():
    """`terzetto.run` carries graphs out as a runtime does."""
    for logged in (True, False):
        driver = Driver(around(speech(), **LENS), Tally(1, ["a"]), acks="settled", logged=logged).claim()
        driver.finish(Word("b"))
        driver.finish(Word("c"))
        driver.finish(Add(1))

        assert driver.status is _R.SUCCEEDED
        assert driver.state == Tally(5, ["a b c"])


def tour() -> Graph[Tally]:
    """Something of everything: a graph inside of branches inside of a graph, with effects and a barrier."""
    deep = sketch("d1:once d2", "d1>d2")
    middle = sketch("m1:pure m2:once m3", "m1>fan fan>m3")
    middle.subgraph("deep", deep, get=lambda tally: Tally(0, list(tally.trail)), put=merge_tally)
    middle.barrier("gate")
    middle.parallel("fan", ["deep", "m2", "gate"], merge="replay")
    return around(middle, "a:pure", "a>sub", first="a", get=lambda tally: Tally(), put=merge_tally)


def merge_tally(outer: Tally, inner: Tally) -> None:
    outer.count += inner.count


def go_on(driver: Driver) -> None:
    """The next thing on the way to the end: every visit, however it came to its result, adds one."""
    if driver.running:
        driver.finish(Add(1))
    elif driver.sent:
        driver.ack(1)
    elif driver.status is _R.AWAITING_INPUT:
        row = next(row for row in driver.disk.barriers.values() if row.status is BarrierStatus.OPEN)
        driver.decide(Confirm(tuple(driver.batch(Add(1)))) if row.reconcile else Approve(), barrier=row.barrier)
    else:
        driver.claim()


def die_at(point: int, acks: str, keep: int) -> tuple[Driver, bool]:
    """A tour whose first process dies after so many effects, and whether it did."""
    driver, died = Driver(tour(), acks=acks), False
    driver.doom = point
    while not ended(driver):
        try:
            go_on(driver)
        except Died:
            driver.crash(keep=keep)
            died = True
    driver.doom = None
    driver.settle()
    return driver, died


@pytest.mark.parametrize("keep", [0, 1, 2])
@pytest.mark.parametrize("acks", ["now", "later", "settled"])
def test_a_process_may_die_between_any_two_effects_inside(acks, keep):
    """5.6: Resumable from inside; 7: the same end wherever it dies, and no visit with a commit again."""
    point, died = 0, True
    while died:
        driver, died = die_at(point, acks, keep)
        assert (driver.status, driver.state) == (_R.SUCCEEDED, Tally(7))
        assert max(driver.started.count(name) for name in ("m2", "d1")) <= 1
        reads_the_same(driver)
        point += 1

    assert point > 40, "there are that many effects to die between"


# -- subgraphs and branches ----------------------------------------------------------------------------------------


def test_one_graph_may_be_inside_several_times_at_once():
    """5.6: own namespace: two entries of one graph know nothing of each other."""
    inner = speech()
    graph = sketch("end", "fan>end")
    for name in ("left", "right"):
        graph.subgraph(name, inner, **LENS)
    graph.parallel("fan", ["left", "right"], merge="replay")
    graph.starts[:] = ["fan"]
    driver = Driver(graph, Tally(0, ["a"])).claim()
    assert running(driver) == ["fan/left/left/i", "fan/right/right/i"]
    driver.finish(Word("r"), node="fan/right/right/i")
    driver.finish(Word("l"), node="fan/left/left/i")
    recover(driver)
    assert [view(driver, f"fan/{name}/{name}") for name in ("left", "right")] == [Words(["a", "l"]), Words(["a", "r"])]
    driver.finish(node="fan/right/right/j")
    driver.finish(node="fan/left/left/j")

    assert driver.state == Tally(4, ["a r"]), "each `put` in order of declaration"
    assert running(driver) == ["end"]


@pytest.mark.parametrize("merge", ["strict", "replay"])
@pytest.mark.parametrize("other", ["node", "graph"])
def test_the_exit_of_a_subgraph_takes_back_nothing_that_its_graph_did_not_change(other, merge):
    """5.5, 5.6: disjoint fields fold, whoever changed them: a branch that is a graph left `count` as it was."""
    graph = sketch("end n", "fan>end")
    graph.subgraph("first", sketch("n"))
    graph.subgraph("second", sketch("s"))
    graph.parallel("fan", ["n" if other == "node" else "first", "second"], merge=merge)
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    driver.finish(Add(5), node="n")
    driver.finish(Say("s"), node="s")

    assert running(driver) == ["end"]
    assert driver.state == Tally(5, ["s"])


def test_a_field_that_is_replayed_is_not_lost_between_two_exits():
    """5.5, 5.6: an exit puts whole fields; what another branch had put there is kept, or it is a conflict."""
    graph: Graph[Any] = Graph("outer", state=Log, mutations=[Line])
    for name in ("left", "right"):
        inner: Graph[Any] = Graph(name, state=Log, mutations=[Line])
        inner.start(inner.node(name=f"{name}-node")(body))
        graph.subgraph(name, inner)
    graph.parallel("fan", ["left", "right"])
    graph.start("fan")
    driver = Driver(graph, Log()).claim()
    for name in ("left", "right"):
        driver.finish(Line(name), node=f"{name}-node")

    assert driver.status is _R.FAILED or driver.state == Log(["left", "right"])


def test_subgraphs_that_change_one_field_are_in_conflict():
    """5.5: two branches changed the same top-level field, also where a graph inside did."""
    graph = sketch("n")
    graph.subgraph("sub", sketch("s"))
    graph.parallel("fan", ["n", "sub"])
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    driver.finish(Add(5), node="n")
    driver.finish(Add(1), node="s")

    assert "field 'count' was changed by fan/n and fan/sub: " in driver.failure.message
    assert driver.state == Tally()


def test_a_failure_beside_a_subgraph_ends_what_is_inside():
    """5.5: the first failure cancels the siblings, waits for their cleanup, and drops what they committed."""
    graph = sketch("n")
    graph.subgraph("sub", sketch("i j g:barrier", "i>j j>g"))
    graph.parallel("fan", ["n", "sub"])
    graph.starts[:] = ["fan"]
    driver = Driver(graph).claim()
    driver.finish(Add(1), node="i")
    driver.fail("ValueError: bad luck", node="n")
    assert driver.leaving == {driver.start_of("j").visit}
    driver.finish(Add(1), node="j")

    assert driver.status is _R.FAILED
    assert driver.failure.message == "ValueError: bad luck"
    assert driver.state == Tally()
    assert told(driver, BranchDiscarded), "the commit of fan/sub/sub/i was seen, and is gone"
    driver.settle()


def test_a_failure_inside_ends_what_is_beside_its_subgraph():
    """5.5, 5.6: a failed subgraph is a failed branch."""
    graph = sketch("n mend")
    graph.subgraph("sub", two())
    graph.parallel("fan", ["n", "sub"], errors="collect", merge="replay")
    graph.starts[:] = ["fan"]
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.finish(Add(1), node="i")
    driver.fail("ValueError: bad luck", node="j")
    driver.finish(Add(5), node="n")

    assert running(driver) == ["mend"]
    assert driver.state == Tally(5)
    (failed,) = (event for event in told(driver, NodeFailed) if event.node == "fan")
    assert failed.failure.message == "1 of 2 branches of 'fan' failed: fan/sub: ValueError: bad luck"


def test_a_map_may_go_over_a_graph_whose_nodes_see_the_item():
    """5.5: each branch sees its own item, also inside of the graph that it consists of."""
    graph = sketch("end", "map>end")
    graph.subgraph("sub", speech(), get=lambda tally: Words(), put=put_words)
    graph.map("map", "sub", over=lambda tally: ["a", "b"], item=str, merge="replay")
    graph.starts[:] = ["map"]
    driver = Driver(graph).claim()
    assert [driver.machine.fold.item_of(start.path) for start in driver.running.values()] == [("a", 0), ("b", 1)]
    for number in (1, 0):
        for node in "ij":
            driver.finish(Word(f"{number}{node}"), node=f"map/{number}/sub/{node}")

    assert driver.state == Tally(4, ["1i 1j"])
    assert running(driver) == ["end"]


# -- depth ---------------------------------------------------------------------------------------------------------


DEPTH = 20
PATH = "/".join(f"level-{depth}" for depth in reversed(range(DEPTH)))


def deep() -> Graph[Tally]:
    graph = sketch("i j", "i>j")
    for depth in range(DEPTH):
        outer = sketch(f"after-{depth}", f"level-{depth}>after-{depth}")
        outer.subgraph(f"level-{depth}", graph)
        outer.starts[:] = [f"level-{depth}"]
        graph = outer
    return graph


def test_graphs_may_be_twenty_deep():
    """5.6: Resumable from inside, from whatever depth."""
    driver = Driver(deep()).claim()
    assert running(driver) == [f"{PATH}/i"]
    driver.finish(Add(1))
    recover(driver)
    reads_the_same(driver)
    assert running(driver) == [f"{PATH}/j"]
    driver.finish(Add(1))
    while driver.running:
        driver.finish(Add(1))

    assert driver.status is _R.SUCCEEDED
    assert driver.started == ["i", "j", "j", *[f"after-{depth}" for depth in range(DEPTH)]]
    assert driver.state.count == DEPTH + 2
    driver.settle()


def test_an_error_twenty_deep_can_be_read():
    """4.6: naming node and mutation; 5.4: the path says where it is, and is told once for each level."""
    driver = Driver(deep()).claim()
    driver.finish(Add(1))
    driver.finish(Burst())

    assert driver.failure.message == (
        f"node '{PATH}/j': MutationFailed: mutation Burst could not be applied: ArithmeticError: burst"
    )
    nodes = [event.node for event in told(driver, NodeFailed)]
    assert nodes == [f"{PATH}/j", *(PATH.rsplit("/", depth)[0] for depth in range(DEPTH))]
    assert driver.state == driver.stored == Tally()
    assert isinstance(driver.disk.records[-1].detail, Joined)
    driver.settle()
