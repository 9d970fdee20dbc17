"""The tables of statuses: exactly the moves that are promised, and a page that draws the same tables."""

import importlib.util
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.errors import IllegalTransition
from terzetto_protocol.statuses import (
    BARRIER_MOVES,
    OTHER_NAMES,
    PARKED,
    RUN_MOVES,
    STREAM_END,
    STREAM_MOVES,
    TERMINAL,
    VISIT_MOVES,
    BarrierStatus,
    FailureCode,
    RunStatus,
    StreamStatus,
    VisitStatus,
    check_move,
)

PROMISED_RUN_MOVES = {
    None: "QUEUED",
    "QUEUED": "RUNNING CANCELLED FAILED",
    "RUNNING": "AWAITING_INPUT PAUSED CANCELLING INTERRUPTED SUCCEEDED FAILED",
    "AWAITING_INPUT": "QUEUED RUNNING SUCCEEDED PAUSED CANCELLED FAILED",
    "PAUSED": "QUEUED RUNNING CANCELLED FAILED",
    "CANCELLING": "CANCELLED",
    "INTERRUPTED": "QUEUED RUNNING AWAITING_INPUT CANCELLED FAILED",
    "SUCCEEDED": "",
    "FAILED": "",
    "CANCELLED": "",
}
PROMISED_VISIT_MOVES = {
    None: "PENDING",
    "PENDING": "RUNNING AWAITING_INPUT WAITING_RETRY SUCCEEDED FAILED CANCELLED SKIPPED",
    "RUNNING": "SUCCEEDED FAILED CANCELLED UNKNOWN WAITING_RETRY RUNNING",
    "AWAITING_INPUT": "SUCCEEDED FAILED CANCELLED",
    "WAITING_RETRY": "PENDING SUCCEEDED CANCELLED FAILED",
    "UNKNOWN": "SUCCEEDED PENDING FAILED CANCELLED",
    "SUCCEEDED": "",
    "FAILED": "",
    "CANCELLED": "",
    "SKIPPED": "",
}
PROMISED_BARRIER_MOVES = {None: "OPEN", "OPEN": "RESOLVED DROPPED", "RESOLVED": "", "DROPPED": ""}
PROMISED_STREAM_MOVES = {
    None: "ACTIVE",
    "ACTIVE": "ENDED CANCELLED ERRORED CLOSED",
    "ENDED": "",
    "CANCELLED": "",
    "ERRORED": "",
    "CLOSED": "",
}
MACHINES = [
    pytest.param(RunStatus, RUN_MOVES, PROMISED_RUN_MOVES, id="run"),
    pytest.param(VisitStatus, VISIT_MOVES, PROMISED_VISIT_MOVES, id="visit"),
    pytest.param(BarrierStatus, BARRIER_MOVES, PROMISED_BARRIER_MOVES, id="barrier"),
    pytest.param(StreamStatus, STREAM_MOVES, PROMISED_STREAM_MOVES, id="stream"),
]


@pytest.mark.parametrize("statuses, moves, promised", MACHINES)
def test_every_pair_of_statuses_is_in_the_table_or_is_not(statuses, moves, promised):
    """2: the tables of statuses, pair by pair; nothing else is a move."""
    allowed = {(source, target) for source, targets in promised.items() for target in targets.split()}

    for source, target in product([None, *statuses], statuses):
        name = None if source is None else source.value
        assert (target in moves[source]) == ((name, target.value) in allowed), (source, target)


@pytest.mark.parametrize("statuses, moves, promised", MACHINES)
def test_every_status_is_reached_and_has_a_row(statuses, moves, promised):
    """2: there are no other statuses than those a machine can be in."""
    reached = [None]
    for source in reached:
        reached += [target for target in sorted(moves[source]) if target not in reached]

    assert set(moves) == {None, *statuses} == set(reached)


@given(st.sampled_from([None, *RunStatus]), st.sampled_from(RunStatus))
def test_check_move_refuses_what_is_not_in_the_table(source, target):
    """2: anything else raises `IllegalTransition`; a status that nothing follows is immutable, staying included."""
    stays = source is target and source not in TERMINAL

    if stays or target in RUN_MOVES[source]:
        check_move("r-1", source, target)
    else:
        with pytest.raises(IllegalTransition, match="run 'r-1'") as caught:
            check_move("r-1", source, target, "somebody else was first")
        assert (caught.value.machine, caught.value.source, caught.value.target) == ("run", source, target)
        assert "somebody else was first" in str(caught.value)


def test_terminal_statuses_are_those_that_nothing_follows():
    """2: SUCCEEDED, FAILED and CANCELLED are terminal and immutable."""
    assert {status for status, targets in RUN_MOVES.items() if not targets} == TERMINAL
    assert {status.value for status in TERMINAL} == {"SUCCEEDED", "FAILED", "CANCELLED"}


def test_cancelling_leads_to_cancelled_only():
    """2: CANCELLING -> CANCELLED only, also after a crash."""
    assert set(RUN_MOVES[RunStatus.CANCELLING]) == {RunStatus.CANCELLED}


def test_parked_runs_can_go_on_and_be_cancelled():
    """6.6: a parked run holds no slot, so it comes back through the queue or a claim, or ends."""
    for status in PARKED:
        assert {RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.CANCELLED} <= RUN_MOVES[status]


def test_every_end_of_a_run_ends_its_stream_in_its_own_way():
    """8.3: exactly one terminal event (end, cancel, error) per run."""
    assert set(STREAM_END) == TERMINAL
    assert len(set(STREAM_END.values())) == len(TERMINAL)
    assert set(STREAM_END.values()) <= STREAM_MOVES[StreamStatus.ACTIVE]


def test_failure_codes_are_the_promised_ones():
    """2: why a run FAILED is a code."""
    assert [code.value for code in FailureCode] == [
        "node_error",
        "barrier_timeout",
        "deadline_exceeded",
        "queue_timeout",
        "budget_exceeded",
        "moderation_rejected",
        "steps_exceeded",
        "unrouted",
        "recovery_exhausted",
        "store_rejected",
        "stuck_node",
    ]


def test_names_of_other_systems_are_none_of_ours():
    """2: names of other systems map onto these in one table, and no name means two things."""
    assert {name: status.value for name, status in OTHER_NAMES.items()} == {
        "PENDING": "QUEUED",
        "COMPLETED": "SUCCEEDED",
        "TERMINATED": "CANCELLED",
        "INCOMPLETE": "INTERRUPTED",
        "REVIEW": "AWAITING_INPUT",
    }
    assert not set(OTHER_NAMES) & {status.value for status in RunStatus}


@pytest.mark.parametrize("status", [*RunStatus, *VisitStatus, *BarrierStatus, *StreamStatus])
def test_a_status_is_its_name(status):
    assert status == status.name == status.value
    assert hash(status) == hash(status.name)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / "docs" / "draw_statuses.py"
    spec = importlib.util.spec_from_file_location("draw_statuses", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_drawn_from_the_tables(script):
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), "run python docs/draw_statuses.py"
    assert script.main(["--check"]) == 0


def test_a_stale_page_is_noticed(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script, "PAGE", tmp_path / "statuses.md")
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0

    page = tmp_path / "statuses.md"
    page.write_text(page.read_text().replace("    [*] --> QUEUED\n", ""))

    assert script.main(["--check"]) == 1
    assert "statuses.md is stale" in capsys.readouterr().err


def test_the_page_has_every_move_and_every_name(script):
    page = script.page()

    for moves in (RUN_MOVES, VISIT_MOVES, BARRIER_MOVES, STREAM_MOVES):
        for source, targets in moves.items():
            for target in targets:
                assert f"    {'[*]' if source is None else source} --> {target}\n" in page
    for name in (*OTHER_NAMES, *(code.value for code in FailureCode)):
        assert name in page
