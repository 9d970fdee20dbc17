"""`terzetto_protocol.views`: what people are shown, made of stored bytes alone."""

from datetime import UTC, datetime

import msgspec
import pytest
from attrs import Factory, define, frozen
from msgspec import Raw

import terzetto
from terzetto_protocol.decisions import Approve, Choose, Confirm, Recorded, Reject, Retry
from terzetto_protocol.errors import Malformed
from terzetto_protocol.events import RunEnded, TextChunk, told_by
from terzetto_protocol.image import Image, Snapshot, read_record
from terzetto_protocol.records import (
    BarrierRow,
    Failure,
    Kind,
    Note,
    Opening,
    Record,
    Resolution,
    RunHeader,
    RunRow,
    Step,
)
from terzetto_protocol.statuses import BarrierStatus, RunStatus, VisitStatus
from terzetto_protocol.views import (
    barrier_view,
    commit_view,
    event_view,
    plain,
    run_line,
    run_view,
    unknown_visits,
)

pack = msgspec.msgpack.encode
HEADER = RunHeader("r", "shop", "2", "f00", "d16e57", 10.0, key="k", metadata={"who": "ann"})


def row(status=RunStatus.RUNNING, *, seq=3, **fields):
    return RunRow(HEADER, status, 1, seq, 1 << 32 | 5, 20.0, **fields)


def barrier(name="ask@2", *, status=BarrierStatus.OPEN, run_id="r", **fields):
    return BarrierRow(run_id, name, name.partition("@")[0], 2, status, 15.0, payload=pack({"sum": 3}), **fields)


def record(seq, kind=Kind.VISIT, status=RunStatus.RUNNING, **fields):
    return Record(seq, kind, 1, float(seq), status, 1 << 32 | seq, **fields)


INTENT = record(3, Kind.INTENT, visit=1, place="charge", outcome=VisitStatus.RUNNING)
ASKED = record(
    4, Kind.UNKNOWN, RunStatus.AWAITING_INPUT, steps=(Step(1, "charge", opening=Opening(reconcile=True), path="in"),)
)


def is_json(view):
    """Every view is plain: it comes back from JSON as it was."""
    assert view == msgspec.json.decode(msgspec.json.encode(view), type=type(view))
    return view


def test_a_line_lists_its_own_open_barriers():
    others = [barrier("ask@9", run_id="other"), barrier("old@1", status=BarrierStatus.RESOLVED)]
    line = is_json(run_line(row(code="node_error", message="no"), [*others, barrier()]))

    assert ("r", "shop", "2", RunStatus.RUNNING) == (line.run_id, line.graph, line.version, line.status)
    assert ("node_error", "no", 10.0, 20.0, 3, 1) == (
        line.code, line.message, line.submitted, line.updated, line.seq, line.epoch,
    )  # fmt: skip
    assert ("ask@2",) == line.open_barriers
    assert () == run_line(row()).open_barriers


def test_a_barrier_shows_its_payload():
    view = is_json(barrier_view(barrier(deadline=99.0, reconcile=True)))

    assert ("ask@2", "ask", 15.0, 99.0, {"sum": 3}, True) == (
        view.barrier, view.name, view.opened, view.deadline, view.payload, view.reconcile,
    )  # fmt: skip


def test_a_commit_shows_its_mutations_steps_and_events():
    mutations = (Recorded("Paid", Raw(pack({"sum": 3}))), Recorded("Sent", Raw(pack([1, "x"]))))
    opening = Opening(deadline=9.0, payload=Raw(pack({"sum": 3})))
    made = record(
        3,
        status=RunStatus.AWAITING_INPUT,
        visit=1,
        place="pay",
        path="outer",
        outcome=VisitStatus.SUCCEEDED,
        attempt=1,
        mutations=mutations,
        steps=(Step(2, "ask", opening=opening), Step(3, "log", path="outer")),
    )
    view = is_json(commit_view("r", made))

    assert [("Paid", {"sum": 3}), ("Sent", [1, "x"])] == [(each.name, each.data) for each in view.mutations]
    assert [(2, "ask", "ask@2"), (3, "outer/log", "")] == [(each.visit, each.node, each.opens) for each in view.steps]
    assert ["NodeFinished", "BarrierOpened"] == [event["type"] for event in view.events]
    assert [event.id for event in told_by("r", made)] == [event["id"] for event in view.events]
    assert {"sum": 3} == view.events[1]["payload"]
    assert ("outer", "pay", 1, 1, VisitStatus.SUCCEEDED) == (
        view.path, view.place, view.visit, view.attempt, view.outcome,
    )  # fmt: skip


@pytest.mark.parametrize(
    "detail, shown",
    [
        (None, None),
        (Note("tired", "c"), {"type": "note", "text": "tired", "command_id": "c"}),
        (
            Failure("node_error", "no", ("E: no",), ("a.py:1 in f",)),
            {
                "type": "failure",
                "code": "node_error",
                "message": "no",
                "errors": ["E: no"],
                "trace": ["a.py:1 in f"],
                "final": False,
            },
        ),
    ],
)
def test_the_detail_of_a_commit_says_what_it_is(detail, shown):
    assert shown == is_json(commit_view("r", record(3, Kind.INTERRUPT, detail=detail))).detail


@pytest.mark.parametrize(
    "decision, shown",
    [
        (Approve(), {"type": "approve"}),
        (Reject("late"), {"type": "reject", "reason": "late"}),
        (Choose("post", "n"), {"type": "choose", "exit": "post", "note": "n"}),
        (Retry(), {"type": "retry", "note": ""}),
        (
            Confirm((Recorded("Paid", Raw(pack({"sum": 1}))),)),
            {"type": "confirm", "mutations": [["Paid", {"sum": 1}]], "note": ""},
        ),
    ],
)
def test_a_decision_is_shown_whole(decision, shown):
    made = record(3, Kind.DECIDE, place="ask", visit=2, detail=Resolution("ask@2", decision, "ann", "c"))
    view = is_json(commit_view("r", made))

    assert shown == view.detail["decision"]
    assert shown == view.events[0]["decision"]
    assert "ann" == view.detail["source"]


def test_every_event_has_its_type():
    ended = RunEnded(id=7, run_id="r", at=1.0, status=RunStatus.FAILED, code="unrouted", message="m")
    chunk = TextChunk(id=8, run_id="r", at=1.0, node="n", visit=1, text="hm")

    assert {"type": "RunEnded", "id": 7, "run_id": "r", "at": 1.0, "status": "FAILED", "code": "unrouted",
            "message": "m"} == event_view(ended)  # fmt: skip
    assert "hm" == event_view(chunk)["text"]


def test_a_run_is_shown_whole_or_by_its_last_commits():
    failure = Failure("node_error", "no", ("E: no",), ("a.py:1 in f",))
    records = [
        record(1, Kind.SUBMIT, RunStatus.QUEUED, steps=(Step(1, "pay"),)),
        record(2, Kind.CLAIM),
        record(3, status=RunStatus.FAILED, visit=1, place="pay", outcome=VisitStatus.FAILED, detail=failure),
    ]
    bodies = [pack(each) for each in records]
    snapshot = pack(Snapshot(Image(), pack({"paid": 3, "notes": ["a"]})))
    view = is_json(run_view(row(RunStatus.FAILED), bodies, [barrier()], (2, snapshot)))

    assert [1, 2, 3] == [commit.seq for commit in view.commits]
    assert failure == view.failure
    assert ("shop", "2", "f00", "k", {"who": "ann"}) == (
        view.graph, view.version, view.fingerprint, view.key, view.metadata,
    )  # fmt: skip
    assert ({"paid": 3, "notes": ["a"]}, 2) == (view.state, view.state_seq)
    assert ["ask@2"] == [each.barrier for each in view.open_barriers]
    for last, seqs in ((0, []), (2, [2, 3]), (9, [1, 2, 3])):
        part = run_view(row(RunStatus.FAILED), bodies, last=last)
        assert seqs == [commit.seq for commit in part.commits]
        assert (failure, None, 0) == (part.failure, part.state, part.state_seq)


def test_damaged_bytes_are_malformed():
    with pytest.raises(Malformed, match="commit"):
        run_view(row(), [b"\xff damaged"])
    with pytest.raises(Malformed, match="snapshot"):
        run_view(row(), [], snapshot=(1, b"\xff damaged"))


@pytest.mark.parametrize(
    "records, unknown",
    [
        ([], ()),
        ([INTENT], ()),  # its owner may still be at it
        ([INTENT, record(4, visit=1, place="charge", outcome=VisitStatus.SUCCEEDED)], ()),
        ([INTENT, record(4, Kind.END, RunStatus.CANCELLED)], ("charge@1",)),
        ([INTENT, ASKED], ("in/charge@1",)),
        ([INTENT, ASKED, record(5, Kind.DECIDE, visit=1, place="charge", outcome=VisitStatus.PENDING)], ()),
        ([INTENT, ASKED, record(5, Kind.CANCEL, RunStatus.CANCELLED)], ("in/charge@1",)),
    ],
)
def test_visits_whose_effect_nobody_knows_are_listed(records, unknown):
    """SEMANTICS 7: a `once` visit that ended with its body unfinished is UNKNOWN, and listed."""
    assert unknown == unknown_visits(records)


@pytest.mark.parametrize(
    "value, shown",
    [
        ({1: b"ab", "t": (1, 2)}, {"1": "YWI=", "t": [1, 2]}),
        ({"at": datetime(2026, 1, 2, tzinfo=UTC)}, {"at": "2026-01-02T00:00:00Z"}),
        ({(1, 2): [None, 1.5]}, {"(1, 2)": [None, 1.5]}),
        ({None: {"x": b"a"}}, {"None": {"x": "YQ=="}}),
        ([msgspec.msgpack.Ext(7, b"ab")], [{"ext": 7, "data": "YWI="}]),
    ],
)
def test_plain_is_what_json_can_say(value, shown):
    assert shown == msgspec.json.decode(msgspec.json.encode(plain(value)))


@define
class Basket:
    owner: str = ""
    weights: dict[int, float] = Factory(dict)


@frozen
class Weighed:
    item: int
    weight: float

    def apply(self, basket):
        basket.weights = {**basket.weights, self.item: self.weight}


graph = terzetto.Graph("basket", state=Basket, mutations=[Weighed])


@graph.node
async def weigh(ctx):
    ctx.record(Weighed(2, 0.5))


sign = graph.barrier("sign", payload=lambda basket: basket.weights)
graph.start(weigh)
graph.edge(weigh, sign)


async def test_a_real_run_is_shown_without_its_graph():
    async with terzetto.open_runtime("memory:", [graph]) as runtime:
        run = await runtime.submit(graph, Basket("ann", {1: 2.0}), run_id="r")
        async with run.events() as events:
            async for event in events:
                if isinstance(event, terzetto.BarrierOpened):
                    break
        store = runtime.store
        bodies, barriers = await store.records("r"), await store.barriers("r")
        view = is_json(run_view(await runtime.row("r"), bodies, barriers, await store.snapshot("r")))

    assert RunStatus.AWAITING_INPUT is view.status
    assert {"owner": "ann", "weights": {"1": 2.0, "2": 0.5}} == view.state
    assert {"1": 2.0, "2": 0.5} == view.open_barriers[0].payload
    told = [event.id for body in bodies for event in told_by("r", read_record(body))]
    assert told == [event["id"] for commit in view.commits for event in commit.events]
