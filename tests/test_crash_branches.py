"""A process that is killed inside a fan-out at every named point, and what is true afterwards (SEMANTICS 3, 5.5, 7)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from terzetto.stores import open_store
from terzetto.testing import points
from terzetto_protocol.fold import read_record
from terzetto_protocol.records import Kind, Record
from terzetto_protocol.statuses import VisitStatus

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


@attrs.define
class World:
    """One store, one outside world, and what every process that worked on them said."""

    folder: Path
    probe: bool = False

    @property
    def oracle(self) -> list[str]:
        """Effects, as `path/node visit key`."""
        file = self.folder / "oracle"
        return file.read_text().splitlines() if file.exists() else []

    def start(self, crash_at: str | None = None) -> "Life":
        environ = dict(os.environ)
        if crash_at:
            environ |= {"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": crash_at}
        command = [sys.executable, str(CHILD), str(self.folder / "runs.db"), str(self.folder / "oracle")]
        done = subprocess.run(
            [*command, *(["probe"] if self.probe else [])],
            env=environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        said = [line.split(" ", 1) for line in done.stdout.splitlines() if line.endswith(("}", "]"))]
        return Life(done.returncode, [(kind, json.loads(text)) for kind, text in said], done.stderr)

    def records(self) -> list[Record]:
        async def read() -> list[Record]:
            async with open_store(f"sqlite:{self.folder / 'runs.db'}", guest=True) as store:
                return [read_record(body) for body in await store.records("r-1")]

        return trio.run(read) if (self.folder / "runs.db").exists() else []


@attrs.frozen
class Life:
    """What one process did."""

    code: int
    said: list[tuple[str, Any]]
    errors: str

    def all(self, kind: str) -> list[Any]:
        return [what for said, what in self.said if said == kind]


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The final state, encoded, of a run that nobody killed: the measure of the others."""
    world = World(tmp_path_factory.mktemp("unkilled"))
    life = world.start()
    assert life.code == 0, life.errors
    assert sorted(line.split()[0] for line in world.oracle) == sorted(EFFECTS)
    (result,) = life.all("result")
    assert (result["status"], result["steps"]) == ("SUCCEEDED", STEPS)
    return result["state"]


def places_of(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines]


def finished(records: list[Record]) -> set[str]:
    """Places whose visit has a durable, successful commit, with their paths."""
    done = [record for record in records if record.kind is Kind.VISIT and record.outcome is VisitStatus.SUCCEEDED]
    return {f"{record.path}/{record.place}" for record in done}


def check_afterwards(world: World, first: Life, before: list[Record], effects: list[str], last: Life) -> None:
    """What has to be true, whatever the moment was."""
    oracle = places_of(world.oracle)
    for place in finished(before):  # law 2: no visit with a durable commit runs again
        assert oracle.count(place) == effects.count(place), place
    assert oracle.count(CHARGE) == 1  # a `once` body ran once, for we looked before we answered
    assert sorted(set(oracle)) == sorted(EFFECTS)
    assert len(set(world.oracle)) == len(EFFECTS)  # 7.2: the same visit and key on every attempt
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
    world.folder.mkdir()
    first = world.start(crash_at)
    if first.code != -9:
        assert first.code == 0, first.errors
        return False
    before, effects = world.records(), places_of(world.oracle)
    last = world.start()
    assert last.code == 0, last.errors
    (result,) = last.all("result")
    assert (result["steps"], result["state"]) == (STEPS, expected)
    check_afterwards(world, first, before, effects, last)
    check_unknown(world, before, last)
    return True


@pytest.mark.parametrize("probe", [False, True], ids=["person", "probe"])
@pytest.mark.parametrize("point", points)
def test_a_kill_while_branches_live(tmp_path: Path, unkilled: str, point: str, *, probe: bool) -> None:
    """7, crash table: inside a fan-out too; the final state is that of a run that nobody killed, byte for byte."""
    for k in RARE.get(point, INSIDE):
        assert live_twice(World(tmp_path / str(k), probe), f"{point}:{k}", unkilled)


@pytest.mark.slow
@pytest.mark.parametrize("probe", [False, True], ids=["person", "probe"])
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_pass(tmp_path: Path, unkilled: str, point: str, *, probe: bool) -> None:
    """7, crash table: the whole of it, at every pass of every point."""
    for k in range(1, PASSES):
        if not live_twice(World(tmp_path / str(k), probe), f"{point}:{k}", unkilled):
            return
    pytest.fail(f"{point} is passed more often than {PASSES} times")


@pytest.mark.slow
@pytest.mark.parametrize("point", sorted(set(points) - set(RARE)))
def test_two_kills_in_a_row(tmp_path: Path, unkilled: str, point: str) -> None:
    """2.6, 5.5: a second death inside the same fan-out, later or in the middle of what the first one left to do."""
    for k, again in [(3, 2), (6, 2), (6, 4)]:
        world = World(tmp_path / f"{k}-{again}")
        world.folder.mkdir()
        assert world.start(f"{point}:{k}").code == -9
        assert world.start(f"{point}:{again}").code == -9
        before, effects = world.records(), places_of(world.oracle)
        last = world.start()
        assert last.code == 0, last.errors
        assert last.all("result")[0]["state"] == unkilled
        for place in finished(before):
            assert places_of(world.oracle).count(place) == effects.count(place), place
        assert places_of(world.oracle).count(CHARGE) == 1
