"""`terzetto_protocol.answered`: what a command was answered, as the log tells it (SEMANTICS 6.5)."""

import pytest

from terzetto_protocol.answered import answered
from terzetto_protocol.decisions import Approve
from terzetto_protocol.receipts import PauseReceipt, Resumed, Submitted, Undone
from terzetto_protocol.records import Kept, Kind, Note, Record, Rewind
from terzetto_protocol.statuses import RunStatus


def commit(kind, status, detail, **options):
    return Record(1, kind, 1, 0.0, status, 1, detail=detail, **options)


NOTE = Note("", "c")

TOLD = [
    (commit(Kind.SUBMIT, RunStatus.QUEUED, NOTE), Submitted("r", durable=True)),
    (commit(Kind.QUEUE, RunStatus.QUEUED, NOTE), Resumed("r", durable=True)),
    (commit(Kind.PAUSE, RunStatus.PAUSED, NOTE), PauseReceipt("r", "paused", durable=True)),
    (commit(Kind.PAUSE, RunStatus.RUNNING, NOTE, parks=True), PauseReceipt("r", "requested", durable=True)),
    (commit(Kind.REWIND, RunStatus.QUEUED, Rewind(7, b"", "c")), Undone("r", 7, durable=True)),
    (commit(Kind.KEEP, RunStatus.RUNNING, Kept("gate", Approve(), "ann", command_id="c")), None),
]


@pytest.mark.parametrize("record, receipt", TOLD, ids=lambda it: getattr(it, "kind", ""))
def test_a_commit_tells_what_its_command_was_answered(record, receipt):
    """6.5: the same command twice gives the same receipt."""
    other = commit(Kind.QUEUE, RunStatus.QUEUED, Note("", "another"))

    assert receipt == answered("r", [other, record], "c", durable=True)
    assert answered("r", [other, record], "d", durable=True) is None
    assert answered("r", [], "c", durable=True) is None
