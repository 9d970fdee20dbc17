"""`terzetto_protocol.upcasting`: a run that a newer version of its graph goes on with keeps every promise.

The witness of each driver reads the whole log anew under the new version: law 1 (the upcast log folded from its
beginning and from its newest snapshot is the live image and state), D2 to D8, and that no visit starts again.
"""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings, strategies as st

from terzetto_protocol.compatible import misfits
from terzetto_protocol.fold import Fold
from terzetto_protocol.migrations import Migration
from terzetto_protocol.records import Kind

from .inventions import Plan, Player, Spot, Way, histories, plans
from .machines import ended
from .test_machine_laws import _goes_on, _reads_the_same

QUICK = settings(max_examples=100, deadline=None, derandomize=True)
SWEEP = settings(max_examples=500, deadline=None, database=None)

slow_store = st.sampled_from(["now", "later", "settled"])
chosen = st.sets(st.integers(0, 6))


def halved(name: str, plain: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every `Add` is two, and the others are what they were."""
    if name != "Add":
        return [(name, plain)]
    return [(name, {"n": plain["n"] // 2}), (name, {"n": plain["n"] - plain["n"] // 2})]


def next_version(plan: Plan, places: set[int]) -> Plan:
    """The same graph with other names of some places, and of all places inside of these."""
    names = {spot.name: f"q{number}" for number, spot in enumerate(plan.spots) if number in places}
    spots = tuple(_renamed(spot, names) for spot in plan.spots)
    ways = tuple(evolve(way, source=_source(way, names), target=names.get(way.target, way.target)) for way in plan.ways)
    inner = {spot.name: "1" for spot in plan.spots if spot.kind == "graph" and spot.name in names}
    migration = Migration("1", mutation=halved, places=names, inner=inner)
    return evolve(plan, spots=spots, ways=ways, version="2", migrations=(migration,))


def _renamed(spot: Spot, names: dict[str, str]) -> Spot:
    name = names.get(spot.name, spot.name)
    if spot.kind == "graph":
        inside = [(f"{spot.name}-{number}", f"{name}-{number}") for number in range(len(spot.branches))]
        return evolve(spot, name=name, renamed=tuple(inside) if name != spot.name else ())
    return evolve(spot, name=name, branches=tuple(names.get(branch, branch) for branch in spot.branches))


def _source(way: Way, names: dict[str, str]) -> str:
    place, dot, exit_name = way.source.partition(".")
    return f"{names.get(place, place)}{dot}{exit_name}"


def hold(plan: Plan, places: set[int], acks: str, before, after) -> None:
    """Act a history out, change the graph, and act another one out."""
    driver = plan.driver(acks)
    player = Player(driver)
    for name, number in before:
        player.act(name, number)
    driver.crash()
    if not driver.disk.seq:
        return
    new = next_version(plan, places)
    driver.blueprint = new.build().build()
    snapshot, bodies = driver.disk.log()
    reasons = misfits(Fold.load(driver.blueprint, driver.header, snapshot, bodies))
    if reasons:  # what opens branches keeps its name while these are open, and a new snapshot has to be storable
        known = "branches keep their names", "NaN"
        assert all(any(words in reason for words in known) for reason in reasons), reasons
        return
    driver.crash()
    seq, had_ended = driver.disk.seq, ended(driver)
    for name, number in after:
        player.act(name, number)
    player.calm_down()
    _reads_the_same(driver)
    _goes_on(player)
    migrated = [record.seq for record in driver.disk.records if record.kind is Kind.MIGRATE]
    assert migrated == ([] if driver.disk.seq == seq else [seq + 1])
    assert not (had_ended and migrated)


@QUICK
@given(plans(), chosen, slow_store, histories, histories)
def test_a_run_goes_on_under_a_newer_version(plan, places, acks, before, after):
    """2: otherwise a declared migration."""
    hold(plan, places, acks, before, after)


@QUICK
@given(plans(branches=True), chosen, slow_store, histories, histories)
def test_a_run_with_branches_goes_on_under_a_newer_version(plan, places, acks, before, after):
    """2, 5.5."""
    hold(plan, places, acks, before, after)


@pytest.mark.slow
@SWEEP
@given(st.one_of(plans(), plans(branches=True)), chosen, slow_store, histories, histories)
def test_many_more_runs_go_on_under_a_newer_version(plan, places, acks, before, after):
    hold(plan, places, acks, before, after)
