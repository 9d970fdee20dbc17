"""Invented worlds: the same for the same seed, with everything in some of them, and nothing where it has no place."""

import re
from collections import Counter

import pytest

from terzetto.testing import Freeze, Release, Restart, Scenario, World, invent
from terzetto.testing._invented_states import Journey, Voyage
from terzetto.testing._invented_traits import Traits
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.retention import Retention

SEEDS = range(300)


def traits(scenario: Scenario) -> set[str]:
    found = {"sinks"} if scenario.sinks else set()
    found |= {"newer"} if scenario.releases else set()
    found |= {"retention"} if "retention" in scenario.options else set()
    found |= {"thread"} if any("thread" in each.options for each in scenario.submits) else set()
    found |= {"blobs"} if scenario.linger > 60 else set()
    return found or {"none"}


def shown(seed: int) -> str:
    made = invent(seed)
    parts = str((made.submits, made.acts, made.people, made.faults, made.options, made.processes, made.sinks))
    return re.sub(r" at 0x[0-9a-f]+", "", parts)


def test_the_same_seed_makes_the_same_world():
    assert [shown(seed) for seed in range(20)] == [shown(seed) for seed in range(20)]
    assert len({shown(seed) for seed in range(20)}) == 20


def test_every_trait_is_met_and_most_worlds_have_few():
    met = Counter(trait for seed in SEEDS for trait in traits(invent(seed)))
    assert {"none", "sinks", "newer", "retention", "thread", "blobs"} == met.keys()
    assert min(met.values()) > 10
    assert met["none"] > 50


def test_what_is_one_owners_to_say_has_no_second_owner():
    """A frozen owner that comes back would clean, and line up, what it knows nothing of."""
    froze = [scenario for scenario in map(invent, SEEDS) if any(isinstance(each, Freeze) for each in scenario.faults)]
    assert len(froze) > 20
    assert not any(traits(scenario) & {"retention", "thread", "blobs"} for scenario in froze)


def test_a_newer_version_is_used():
    """A restart follows it, and both of its graphs can be built."""
    for scenario in (each for each in map(invent, SEEDS) if each.releases):
        (release,) = scenario.releases
        assert isinstance(release, Release)
        assert any(isinstance(fault, Restart) and fault.at > release.at for fault in scenario.faults)
        world = World(None, None, None)
        for old, new in zip(scenario.graphs(world), release.graphs(world), strict=True):
            assert (old.name, old.version, new.version) == (new.name, "1", "2")
            if not isinstance(old, Dataflow):
                assert (Journey, Voyage) == (old.state, new.state)
                assert new.build().fingerprint != old.build().fingerprint


@pytest.mark.parametrize(
    "made, splits, lingers",
    [
        (Traits(), True, 0.0),
        (Traits(sinks=True, newer=True), True, 0.0),
        (Traits(thread=True), False, 0.0),
        (Traits(retention=Retention()), False, 25.0),
        (Traits(retention=Retention(), blobs=True), False, 65.0),
    ],
)
def test_what_follows_from_traits(made, splits, lingers):
    assert (splits, lingers) == (made.may_split, made.linger)
