"""`terzetto_protocol.threads`: who is in line, who may join it, and what may be taken back (SEMANTICS 1, 9.2, 10.3)."""

import re

import msgspec
import pytest

from terzetto_protocol.errors import InvalidRequest, QueueFull, Refused, ThreadBusy
from terzetto_protocol.limits import THREAD_QUEUE
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.threads import UNDER_WAY, check_joins, check_last, check_same_state, in_line, place_in


def row(run_id: str, line: int = 0, status: RunStatus = RunStatus.QUEUED) -> RunRow:
    header = RunHeader(run_id, "talk", "1", "", "", 0.0, thread="t", line=line, state_schema="s")
    return RunRow(header, status, 0, 1, 1, 0.0)


def test_a_line_is_in_order_of_submission_and_has_no_ends():
    rows = [row("a", 2), row("z", 0, RunStatus.AWAITING_INPUT), row("b", 1), *(row(end, 9, end) for end in TERMINAL)]

    assert ["z", "b", "a"] == [one.run_id for one in in_line(rows)]
    assert set(UNDER_WAY) | TERMINAL == set(RunStatus)


@pytest.mark.parametrize("busy", ["reject", "enqueue", "interrupt", "rollback"])
def test_a_free_thread_takes_everybody_at_once(busy):
    assert 0 == place_in([], "t", busy)


def test_a_busy_thread_names_who_keeps_it_busy():
    line = [row("a", 0, RunStatus.PAUSED), row("b", 1)]

    with pytest.raises(ThreadBusy, match="run 'a': thread 't' is busy with it \\(PAUSED\\)") as caught:
        place_in(line, "t", "reject")
    assert ("a", "t", "PAUSED") == (caught.value.run_id, caught.value.thread, caught.value.status)


@pytest.mark.parametrize("busy", ["enqueue", "interrupt", "rollback"])
def test_the_others_stand_behind_the_last(busy):
    """Also where places between have become free."""
    assert 6 == place_in([row("a", 2), row("b", 5)], "t", busy)


def test_a_full_line_takes_nobody_more():
    """10.3: overload is a typed `QueueFull` with retry-after; who takes the place of all needs no room."""
    line = [row(f"r{number}", number) for number in range(THREAD_QUEUE + 1)]

    assert THREAD_QUEUE == place_in(line[:-1], "t", "enqueue")
    with pytest.raises(QueueFull, match="on thread 't'") as caught:
        place_in(line, "t", "enqueue")
    assert (THREAD_QUEUE, "t") == (caught.value.waiting, caught.value.thread)
    assert caught.value.retry_after > 0
    assert THREAD_QUEUE + 1 == place_in(line, "t", "interrupt")


def test_states_of_another_type_do_not_fit():
    mine, theirs = row("mine").header, row("theirs").header
    other = msgspec.structs.replace(theirs, graph="poll", version="2", state_schema="other")

    check_same_state(mine, theirs)
    with pytest.raises(Refused, match="graph 'talk' '1' has another type of state than graph 'poll' '2', with whose"):
        check_same_state(mine, other)


@pytest.mark.parametrize(
    "head, line, said",
    [
        ("b", [], "run 'a': run 'b' is the head of thread 't' now: only its head can be rolled back"),
        ("", [], "run 'a': thread 't' has no head now"),
        ("a", [row("c", 3), row("d", 4)], "run 'a': run 'c' is under way on thread 't' and builds on it"),
    ],
)
def test_only_what_nothing_builds_on_is_taken_back(head, line, said):
    """9.2: or refuses, naming who is in the way."""
    check_last(row("a", status=RunStatus.SUCCEEDED), "a", [])
    with pytest.raises(Refused, match=said):
        check_last(row("a", status=RunStatus.SUCCEEDED), head, line)


@pytest.mark.parametrize(
    "asked, why",
    [
        ((None, "enqueue", "keep"), "busy='enqueue' says what happens while a thread is busy, and none is given"),
        ((None, "wait", "keep"), "busy: 'wait' is none of reject, enqueue"),
        ((None, "reject", "forget"), "on_completion: 'forget' is none of keep, delete"),
        (("t", "reject", "delete"), 'on_completion="delete": the next run on a thread'),
        (("a thread", "reject", "keep"), "'a thread' is not a thread id"),
    ],
)
def test_what_cannot_be_asked_of_a_thread(asked, why):
    with pytest.raises(InvalidRequest, match=re.escape(why)):
        check_joins(*asked)


def test_what_a_run_goes_on_from():
    """10.2: the same input on another thread is another run."""
    joins = [check_joins(thread, "reject", "keep") for thread in (None, "t", "u")]

    assert ["", "thread:t", "thread:u"] == joins
