"""A process that is killed at every named point, and what is true afterwards (SEMANTICS 3 and 7, the crash table)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terzetto.testing import points
from terzetto_protocol.records import Kind, Record

from .lives import KILLED, Forks, Life, World, succeeded

CHILD = Path(__file__).with_name("crash_child.py")
STEPS = ["plan", "fetch", "charge", "notify"]
PASSES = 24
"""More than any point is passed in one run of the child."""


def committed(records: list[Record]) -> set[str]:
    """Places whose visit has a durable, successful commit."""
    return {record.place for record in succeeded(records)}


def check_afterwards(world: World, first: Life, before: list[Record], effects_before: list[str], last: Life) -> None:
    """The crash table, whatever the moment was."""
    assert last.code == 0, last.errors
    assert last.all("result") == [{"status": "SUCCEEDED", "steps": STEPS}]
    for place in committed(before):  # law 2: no visit with a durable commit runs again
        assert world.places.count(place) == effects_before.count(place)
    assert world.places.count("charge") == 1  # a `once` body ran once, for we looked before we answered
    seen = {event["id"]: event for event in first.all("durable")}
    after = {event["id"]: event for event in last.all("durable")}
    assert {number: after.get(number) for number in seen} == seen  # D4: the same id means the same bytes
    ids = [event["id"] for event in last.all("durable")]
    assert ids == sorted(set(ids))
    assert [event["type"] for event in last.all("durable")].count("RunEnded") == 1
    assert last.all("durable")[-1]["type"] == "RunEnded"  # D7
    volatile = {event["id"] for event in first.all("volatile")}
    assert not volatile & set(after)  # ids that were seen for something else are never reused
    check_receipts(world, first)


def check_receipts(world: World, first: Life) -> None:
    """D1, D5: what was acknowledged before the kill is in the log."""
    kinds = [record.kind for record in world.records()]
    for receipt in first.all("receipt"):
        if "submitted" in receipt:
            assert kinds[0] is Kind.SUBMIT
        else:
            assert Kind.DECIDE in kinds


def live_twice(world: World, crash_at: str) -> bool:
    """Kill at this point, look, start again, check; False when the point was not passed so often."""
    first = world.start(crash_at)
    if first.code != KILLED:
        assert first.code == 0, first.errors
        return False
    before, effects_before = world.records(), world.places
    last = world.start()
    check_afterwards(world, first, before, effects_before, last)
    check_unknown(world, before, last)
    return True


def check_unknown(world: World, before: list[Record], last: Life) -> None:
    """A `once` visit with an intent and no commit is UNKNOWN: a person is asked, or the probe is; else nobody is."""
    intended = any(record.kind is Kind.INTENT for record in before)
    in_doubt = intended and "charge" not in committed(before)
    asked = [event for event in last.all("durable") if event["type"] == "BarrierOpened" and event["reconcile"]]
    assert bool(asked) == (in_doubt and not world.probe)


@pytest.fixture
def world(forks: Forks, tmp_path: Path) -> Callable[..., World]:
    """`world(name, probe)`: a world of its own."""

    def world(name: object = "", probe: bool = False) -> World:
        folder = tmp_path / str(name)
        folder.mkdir(exist_ok=True)
        return World(forks, CHILD, folder, probe)

    return world


@pytest.mark.parametrize("probe", [False, True], ids=["person", "probe"])
@pytest.mark.parametrize("point", points)
def test_a_kill_at_the_first_and_third_pass(world, point: str, *, probe: bool) -> None:
    """Crash table: every named point is passed, and the table holds there."""
    assert live_twice(world(1, probe), f"{point}:1")
    live_twice(world(3, probe), f"{point}:3")


@pytest.mark.slow
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_pass(world, point: str) -> None:
    """Crash table: the whole of it, at every pass of every point."""
    for k in range(1, PASSES):
        if not live_twice(world(k), f"{point}:{k}"):
            return
    pytest.fail(f"{point} is passed more often than {PASSES} times")


def test_an_unkilled_run(world) -> None:
    """The measure of the others: every effect once, every event once."""
    whole = world()
    life = whole.start()

    assert life.code == 0, life.errors
    assert whole.places == ["fetch", "charge", "notify"]
    assert life.all("result") == [{"status": "SUCCEEDED", "steps": STEPS}]


def test_points_are_ignored_unless_faults_are_allowed(world, monkeypatch) -> None:
    """`TERZETTO_CRASH_AT` alone does nothing: production is safe from a stray variable."""
    monkeypatch.delenv("TERZETTO_FAULTS", raising=False)
    monkeypatch.setenv("TERZETTO_CRASH_AT", "node_start:1")
    whole = world()

    assert whole.start().code == 0
    assert whole.places == ["fetch", "charge", "notify"]
