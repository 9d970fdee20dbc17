"""A process that is killed inside a fan-out at every named point, and what is true afterwards (SEMANTICS 3, 5.5, 7)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from terzetto.testing import points
from terzetto_protocol.records import Kind, Record

from .lives import KILLED, Forks, Life, World, succeeded

CHILD = Path(__file__).with_name("branches_child.py")
STEPS = [f"{step} {item}" for item in "abc" for step in ("fetch", "keep")]
STEPS += ["draw", "paint", "charge", "notify", "close"]
EFFECTS = [f"fan/each/each/{number}/{step}" for number in range(3) for step in ("fetch", "keep")]
EFFECTS += ["fan/below/below/draw", "fan/below/below/paint", "fan/charge/charge", "fan/sign-off/notify", "/close"]
CHARGE = "fan/charge/charge"
RARE = {"submit_durable": [1], "intent_durable": [1], "decision_durable": [1], "receipt_sent": [1, 2]}
"""Points that are passed once or twice in the whole run."""
INSIDE = [4, 10]
"""Passes of every other point at which branches live."""
PASSES = 40
"""More than any point is passed in one run of the child."""


@pytest.fixture(scope="module")
def unkilled(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The final state, encoded, of a run that nobody killed: the measure of the others."""
    world = World(forks, CHILD, tmp_path_factory.mktemp("unkilled"))
    life = world.start()
    assert life.code == 0, life.errors
    assert sorted(world.places) == sorted(EFFECTS)
    (result,) = life.all("result")
    assert (result["status"], result["steps"]) == ("SUCCEEDED", STEPS)
    return result["state"]


@pytest.fixture
def world(forks: Forks, tmp_path: Path) -> Callable[..., World]:
    """`world(name, probe)`: a world of its own."""

    def world(name: object, probe: bool = False) -> World:
        folder = tmp_path / str(name)
        folder.mkdir()
        return World(forks, CHILD, folder, probe)

    return world


def finished(records: list[Record]) -> set[str]:
    """Places whose visit has a durable, successful commit, with their paths."""
    return {f"{record.path}/{record.place}" for record in succeeded(records)}


def check_afterwards(world: World, first: Life, before: list[Record], effects: list[str], last: Life) -> None:
    """What has to be true, whatever the moment was."""
    places = world.places
    for place in finished(before):  # law 2: no visit with a durable commit runs again
        assert places.count(place) == effects.count(place), place
    assert places.count(CHARGE) == 1  # a `once` body ran once, for we looked before we answered
    assert sorted(set(places)) == sorted(EFFECTS)
    assert len(set(world.effects)) == len(EFFECTS)  # 7.2: the same visit and key on every attempt
    check_events(first, last)


def check_events(first: Life, last: Life) -> None:
    """D4, D7: the same id means the same bytes, ids are never reused, the end comes once and last."""
    after = {event["id"]: event for event in last.all("durable")}
    seen = {event["id"]: event for event in first.all("durable")}
    assert {number: after.get(number) for number in seen} == seen
    assert not {event["id"] for event in first.all("volatile")} & set(after)
    ids = [event["id"] for event in last.all("durable")]
    assert ids == sorted(set(ids))
    types = [event["type"] for event in last.all("durable")]
    assert (types.count("RunEnded"), types[-1]) == (1, "RunEnded")
    ended = [event["node"] for event in last.all("durable") if event["type"] == "NodeFinished"]
    assert len(ended) == len(set(ended))  # nothing that has finished finishes again


def check_unknown(world: World, before: list[Record], last: Life) -> None:
    """7.4: a person is asked where an intent has no commit and there is no probe; and nowhere else."""
    in_doubt = any(record.kind is Kind.INTENT for record in before) and CHARGE not in finished(before)
    asked = [event for event in last.all("durable") if event["type"] == "BarrierOpened" and event["reconcile"]]
    assert bool(asked) == (in_doubt and not world.probe)
    assert all(event["barrier"].startswith(f"{CHARGE}@") for event in asked)


def live_twice(world: World, crash_at: str, expected: str) -> bool:
    """Kill at this point, look, start again, check; False when the point was not passed so often."""
    first = world.start(crash_at)
    if first.code != KILLED:
        assert first.code == 0, first.errors
        return False
    before, effects = world.records(), world.places
    last = world.start()
    assert last.code == 0, last.errors
    (result,) = last.all("result")
    assert (result["steps"], result["state"]) == (STEPS, expected)
    check_afterwards(world, first, before, effects, last)
    check_unknown(world, before, last)
    return True


@pytest.mark.parametrize("probe", [False, True], ids=["person", "probe"])
@pytest.mark.parametrize("point", points)
def test_a_kill_while_branches_live(world, unkilled: str, point: str, *, probe: bool) -> None:
    """7, crash table: inside a fan-out too; the final state is that of a run that nobody killed, byte for byte."""
    for k in RARE.get(point, INSIDE):
        assert live_twice(world(k, probe), f"{point}:{k}", unkilled)


@pytest.mark.slow
@pytest.mark.parametrize("probe", [False, True], ids=["person", "probe"])
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_pass(world, unkilled: str, point: str, *, probe: bool) -> None:
    """7, crash table: the whole of it, at every pass of every point."""
    for k in range(1, PASSES):
        if not live_twice(world(k, probe), f"{point}:{k}", unkilled):
            return
    pytest.fail(f"{point} is passed more often than {PASSES} times")


@pytest.mark.slow
@pytest.mark.parametrize("point", sorted(set(points) - set(RARE)))
def test_two_kills_in_a_row(world, unkilled: str, point: str) -> None:
    """2.6, 5.5: a second death inside the same fan-out, later or in the middle of what the first one left to do."""
    for k, again in [(3, 2), (6, 2), (6, 4)]:
        twice = world(f"{k}-{again}")
        assert twice.start(f"{point}:{k}").code == KILLED
        assert twice.start(f"{point}:{again}").code == KILLED
        before, effects = twice.records(), twice.places
        last = twice.start()
        assert last.code == 0, last.errors
        assert last.all("result")[0]["state"] == unkilled
        for place in finished(before):
            assert twice.places.count(place) == effects.count(place), place
        assert twice.places.count(CHARGE) == 1
