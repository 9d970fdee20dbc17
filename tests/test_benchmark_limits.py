"""Limits: raw loops that take turns beside the contests, with nothing of ours, and are shown where a goal is missed."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
import trio
from benchmarks import limits
from benchmarks.__main__ import all_contests
from benchmarks._contest import Bar, Contest, Limit, Opponent, Turn, rows_of
from benchmarks._plot import picture
from benchmarks._rounds import play
from benchmarks._setting import Peer, Setting, Way
from benchmarks._sizes import QUICK
from benchmarks._table import json_lines, markdown, summary, table
from benchmarks.limits import _disk

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
KINDS = ["ahead", "cancel", "chain", "durable", "fan", "first_run", "large", "many", "memory", "resume", "stream"]
TARGETS = [
    ("G1", "chain", "raw Trio", ">=", 1.0),
    ("G1", "chain", "LangGraph", ">=", 50),
    ("G1", "chain", "the fastest peer", ">=", 2.5),
    ("G2", "memory", "raw Trio", ">=", 0.8),
    ("G2", "memory", "LangGraph", ">=", 50),
    ("G3a", "ahead", "raw Trio", ">=", 0.3),
    ("G3a", "ahead", "raw apsw", ">=", 0.9),
    ("G3a", "ahead", "LangGraph", ">=", 60),
    ("G3b", "durable", "raw apsw", ">=", 0.5),
    ("G3b", "durable", "LangGraph", ">=", 3.5),
    ("G3c", "durable_100", "raw apsw", ">=", 8),
    ("G3d", "large", "LangGraph", ">=", 60),
    ("G3d", "large_bytes", "the limit", "<=", 1.0),
    ("G3e", "history", "the deltas", "<=", 1.3),
    ("G3e", "history_half", "half of it", "<=", 2.6),
    ("G4", "fan", "raw nursery", ">=", 0.65),
    ("G4", "fan", "LangGraph", ">=", 12),
    ("G4", "fan_def", "raw nursery", ">=", 2.5),
    ("G5a", "many", "raw Trio", ">=", 0.45),
    ("G5a", "many", "LangGraph", ">=", 60),
    ("G5a", "many_more", "raw Trio", ">=", 0.45),
    ("G5a", "many_more", "a few of ours", ">=", 0.65),
    ("G5b", "parked_memory", "the limit", "<=", 1.0),
    ("G5b", "parked_sqlite", "the limit", "<=", 1.0),
    ("G5b", "parked_all", "the limit", "<=", 1.0),
    ("G5b", "live", "the limit", "<=", 1.0),
    ("G5c", "resume", "raw wake-up", "<=", 4),
    ("G5c", "resume_end", "LangGraph", "<=", 1 / 20),
    ("G6a", "stream", "raw Trio", ">=", 4),
    ("G6a", "stream", "LangGraph", ">=", 3),
    ("G6b", "stream_each", "raw channels", ">=", 15),
    ("G6b", "stream_batches", "raw channels", ">=", 100),
    ("G6b", "stream_ring", "the limit", "<=", 1.25),
    ("G6b", "stream_slow", "without it", ">=", 0.9),
    ("G7", "cancel", "raw Trio", "<=", 1.5),
    ("G7", "cancel", "LangGraph", "<=", 0.6),
    ("G7", "cancel_scope", "raw Trio", "<=", 1.5),
    ("G7", "cancel_scope", "LangGraph", "<=", 0.6),
    ("G8", "first_run", "import trio, msgspec", "<=", 1.3),
    ("G8", "first_run", "LangGraph", "<=", 0.25),
    ("G8", "lazy", "one of them", "<=", 0),
    ("G9", "task", "raw mailbox", ">=", 1.0),
    ("W1", "console_echo", "bare trio-websocket", ">=", 0.6),
    ("W2", "console_watch", "a frame for each", ">=", 6),
    ("W3", "console_memory", "bare trio-websocket", "<=", 3),
    ("W4", "console_resume", "a frame for each", "<=", 1),
    ("", "faults_chain", "without", ">=", 0.98),
    ("", "faults_memory", "without", ">=", 0.98),
]
"""What is promised, in full: with peers each line is a row."""
LIMITED = [
    *("chain", "memory", "ahead", "durable", "durable_100", "large", "history", "fan", "fan_def", "many", "many_more"),
    *("parked_memory", "parked_all", "live", "resume", "resume_end", "stream", "stream_each", "stream_batches"),
    *("cancel", "cancel_scope", "first_run", "task", "console_watch", "console_resume"),
]


def bars() -> list[tuple[str, str, str, str, float]]:
    peer = Peer("LangGraph", "1", {kind: Way(lambda setting: 1.0, "") for kind in KINDS})
    contests = all_contests(Setting(QUICK, peers=(peer,)))
    rows = [row for c in contests for row in rows_of(c, [Turn(1.0, {o.name: 1.0 for o in c.opponents})])]
    signs = {"more": ">=", "less": "<="}
    return [(r.goal, r.name, r.opponent, signs[r.better], r.target) for r in rows if r.target is not None]


def test_with_peers_every_promise_has_its_row():
    assert sorted(bars()) == sorted(TARGETS)


def test_goals_that_may_be_out_of_reach_have_a_limit():
    found = {contest.name: contest.limit for contest in all_contests(Setting(QUICK)) if contest.limit is not None}

    assert set(found) == set(LIMITED)
    assert all(limit.how for limit in found.values())


def test_the_limits_have_nothing_of_ours():
    folder = Path(limits.__file__).parent
    modules = [f"benchmarks.limits.{path.stem}" for path in folder.glob("_*.py") if path.stem != "__init__"]
    program = f"import sys, {', '.join(modules)}; print([n for n in sys.modules if n.startswith('terzetto')])"

    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, env=os.environ, check=True)

    assert said.stdout == b"[]\n"
    assert len(modules) >= 10


def contest_of(opponent: Opponent, **options) -> Contest:
    return Contest("work", "some work", "steps/s", lambda: 6.0, [opponent], goal="G1", **options)


def raw(bar: Bar | None) -> Opponent:
    return Opponent("raw", lambda: 8.0, "", bar)


def one_row(contest: Contest, *turns: Turn):
    (row,) = rows_of(contest, turns or [Turn(6.0, {"raw": 8.0}, 12.0)])
    return row


def test_a_missed_target_stays_missed_and_has_its_limit_beside_it():
    limit = Limit(lambda: 12.0, "a raw loop")

    row = one_row(contest_of(raw(Bar(2.0)), limit=limit))

    assert (row.met, row.limit_shown, row.limit_meets) == (False, True, False)
    assert (row.limit, row.limit_ratio, row.of_limit, row.limit_how) == (12.0, 1.5, 0.5, "a raw loop")
    assert one_row(contest_of(raw(Bar(1.5)), limit=limit)).limit_meets


def test_where_less_is_better_the_limit_is_below():
    contest = contest_of(raw(Bar(0.5)), limit=Limit(lambda: 3.0, ""), better="less")

    row = one_row(contest, Turn(6.0, {"raw": 8.0}, 3.0))

    assert (row.met, row.limit_ratio, row.limit_meets, row.of_limit) == (False, 0.375, True, 0.5)


def test_a_limit_is_measured_turn_by_turn():
    contest = contest_of(raw(Bar(9.0)), limit=Limit(lambda: 0.0, ""))
    turns = [Turn(1.0, {"raw": 1.0}, 4.0), Turn(8.0, {"raw": 2.0}, 16.0), Turn(30.0, {"raw": 15.0}, 30.0)]

    row = one_row(contest, *turns)

    assert (row.limit, row.limit_ratio, row.of_limit) == (16.0, 4.0, 0.5)


def test_a_met_target_shows_no_limit_and_tells_it_to_programs():
    row = one_row(contest_of(raw(Bar(0.5)), limit=Limit(lambda: 12.0, "")))

    assert (row.met, row.limit_shown, row.limit) == (True, False, 12.0)
    assert table([row]).splitlines()[1].endswith("yes")
    assert msgspec.json.decode(json_lines([row]))["of_limit"] == 0.5


def test_a_limit_may_say_something_beside_one_opponent_alone():
    limit = Limit(lambda: 12.0, "", beside="raw")
    contest = Contest("work", "", "", lambda: 6.0, [raw(Bar(2.0)), Opponent("others", lambda: 1.0, "")], limit=limit)

    beside, without = rows_of(contest, [Turn(6.0, {"raw": 8.0, "others": 1.0}, 12.0)])

    assert (beside.limit, without.limit, without.limit_ratio, without.limit_shown) == (12.0, None, None, False)


def test_a_contest_without_a_limit_is_as_before():
    row = one_row(contest_of(raw(Bar(2.0))), Turn(6.0, {"raw": 8.0}))

    assert (row.met, row.limit, row.of_limit, row.limit_ratio, row.limit_meets) == (False, None, None, None, None)
    assert not row.limit_shown


def test_the_limit_takes_its_turn_beside_ours():
    order = []

    def doing(name: str):
        return lambda: float(not order.append(name))

    limit = Limit(doing("limit"), "")
    contest = Contest("work", "", "", doing("ours"), [Opponent("raw", doing("raw"), "")], limit=limit)

    play([contest], 2, lambda text: None)

    assert order[3:] == ["ours", "limit", "raw", "raw", "limit", "ours"]


def missed_and_met():
    limit = Limit(lambda: 12.0, "a raw loop")
    missed = one_row(contest_of(raw(Bar(2.0)), limit=limit))
    near = one_row(contest_of(raw(Bar(1.0)), limit=limit))
    return [missed, near, one_row(contest_of(raw(Bar(0.5))), Turn(6.0, {"raw": 8.0}))]


def test_the_table_shows_the_limit_of_what_is_missed():
    rows = missed_and_met()

    head, missed, near, met, *_ = table(rows).splitlines()
    assert head.split()[-4:] == ["met", "limit", "of", "it"]
    assert missed.split()[-5:] == ["no", "1.5", "(missed", "too)", "50%"]
    assert near.split()[-3:] == ["no", "1.5", "50%"]
    assert met.split()[-1] == "yes"
    assert table(rows).endswith("    limit (12 steps/s): a raw loop")
    assert summary(rows) == (
        "1 of 3 targets are met. Of the other 2, 2 have their limit shown; 1 of these limits do not reach the target "
        "either."
    )
    assert summary(rows[2:]) == "1 of 1 targets are met."


def test_the_picture_has_a_ring_where_a_limit_is_shown():
    drawn = ET.fromstring(picture(missed_and_met()))

    rings = [float(ring.get("cx")) for ring in drawn.iter("{http://www.w3.org/2000/svg}circle")]
    texts = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    axis = float(next(x for x in drawn.iter("{http://www.w3.org/2000/svg}text") if x.text == "target").get("x"))
    assert rings[0] < axis < rings[1]
    assert [text for text in texts if "limit 1.5" in text] == [
        "0.75 (>= 2, not met; limit 1.5 (missed too))",
        "0.75 (>= 1, not met; limit 1.5)",
    ]


def test_the_page_has_a_place_for_the_figures_and_a_word_on_every_goal_with_a_limit():
    page = PAGE.read_text(encoding="utf-8")
    limited = {contest.goal for contest in all_contests(Setting(QUICK)) if contest.limit is not None}

    assert "\n".join(markdown([]).splitlines()[:2]) in page
    told = page.split("## How far anybody could come")[1].split("\n## ")[0]
    assert {goal for goal in limited if f"**{goal}" in told} == limited


def test_a_thread_that_cannot_write_ends_the_loop(tmp_path):
    async def store() -> None:
        disk = _disk.Disk(tmp_path / "raw.db", ["run"])
        try:
            disk.store([_disk.row_of("another", [(1, b"body", 0.0)])], lambda: None)
            with trio.fail_after(10):
                await trio.sleep_forever()
        finally:
            disk.close()

    with pytest.raises(trio.TrioInternalError) as caught:
        trio.run(store)
    error: BaseException | None = caught.value.__cause__
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert "somebody else owns the run now" in str(error)
