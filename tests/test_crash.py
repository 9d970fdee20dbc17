"""A process that is killed at every named point, and what is true afterwards (SEMANTICS 3 and 7, the crash table)."""

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

CHILD = Path(__file__).with_name("crash_child.py")
STEPS = ["plan", "fetch", "charge", "notify"]
PASSES = 24
"""More than any point is passed in one run of the child."""


@attrs.define
class World:
    """One store, one outside world, and what every process that worked on them said."""

    folder: Path
    probe: bool = False

    @property
    def oracle(self) -> list[str]:
        file = self.folder / "oracle"
        return [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []

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

    @property
    def killed(self) -> bool:
        return self.code == -9


def committed(records: list[Record]) -> set[str]:
    """Places whose visit has a durable, successful commit."""
    return {r.place for r in records if r.kind is Kind.VISIT and r.outcome is VisitStatus.SUCCEEDED}


def check_afterwards(world: World, first: Life, before: list[Record], effects_before: list[str], last: Life) -> None:
    """The crash table, whatever the moment was."""
    assert last.code == 0, last.errors
    assert last.all("result") == [{"status": "SUCCEEDED", "steps": STEPS}]
    for place in committed(before):  # law 2: no visit with a durable commit runs again
        assert world.oracle.count(place) == effects_before.count(place)
    assert world.oracle.count("charge") == 1  # a `once` body ran once, for we looked before we answered
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
    if not first.killed:
        assert first.code == 0, first.errors
        return False
    before, effects_before = world.records(), world.oracle
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


@pytest.mark.parametrize("probe", [False, True], ids=["person", "probe"])
@pytest.mark.parametrize("point", points)
def test_a_kill_at_the_first_and_third_pass(tmp_path: Path, point: str, *, probe: bool) -> None:
    """Crash table: every named point is passed, and the table holds there."""
    (tmp_path / "1").mkdir()
    assert live_twice(World(tmp_path / "1", probe), f"{point}:1")
    (tmp_path / "3").mkdir()
    live_twice(World(tmp_path / "3", probe), f"{point}:3")


@pytest.mark.slow
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_pass(tmp_path: Path, point: str) -> None:
    """Crash table: the whole of it, at every pass of every point."""
    for k in range(1, PASSES):
        folder = tmp_path / str(k)
        folder.mkdir()
        if not live_twice(World(folder), f"{point}:{k}"):
            return
    pytest.fail(f"{point} is passed more often than {PASSES} times")


def test_an_unkilled_run(tmp_path: Path) -> None:
    """The measure of the others: every effect once, every event once."""
    world = World(tmp_path)
    life = world.start()

    assert life.code == 0, life.errors
    assert world.oracle == ["fetch", "charge", "notify"]
    assert life.all("result") == [{"status": "SUCCEEDED", "steps": STEPS}]


def test_points_are_ignored_unless_faults_are_allowed(tmp_path: Path) -> None:
    """`TERZETTO_CRASH_AT` alone does nothing: production is safe from a stray variable."""
    world = World(tmp_path)
    environ = {key: value for key, value in os.environ.items() if key != "TERZETTO_FAULTS"}
    done = subprocess.run(
        [sys.executable, str(CHILD), str(tmp_path / "runs.db"), str(tmp_path / "oracle")],
        env=environ | {"TERZETTO_CRASH_AT": "node_start:1"}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0
    assert world.oracle == ["fetch", "charge", "notify"]
