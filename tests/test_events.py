"""`told_by`: a commit's events follow from the commit alone, with its ids and without a hole."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Raw

from terzetto_protocol.codec import pack
from terzetto_protocol.decisions import Approve, Fail, Recorded
from terzetto_protocol.events import (
    BarrierOpened,
    BarrierResolved,
    BranchDiscarded,
    BranchesStarted,
    CancelRequested,
    Chunk,
    DurableEvent,
    EffectIntended,
    Event,
    NodeFailed,
    NodeFinished,
    NodeStarted,
    OutputSent,
    RetryScheduled,
    RunEnded,
    RunInterrupted,
    RunPaused,
    RunQueued,
    RunStarted,
    count_told,
    told_by,
)
from terzetto_protocol.records import (
    Ask,
    Asked,
    Attempt,
    Called,
    Failure,
    Forked,
    Joined,
    Kind,
    Note,
    Opening,
    Record,
    Resolution,
    Rewind,
    Sent,
    Step,
)
from terzetto_protocol.statuses import TERMINAL, RunStatus, VisitStatus

FAILURE = Failure("node_error", "node 'write': ValueError: no", ("ValueError: no",))
NOTE = Note("somebody wanted it", "c-1")
RESOLUTION = Resolution("sign-off@3", Approve(), "ann", "c-1")
SUCCEEDED, FAILED = VisitStatus.SUCCEEDED, VisitStatus.FAILED


PASSED = Recorded("@passed", Raw(msgspec.msgpack.encode([1, "each", "name", "Ann"])))
ASK = Ask("go@3", "go", Opening(deadline=60.0), ("approved", "rejected"), Fail())


def commit(kind: Kind, status: RunStatus = RunStatus.RUNNING, **fields: Any) -> Record:
    return Record(seq=7, kind=kind, epoch=2, at=10.5, status=status, event_id=100, **fields)


def told(record: Record) -> list[DurableEvent]:
    return list(told_by("r-1", record))


def head(number: int = 100) -> dict[str, Any]:
    return {"id": number, "run_id": "r-1", "at": 10.5}


MAIN = [
    (commit(Kind.SUBMIT, RunStatus.QUEUED), RunQueued(**head())),
    (commit(Kind.QUEUE, RunStatus.QUEUED, detail=NOTE), RunQueued(**head(), reason="somebody wanted it")),
    (commit(Kind.REWIND, RunStatus.QUEUED, detail=Rewind(3, b"")), RunQueued(**head(), reason="undone")),
    (commit(Kind.CLAIM), RunStarted(**head(), epoch=2)),
    (commit(Kind.INTENT, visit=3, place="pay", attempt=2), EffectIntended(**head(), node="pay", visit=3, attempt=2)),
    (
        commit(Kind.VISIT, visit=3, place="write", outcome=SUCCEEDED, mutations=(Recorded("W", Raw(b"\x80")),)),
        NodeFinished(**head(), node="write", visit=3, seq=7, mutations=1),
    ),
    (
        commit(Kind.VISIT, visit=3, place="write", path="outer", outcome=SUCCEEDED),
        NodeFinished(**head(), node="outer/write", visit=3, seq=7, mutations=0),
    ),
    (
        commit(Kind.VISIT, visit=3, place="write", outcome=FAILED, detail=FAILURE),
        NodeFailed(**head(), node="write", visit=3, seq=7, failure=FAILURE),
    ),
    (
        commit(Kind.DECIDE, visit=3, place="sign-off", outcome=SUCCEEDED, detail=RESOLUTION),
        BarrierResolved(**head(), barrier="sign-off@3", name="sign-off", decision=Approve(), source="ann"),
    ),
    (
        commit(Kind.ASK, visit=3, place="write", detail=Asked("decision:go", ASK)),
        BarrierOpened(**head(), barrier="go@3", name="go", deadline=60.0),
    ),
    (
        commit(Kind.RETRY, visit=3, place="pay", attempt=2, detail=Attempt(FAILURE, 12.5)),
        RetryScheduled(**head(), node="pay", visit=3, attempt=2, due=12.5, failure=FAILURE),
    ),
    (
        commit(Kind.FORK, visit=3, place="both", path="outer", detail=Forked(2)),
        BranchesStarted(**head(), node="outer/both", visit=3, count=2),
    ),
    (
        commit(Kind.JOIN, visit=3, place="both", outcome=SUCCEEDED, detail=Joined(folds=True)),
        NodeFinished(**head(), node="both", visit=3, seq=7, mutations=0),
    ),
    (
        commit(Kind.JOIN, visit=3, place="both", outcome=FAILED, detail=Joined(failure=FAILURE)),
        NodeFailed(**head(), node="both", visit=3, seq=7, failure=FAILURE),
    ),
    (
        commit(Kind.SEND, visit=3, place="each", mutations=(PASSED,), detail=Sent(1, "name", b"")),
        OutputSent(**head(), node="each", visit=3, output="name", number=1, value=Raw(b"\xa3Ann")),
    ),
    (
        commit(Kind.CALL, visit=3, place="ask", path="outer", detail=Called("outer/ask.search", "run:search", b"")),
        BranchesStarted(**head(), node="outer/ask.search", visit=3, count=1),
    ),
    (commit(Kind.CANCEL, RunStatus.CANCELLING, detail=NOTE), CancelRequested(**head(), reason="somebody wanted it")),
    (commit(Kind.INTERRUPT, RunStatus.INTERRUPTED, detail=NOTE), RunInterrupted(**head(), reason="somebody wanted it")),
]
SILENT = [
    Kind.OPEN,
    Kind.UNKNOWN,
    Kind.END,
    Kind.SKIP,
    Kind.PAUSE,
    Kind.PARK,
    Kind.NOTE,
    Kind.KEEP,
    Kind.WITHDRAW,
    Kind.RETURN,
    Kind.MIGRATE,
]


@pytest.mark.parametrize("record, event", MAIN)
def test_every_kind_of_commit_tells_its_own_event(record, event):
    """6.1, 9.1, 2: what was decided is told, in the commit's own words."""
    assert told(record) == [event]


@pytest.mark.parametrize("kind", SILENT)
def test_these_kinds_tell_only_what_they_open_or_end(kind):
    assert told(commit(kind)) == []


def test_there_is_no_other_kind():
    assert {record.kind for record, _ in MAIN} | set(SILENT) == set(Kind)


def test_a_barrier_that_opens_with_a_commit_is_told_after_it():
    """6.1: node commits and the barrier opens in one transaction -> `BarrierOpened`."""
    opening = Opening(deadline=60.0, payload=Raw(pack({"a": 1}, "")))
    record = commit(
        Kind.VISIT, visit=3, place="write", outcome=SUCCEEDED, steps=(Step(4, "sign-off", opening=opening),)
    )

    assert told(record)[1:] == [
        BarrierOpened(
            **head(101), barrier="sign-off@4", name="sign-off", payload=opening.payload, deadline=60.0, reconcile=False
        )
    ]


def test_an_unknown_effect_opens_a_reconcile_barrier():
    """7: visit UNKNOWN, run AWAITING_INPUT with a reconcile barrier."""
    step = Step(3, "pay", opening=Opening(reconcile=True), path="outer")
    record = commit(Kind.UNKNOWN, RunStatus.AWAITING_INPUT, steps=(step,))

    assert told(record) == [BarrierOpened(**head(), barrier="outer/pay@3", name="pay", reconcile=True)]


def test_what_a_failing_branch_takes_with_it_is_told():
    """5.5: drops what they committed (`BranchDiscarded`)."""
    joined = Joined(discarded=("both/a", "both/b"), failure=FAILURE)

    events = told(commit(Kind.JOIN, visit=3, place="both", outcome=FAILED, detail=joined))

    assert [type(event) for event in events] == [NodeFailed, BranchDiscarded, BranchDiscarded]
    assert [event.branch for event in events[1:]] == ["both/a", "both/b"]


def test_a_pause_is_told_after_the_visit_that_asked_for_it():
    record = commit(Kind.VISIT, RunStatus.PAUSED, visit=3, place="write", outcome=SUCCEEDED)

    assert [type(event) for event in told(record)] == [NodeFinished, RunPaused]


@pytest.mark.parametrize(
    "record, code, message",
    [
        (commit(Kind.VISIT, RunStatus.FAILED, outcome=FAILED, detail=FAILURE), FAILURE.code, FAILURE.message),
        (commit(Kind.VISIT, RunStatus.FAILED, outcome=SUCCEEDED, detail=FAILURE), FAILURE.code, FAILURE.message),
        (commit(Kind.END, RunStatus.FAILED, detail=FAILURE), FAILURE.code, FAILURE.message),
        (commit(Kind.END, RunStatus.CANCELLED, detail=NOTE), "", NOTE.text),
        (commit(Kind.CANCEL, RunStatus.CANCELLED, detail=NOTE), "", NOTE.text),
        (commit(Kind.VISIT, RunStatus.SUCCEEDED, outcome=SUCCEEDED), "", ""),
        (commit(Kind.DECIDE, RunStatus.SUCCEEDED, outcome=SUCCEEDED, detail=RESOLUTION), "", ""),
    ],
)
def test_the_end_is_told_last_with_its_reason(record, code, message):
    """D7: END is last, exactly once. 2: why a run FAILED is a code."""
    events = told(record)

    assert events[-1] == RunEnded(**head(99 + len(events)), status=record.status, code=code, message=message)
    assert sum(isinstance(event, RunEnded) for event in events) == 1


def test_a_decision_that_fails_the_run_says_why():
    """6.4: timeout with `Fail()` is FAILED(barrier_timeout), told beside the decision that caused it."""
    failure = Failure("barrier_timeout", "nobody decided barrier sign-off@3 in time")
    resolution = Resolution("sign-off@3", Fail(), "timeout", failure=failure)

    resolved, ended = told(commit(Kind.DECIDE, RunStatus.FAILED, visit=3, outcome=FAILED, detail=resolution))

    assert isinstance(resolved, BarrierResolved)
    assert (resolved.decision, resolved.source) == (Fail(), "timeout")
    assert isinstance(ended, RunEnded)
    assert (ended.code, ended.message) == (failure.code, failure.message)


def test_a_failed_visit_is_never_told_as_finished():
    """9.3: a failure is a failure, also of a record that does not say why."""
    (event,) = told(commit(Kind.VISIT, visit=3, place="write", outcome=FAILED))

    assert isinstance(event, NodeFailed)


DETAILS = {
    Kind.DECIDE: RESOLUTION,
    Kind.ASK: Asked("decision:go", ASK),
    Kind.RETRY: Attempt(FAILURE, 12.5),
    Kind.FORK: Forked(2),
    Kind.JOIN: Joined(discarded=("both/a", "both/b")),
    Kind.SEND: Sent(1, "name", b""),
    Kind.CALL: Called("ask.search", "run:search", b""),
}
details = st.sampled_from([None, FAILURE, NOTE])
openings = st.none() | st.builds(Opening, st.none(), st.just(Raw(b"\xc0")), st.booleans())
steps = st.lists(st.builds(Step, st.integers(1, 9), st.sampled_from("abc"), opening=openings), max_size=3).map(tuple)


@st.composite
def records(draw) -> Record:
    kind = draw(st.sampled_from(Kind))
    return Record(
        seq=draw(st.integers(1, 99)),
        kind=kind,
        epoch=draw(st.integers(1, 9)),
        at=draw(st.floats(0, 2e9)),
        status=draw(st.sampled_from(RunStatus)),
        event_id=draw(st.integers(1, 2**53 - 9)),
        visit=draw(st.integers(0, 9)),
        place=draw(st.sampled_from("abc")),
        outcome=draw(st.none() | st.sampled_from(VisitStatus)),
        steps=draw(steps),
        mutations=(PASSED,) if kind is Kind.SEND else (),
        detail=DETAILS.get(kind) or draw(details),
    )


@given(records())
def test_ids_follow_without_a_hole(record):
    """D4: ids rise strictly; the counted number is what is told."""
    events = told(record)

    assert [event.id for event in events] == list(range(record.event_id, record.event_id + len(events)))
    assert count_told(record) == len(events)
    assert {(event.run_id, event.at) for event in events} <= {("r-1", record.at)}


@given(records())
def test_the_same_commit_tells_the_same_bytes_after_a_restart(record):
    """D4: after every restart the same id means the same bytes."""
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record)

    assert [pack(event, "") for event in told(stored)] == [pack(event, "") for event in told(record)]


@given(records())
def test_an_end_is_told_by_terminal_commits_only_and_last(record):
    """8.3: exactly one terminal event, always last."""
    ends = [position for position, event in enumerate(told(record), 1) if isinstance(event, RunEnded)]

    assert ends == ([count_told(record)] if record.status in TERMINAL else [])


def test_what_commits_tell_is_durable_and_nothing_else_is():
    """8.1: durable events are read from the store; token chunks live in the window only."""
    assert all(member.durable for member in get_args(DurableEvent))
    assert not any(member.durable for member in (NodeStarted, *get_args(Chunk)))
    assert set(get_args(Event)) == {*get_args(DurableEvent), NodeStarted, *get_args(Chunk)}
