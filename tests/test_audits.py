"""A line of the audit log is one line of JSON, whatever a client says."""

import json

from hypothesis import given, strategies as st

from terzetto_protocol.audits import AuditLine
from terzetto_protocol.limits import ID_LENGTH


def test_a_line_says_who_commanded_what_and_what_became_of_it():
    line = AuditLine("ann", "page", 3, "decide", "r-1", "c-1", "decision_taken")

    assert {
        "who": "ann", "client": "page", "request": 3, "command": "decide",
        "run": "r-1", "command_id": "c-1", "outcome": "decision_taken",
    } == json.loads(line.text())  # fmt: skip


@given(st.text(max_size=300).map(lambda text: text * 2))
def test_what_comes_from_outside_stays_in_one_line(text):
    line = AuditLine("ann", text, None, text, text, text, "failed: malformed").text()

    assert line.isprintable() or not text.isprintable()
    assert 1 == len(line.encode().splitlines())
    assert all(len(json.loads(line)[name]) < ID_LENGTH + 30 for name in ("client", "run", "command_id", "command"))
