"""`terzetto.testing._people`: who submits, decides and waits, until there is an answer, which then has to be true."""

from collections.abc import Sequence
from typing import Any

import pytest
import trio
from attrs import evolve

import terzetto
from terzetto.testing import Act, CrashAt, Person, Release, Scenario, Simulation, Submission, World, simulate
from terzetto_protocol.commands import Cancel, Delete, Pause
from terzetto_protocol.decisions import Approve
from terzetto_protocol.graph import Graph

from .runtimes import MUTATIONS, Tally, chain, says


def graphs(world: World) -> Sequence[Graph[Any]]:
    async def work(ctx):
        world.effect(ctx)
        await trio.sleep(1.0)

    return [chain(says("one"), work, name="plain"), chain(work, "gate", says("last"), name="gated")]


def world(*submits: Submission, **options: Any) -> Scenario:
    return Scenario(graphs, submits or (Submission("gated", Tally(), "r"),), **options)


def lines(scenario: Scenario, who: str, seed: int = 0) -> list[str]:
    simulation = simulate(scenario, seed)
    assert [] == simulation.problems
    return [line.split(maxsplit=2)[2] for line in simulation.trace.lines if line.split(maxsplit=2)[1] == who]


def ends(simulation: Simulation) -> dict[str, str]:
    return {run_id: log.status for run_id, log in simulation.ledger.logs.items()}


def test_who_submits_tries_again_until_there_is_an_answer():
    """10: the same id and input again is the same run."""
    told = lines(world(faults=(CrashAt("submit_durable"),)), "ann")

    assert "submits r, and hears nothing" in told
    assert "is told: Submitted(run_id='r', durable=True, reused=True)" == told[-1]


def test_who_submits_on_a_busy_thread_leaves_it_at_that():
    """1: `ThreadBusy` is an answer, and a thread without a head gets a state."""
    on = {"thread": "t"}
    submits = [Submission("gated", Tally(), "a", options=on), Submission("gated", Tally(), "b", at=2.0, options=on)]
    scenario = world(*submits)
    told = lines(scenario, "ann")
    simulation = simulate(scenario, 0)

    assert "is told: Submitted(run_id='a', durable=True, reused=False)" == told[0]
    assert "submits b, and leaves it at that: ThreadBusy" in told[1]
    assert {"a": "AWAITING_INPUT"} == ends(simulation)


def test_who_comes_to_a_thread_with_a_head_goes_on_from_it():
    on = {"thread": "t", "busy": "enqueue"}
    submits = [Submission("plain", Tally(), "a", options=on), Submission("plain", Tally(), "b", at=5.0, options=on)]
    simulation = simulate(world(*submits), 0)

    assert [] == simulation.problems
    assert ["one", "one"] == simulation.states["b"].trail


def versions(version: str, **options: Any):
    def newer(world: World) -> Sequence[Graph[Any]]:
        graph = Graph("g", state=Tally, mutations=MUTATIONS, version=version, **options)

        @graph.node
        async def work(ctx):
            await trio.sleep(1.0)

        graph.start(work)
        return [graph]

    return newer


def test_who_tries_again_after_a_release_finds_the_run_of_the_older_version():
    """10: that is a conflict, and all the same the run is there."""
    release = Release(0.5, versions("2", migrations=[terzetto.Migration("1")]))
    scenario = Scenario(versions("1"), (Submission("g", Tally(), "r"),), releases=(release,))
    simulation = simulate(evolve(scenario, faults=(CrashAt("submit_durable", down=1.0),)), 0)

    assert ([], {"r": "SUCCEEDED"}) == (simulation.problems, ends(simulation))
    assert "submits r, and leaves it at that: RunConflict" in simulation.trace.text
    assert "migrate ->" in simulation.trace.text


def test_people_decide_and_resume():
    people = (Person("bob", every=0.5, since=1.0, choose=lambda row, dice: Approve()),)
    scenario = world(people=people, acts=(Act(0.5, Pause("c", "r"), who="cy"),))
    simulation = simulate(scenario, 0)
    told = lines(scenario, "bob")

    assert "SUCCEEDED" == ends(simulation)["r"]
    assert ["Resumed", "DecisionTaken"] == [line.split("(")[0].removeprefix("is told: ") for line in told]
    assert "is told: PauseReceipt" in lines(scenario, "cy")[0]
    undecided = evolve(scenario, acts=(), people=(Person("bob", until=2.0),))
    assert "AWAITING_INPUT" == ends(simulate(undecided, 0))["r"]


@pytest.mark.parametrize("way", ["call", "desk", "inbox"])
def test_the_ways_to_say_something(way):
    told = lines(world(acts=(Act(3.0, Cancel("c", "r", "enough"), who="cy", way=way),)), "cy")

    assert (["leaves a note: cancels r"] if way == "inbox" else []) == told[:-1]
    assert "is told: CancelReceipt(run_id='r', outcome='stopped'" in told[-1]


def test_a_run_that_was_deleted_is_waited_for_by_nobody():
    """3.3: its readers and those who wait for its end leave."""
    acts = (Act(3.0, Cancel("c", "r")), Act(6.0, Delete("d", "r"), who="cy"))
    simulation = simulate(world(acts=acts), 0)

    assert ([], {}, ["r"]) == (simulation.problems, ends(simulation), [*simulation.ledger.gone])
    assert "is told: Deleted(run_id='r'" in simulation.trace.text
    assert simulation.people.readers["r"].ended


def test_what_is_refused_is_said_and_left_at_that():
    told = lines(world(acts=(Act(1.5, Delete("d", "r"), who="cy"), Act(3.0, Delete("d", "s"), who="cy"))), "cy")
    assert ["deletes r, and is refused: Refused", "deletes s, and is refused: UnknownRun"] == [
        ":".join(line.split(":")[:2]) for line in told
    ]
