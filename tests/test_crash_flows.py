"""A process that is killed in a dataflow at every named point, and what is true afterwards (SEMANTICS 3, 5.7, 7)."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from terzetto.testing import points
from terzetto_protocol.records import Kind, Record

from .lives import KILLED, Forks, Life, World, succeeded

CHILD = Path(__file__).with_name("flows_child.py")
EFFECTS = [
    *["count:0", "count:1", "count:2", "square:0", "square:1", "square:2", "mend:why", "charge:3"],
    *["halve:0", "halve:1", "tell:0", "tell:100", "tell:1", "tell:101"],
]
OUTPUTS = {"told": ["told 0", "told 1", "told 100", "told 101"], "paid": [3], "why": ["ValueError: two is not welcome"]}
RARE = {"submit_durable": [1], "intent_durable": [1], "receipt_sent": [1]}
"""Points that are passed once in the whole run."""
NEVER = ["decision_durable", "mutation_recorded"]
"""Points that only a kill before leads to, or that no dataflow passes."""
INSIDE = [4, 9, 14]
"""Passes of every other point at which values are on their way."""
PASSES = 60
"""More than any point is passed in one run of the child."""


@pytest.fixture
def world(forks: Forks, tmp_path: Path) -> Callable[[object], World]:
    """`world(name)`: a world of its own."""

    def world(name: object) -> World:
        folder = tmp_path / str(name)
        folder.mkdir()
        return World(forks, CHILD, folder)

    return world


def outcome(life: Life) -> dict[str, Any]:
    assert life.code == 0, life.errors
    (result,) = life.all("result")
    assert (result["status"], result["tasks"]) == ("SUCCEEDED", 0)
    return {name: sorted(values) for name, values in result["outputs"].items()}


def test_nobody_is_killed(world):
    """The measure of the others."""
    unkilled = world("unkilled")

    assert outcome(unkilled.start()) == OUTPUTS
    assert sorted(unkilled.places) == sorted(EFFECTS)


def visits_of(lines: list[str]) -> Counter[str]:
    """How often each visit has had its effect; a generator has one for each of its values."""
    return Counter(" ".join(line.split()[:2]) for line in lines)


def check_effects(world: World, before: list[Record], effects: list[str]) -> None:
    """Law 2, 5.7: no visit with a durable commit runs again, and no value makes two visits, or none."""
    ended = {record.visit for record in succeeded(before)}
    now, then = visits_of(world.effects), visits_of(effects)
    for visit in now:
        if int(visit.split()[1]) in ended:
            assert now[visit] == then[visit], visit
    assert world.places.count("charge:3") == 1  # a `once` body ran once, for we looked before we answered
    assert sorted(set(world.places)) == sorted(EFFECTS)
    assert len(now) == len(EFFECTS), "one visit for each value, whatever was killed"
    assert len({line.split()[2] for line in world.effects}) == len(EFFECTS) - 2, "7.2: the same key on every attempt"


def check_events(first: Life, last: Life) -> None:
    """D4, D7: the same id means the same bytes; each value was sent once, and the end comes once and last."""
    after = {event["id"]: event for event in last.all("durable")}
    seen = {event["id"]: event for event in first.all("durable")}
    assert {number: after.get(number) for number in seen} == seen
    assert not {event["id"] for event in first.all("volatile")} & set(after)
    ids = [event["id"] for event in last.all("durable")]
    assert ids == sorted(set(ids))
    types = [event["type"] for event in last.all("durable")]
    assert (types.count("RunEnded"), types[-1]) == (1, "RunEnded")
    sent = [(event["visit"], event["number"]) for event in last.all("durable") if event["type"] == "OutputSent"]
    assert len(sent) == len(set(sent))
    for visit, number in sent:
        assert number == 0 or (visit, number - 1) in sent, "numbers have no hole"


def live_twice(world: World, crash_at: str) -> bool:
    """Kill at this point, look, start again, check; False when the point was not passed so often."""
    first = world.start(crash_at)
    if first.code != KILLED:
        assert first.code == 0, first.errors
        return False
    before, effects = world.records(), world.effects
    last = world.start()
    assert outcome(last) == OUTPUTS
    check_effects(world, before, effects)
    check_events(first, last)
    in_doubt = any(record.kind is Kind.INTENT for record in before) and not any(
        record.place == "charge" for record in succeeded(before)
    )
    asked = [event for event in last.all("durable") if event["type"] == "BarrierOpened"]
    assert bool(asked) == in_doubt, "7.4"
    return True


@pytest.mark.parametrize("point", [point for point in points if point not in NEVER])
def test_a_kill_while_values_are_on_their_way(world, point: str) -> None:
    """7, crash table: nothing that was sent is lost, and nothing goes on twice."""
    for k in RARE.get(point, INSIDE):
        assert live_twice(world(k), f"{point}:{k}")


@pytest.mark.slow
@pytest.mark.parametrize("point", [point for point in points if point not in NEVER])
def test_a_kill_at_every_pass(world, point: str) -> None:
    """7, crash table: the whole of it, at every pass of every point."""
    for k in range(1, PASSES):
        if not live_twice(world(k), f"{point}:{k}"):
            return
    pytest.fail(f"{point} is passed more often than {PASSES} times")


@pytest.mark.parametrize("point", ["commit_applied", "commit_durable", "effect_done"])
def test_two_kills_in_a_row(world, point: str) -> None:
    """2.6: a second death in the middle of what the first one left to do."""
    for k, again in [(5, 3), (9, 5)]:
        twice = world(f"{k}-{again}")
        assert twice.start(f"{point}:{k}").code == KILLED
        second = twice.start(f"{point}:{again}")
        before, effects = twice.records(), twice.effects
        last = twice.start()
        assert outcome(last) == OUTPUTS
        check_effects(twice, before, effects)
        check_events(second, last)
