"""What a commit did, in the words of `terzetto history`."""

import pytest
from msgspec import Raw

from terzetto._cli._commit_words import _SAYINGS, names_of, what
from terzetto_protocol.codec import pack
from terzetto_protocol.decisions import Approve, Choose, Confirm, Modify, Recorded
from terzetto_protocol.flow_state import Packed
from terzetto_protocol.records import (
    Answer,
    Ask,
    Asked,
    Attempt,
    Called,
    Failure,
    Forked,
    Joined,
    Kept,
    Kind,
    Migrated,
    Note,
    Noted,
    Opening,
    Record,
    Resolution,
    Returned,
    Rewind,
    Sent,
    Step,
    Withdrawn,
)
from terzetto_protocol.statuses import RunStatus, VisitStatus
from terzetto_protocol.views import commit_view

_R, _V = RunStatus, VisitStatus
NO = Failure("node_error", "no")
PASSED = Recorded("@passed", Raw(pack(Packed(1, "pay", "total", Raw(b"\x07")), "a value")))


def view(kind, detail=None, status=_R.RUNNING, **options):
    """A commit about visit 2 of `pay` in a branch."""
    options = {"visit": 2, "place": "pay", "path": "fan/a", **options}
    return commit_view("r", Record(5, kind, 3, 0.0, status, 1, detail=detail, **options))


CASES = [
    (view(Kind.SUBMIT), "submitted"),
    (view(Kind.SUBMIT, Note("goes on from r@3")), "submitted: goes on from r@3"),
    (view(Kind.CLAIM), "claimed (epoch 3)"),
    (view(Kind.VISIT, outcome=_V.SUCCEEDED), "fan/a/pay@2 finished"),
    (view(Kind.VISIT, outcome=_V.SUCCEEDED, path=""), "pay@2 finished"),
    (view(Kind.VISIT, NO, outcome=_V.FAILED), "fan/a/pay@2 failed: no"),
    (view(Kind.VISIT, NO, _R.FAILED, outcome=_V.SUCCEEDED), "fan/a/pay@2 finished: no"),
    (view(Kind.INTENT), "fan/a/pay@2 is about to act, once"),
    (view(Kind.OPEN, steps=(Step(3, "gate", opening=Opening()),)), "gate@3 opened"),
    (
        view(Kind.UNKNOWN, steps=(Step(2, "pay", opening=Opening(reconcile=True)),)),
        "pay@2 asks what became of its effect",
    ),
    (view(Kind.DECIDE, Resolution("gate@3", Choose("coast"), "ann")), "gate@3 decided: choose coast by ann"),
    (
        view(Kind.DECIDE, Resolution("gate@3", Modify({"a": [1]}), "ann")),
        'gate@3 decided: modify {"a":[1]} by ann',
    ),
    (
        view(Kind.DECIDE, Resolution("pay@2", Confirm((Recorded("Paid", Raw(b"\x80")),)), "")),
        'pay@2 decided: confirm [["Paid",{}]]',
    ),
    (view(Kind.QUEUE, Note("resumed")), "resumed"),
    (view(Kind.QUEUE), "queued"),
    (view(Kind.CANCEL, Note("enough")), "cancel requested: enough"),
    (view(Kind.INTERRUPT, Note("the owner was lost")), "interrupted: the owner was lost"),
    (view(Kind.END, NO, _R.FAILED), "ended: node_error: no"),
    (view(Kind.END, None, _R.CANCELLED), "ended"),
    (view(Kind.FORK, Forked(2)), "fan/a/pay@2 opened 2 branches"),
    (view(Kind.FORK, Forked(1)), "fan/a/pay@2 opened 1 branch"),
    (view(Kind.JOIN, Joined(), outcome=_V.SUCCEEDED), "fan/a/pay@2 joined"),
    (view(Kind.JOIN, Joined(failure=NO), outcome=_V.FAILED), "fan/a/pay@2 failed: no"),
    (view(Kind.SKIP), "fan/a/pay@2 skipped"),
    (view(Kind.PAUSE, status=_R.PAUSED), "paused"),
    (view(Kind.PAUSE), "to be paused"),
    (view(Kind.PARK), "waits for people"),
    (view(Kind.RETRY, Attempt(NO, 1.0), attempt=2), "fan/a/pay@2 attempt 2 failed: no"),
    (view(Kind.ASK, Asked("k", Ask("way@2", "way", Opening(), ("a",), Choose("a")))), "fan/a/pay@2 asks way@2"),
    (view(Kind.NOTE, Noted("k", Answer(b"\xc0"))), "fan/a/pay@2 noted a result"),
    (view(Kind.CALL, Called("fan/a/pay.inner", "k", b"")), "fan/a/pay@2 began fan/a/pay.inner"),
    (view(Kind.RETURN, Returned("pay.inner", "k", None), path=""), "pay@2 was told the end of pay.inner"),
    (view(Kind.SEND, Sent(0, "total", b"\x00"), mutations=(PASSED,)), "fan/a/pay@2 sent total"),
    (view(Kind.KEEP, Kept("gate", Approve(), "ann")), "kept for gate: approve by ann"),
    (view(Kind.WITHDRAW, Withdrawn("gate")), "withdrawn for gate"),
    (view(Kind.REWIND, Rewind(3, b"")), "undone: as after commit 3"),
    (view(Kind.MIGRATE, Migrated("1", "2", "f00")), "migrated from version 1 of its graph to 2"),
]


@pytest.mark.parametrize("commit, words", CASES, ids=lambda it: it if isinstance(it, str) else "")
def test_what_a_commit_did(commit, words):
    assert words == what(commit)


def test_every_kind_of_commit_has_words():
    assert set(Kind) == set(_SAYINGS) == {Kind(commit.kind) for commit, _ in CASES}


def test_many_mutations_are_counted():
    mutations = tuple(Recorded(name, Raw(b"\x80")) for name in "ABCDE")

    assert "A, B, C and 2 more" == names_of(view(Kind.VISIT, mutations=mutations))
    assert "A, B, C" == names_of(view(Kind.VISIT, mutations=mutations[:3]))
    assert not names_of(view(Kind.VISIT))


def test_what_a_dataflow_moves_is_named_by_what_was_sent():
    record = Record(
        7, Kind.JOIN, 1, 0.0, _R.RUNNING, 9, 4, "sub", _V.SUCCEEDED, 0, (),
        (PASSED, PASSED, Recorded("@over", Raw(b"\x03")), Recorded("@begun", Raw(b"\xc0"))), Joined(),
    )  # fmt: skip

    assert names_of(commit_view("r", record)) == "pay.total, pay.total"
