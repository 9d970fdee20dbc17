"""LangGraph's own graphs on our checkpointer: they stop, go on elsewhere, go back, fork, grow and are killed."""

import asyncio
import operator
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, TypedDict

import pytest
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, Send, interrupt

import terzetto.langgraph

from .checkpoint_child import CONFIG, counting
from .checkpoint_graphs import Log, chain, thread

CHILD = Path(__file__).with_name("checkpoint_child.py")


def child(url, steps):
    return subprocess.Popen([sys.executable, CHILD, url, str(steps)], stdout=subprocess.PIPE, text=True)


def test_a_graph_stops_and_goes_on_when_it_is_answered(saver):
    def ask(state: Log):
        return {"log": [interrupt("first"), interrupt("second")]}

    graph = StateGraph(Log).add_node(ask).add_edge(START, "ask").compile(checkpointer=saver)

    assert ["first"] == [it.value for it in graph.invoke({"log": ["begin"]}, thread())["__interrupt__"]]
    assert ["second"] == [it.value for it in graph.invoke(Command(resume="one"), thread())["__interrupt__"]]
    assert ["begin", "one", "two"] == graph.invoke(Command(resume="two"), thread())["log"]
    assert () == graph.get_state(thread()).next


def test_another_process_goes_on(lasting_url):
    """The first one stops at a question, and is gone."""
    with child(lasting_url, 3) as process:
        acknowledged = process.stdout.read().split()
    with terzetto.langgraph.Checkpointer(lasting_url) as saver:
        graph = counting(saver, 3)

        assert ("ask",) == graph.get_state(CONFIG).next
        assert {"seen": [0, 1, 2, 7]} == graph.invoke(Command(resume=7), CONFIG)
        assert set(acknowledged) < {it.config["configurable"]["checkpoint_id"] for it in saver.list(CONFIG)}


def test_after_kill_9_all_that_was_acknowledged_is_there(lasting_url):
    """SEMANTICS 15.1: wherever it was killed, it goes on from there, and no step is lost or done twice."""
    with child(lasting_url, 400) as process:
        acknowledged = [process.stdout.readline().strip() for _ in range(30)]
        process.kill()
        acknowledged += process.stdout.read().split()
    with terzetto.langgraph.Checkpointer(lasting_url) as saver:
        there = [it.config["configurable"]["checkpoint_id"] for it in saver.list(CONFIG)]
        graph = counting(saver, 400)
        reached = len(graph.get_state(CONFIG).values["seen"])
        graph.invoke(None, CONFIG)

        assert set(acknowledged) <= set(there)
        assert len(acknowledged) - 2 <= reached < 400
        assert list(range(400)) == graph.get_state(CONFIG).values["seen"]


def test_subgraphs_have_histories_of_their_own(saver):
    inner = chain("a", "b").compile(checkpointer=True)
    builder = StateGraph(Log).add_node("inner", inner)
    graph = builder.add_edge(START, "inner").compile(checkpointer=saver)
    for _ in range(2):
        graph.invoke({"log": ["begin"]}, thread())

    found = [it.config["configurable"]["checkpoint_ns"] for it in saver.list(thread())]
    assert {"", "inner"} == set(found)
    assert 6 == len(list(saver.list(thread(checkpoint_ns=""))))
    assert 8 == len(list(saver.list(thread(checkpoint_ns="inner"))))
    saver.prune(["1"])
    assert ["", "inner"] == sorted(it.config["configurable"]["checkpoint_ns"] for it in saver.list(thread()))


def test_a_fork_never_sees_what_its_sibling_did(saver):
    """SEMANTICS 15.2."""
    graph = chain("a", "b", "c").compile(checkpointer=saver)
    graph.invoke({"log": []}, thread())
    at_b = next(it for it in graph.get_state_history(thread()) if it.next == ("b",))
    forks = [graph.update_state(at_b.config, {"log": [f"fork {number}"]}, as_node="a") for number in range(3)]
    results = [graph.invoke(None, fork)["log"] for fork in forks]

    assert [["a", f"fork {number}", "b", "c"] for number in range(3)] == results
    assert ["a", "b", "c"] == graph.invoke(None, at_b.config)["log"]
    states = [tuple(it.values["log"]) for it in graph.get_state_history(thread()) if not it.next]
    assert {("a", "b", "c"), *(("a", f"fork {number}", "b", "c") for number in range(3))} == set(states)


def test_parallel_branches_end_in_their_order(saver):
    class State(TypedDict, total=False):
        log: Annotated[list[str], operator.add]

    builder = StateGraph(State)
    builder.add_node("one", lambda state: {"log": [f"one {state['log'][0]}"]})
    builder.add_conditional_edges(START, lambda state: [Send("one", {"log": [str(n)]}) for n in range(12)], ["one"])
    builder.add_edge("one", END)
    graph = builder.compile(checkpointer=saver)

    assert ["x", *(f"one {number}" for number in range(12))] == graph.invoke({"log": ["x"]}, thread())["log"]


def test_a_conversation_of_200_turns_grows_by_what_is_said(tmp_path):
    class State(TypedDict):
        said: Annotated[list[str], DeltaChannel(lambda old, new: [*old, *(one for many in new for one in many)])]

    builder = StateGraph(State)
    builder.add_node("answer", lambda state: {"said": [f"answer {len(state['said'])} " + "x" * 200]})
    builder.add_edge(START, "answer")
    file = tmp_path / "c.db"
    sizes = []
    with terzetto.langgraph.Checkpointer(f"sqlite:{file}") as saver:
        graph = builder.compile(checkpointer=saver)
        for turn in range(200):
            said = graph.invoke({"said": [f"turn {turn}"]}, thread())["said"]
            if turn % 50 == 49:
                assert 2 * turn + 2 == len(said)
                sizes.append(sum(len(key) + len(value) for key, value in saver._shelf.scan("1", b"", b"\xff")))
    grown = [after - before for before, after in pairwise(sizes)]

    assert max(grown) < 2.2 * sizes[0]  # each 50 turns cost the same, besides a snapshot of all now and then
    assert 200 * 200 < sizes[-1] < 200 * 8000


class Delta(TypedDict):
    said: Annotated[
        list[str], DeltaChannel(lambda old, new: [*old, *(it for many in new for it in many)], snapshot_frequency=5)
    ]


def talking():
    builder = StateGraph(Delta)
    for name, after in (("a", START), ("b", "a")):
        builder.add_node(name, lambda state, name=name: {"said": [f"{name}{len(state['said'])}"]})
        builder.add_edge(after, name)
    return builder


@pytest.mark.parametrize("turns", [1, 2, 3, 4, 5, 6, 11])
def test_prune_keeps_what_a_delta_channel_needs(saver, turns):
    """SEMANTICS 15.3."""
    graph = talking().compile(checkpointer=saver)
    for turn in range(turns):
        graph.invoke({"said": [f"t{turn}"]}, thread())
    whole = graph.get_state(thread()).values
    before = len(list(saver.list(thread())))
    saver.prune(["1"])

    assert whole == graph.get_state(thread()).values
    after = len(list(saver.list(thread())))
    assert after < before or turns == 1
    assert after <= 14
    saver.prune(["1"])
    assert after == len(list(saver.list(thread())))
    assert [*whole["said"], "again", f"a{3 * turns + 1}", f"b{3 * turns + 2}"] == graph.invoke(
        {"said": ["again"]}, thread()
    )["said"]


def test_a_delta_channel_of_a_fork_has_only_its_own_way(saver):
    graph = talking().compile(checkpointer=saver)
    for turn in range(3):
        graph.invoke({"said": [f"t{turn}"]}, thread())
    old = [it for it in graph.get_state_history(thread()) if not it.next][1]
    said = old.values["said"]
    fork = graph.update_state(old.config, {"said": ["fork"]})
    saver.copy_thread("1", "copy")

    assert [*said, "fork"] == graph.get_state(fork).values["said"]
    result = graph.invoke({"said": ["more"]}, fork)["said"]
    assert [*said, "fork", "more"] == result[:-2]
    copied = thread("copy", checkpoint_id=fork["configurable"]["checkpoint_id"])
    assert [*said, "fork"] == graph.get_state(copied).values["said"]


def test_prune_without_delta_channels_leaves_one_checkpoint_that_goes_on(saver):
    graph = chain("a", "b").compile(checkpointer=saver)
    graph.invoke({"log": []}, thread())
    saver.prune(["1"])

    assert 1 == len(list(saver.list(thread())))
    assert ["a", "b", "a", "b"] == graph.invoke({"log": []}, thread())["log"]
    saver.prune(["1"], strategy="delete")
    assert [] == list(saver.list(None))
    assert saver._shelf.rooms() == []


def test_what_a_run_put_goes_and_what_others_share_stays(saver):
    graph = chain("a").compile(checkpointer=saver)
    for name in ("first", "second"):
        graph.invoke({"log": []}, {**thread(), "metadata": {"run_id": name}})
    saver.delete_for_runs(["first"])

    assert {"second"} == {it.metadata["run_id"] for it in saver.list(thread())}
    assert ["a", "a"] == graph.get_state(thread()).values["log"]


def test_everything_works_under_asyncio(url):
    async def main():
        async with terzetto.langgraph.Checkpointer.open(url) as saver:
            graph = chain("a", "b").compile(checkpointer=saver)
            results = await asyncio.gather(*(graph.ainvoke({"log": []}, thread(str(n))) for n in range(10)))
            history = [it async for it in graph.aget_state_history(thread("3"))]
            return results, [it.next for it in history]

    results, history = asyncio.run(main())

    assert [{"log": ["a", "b"]}] * 10 == results
    assert [(), ("b",), ("a",), ("__start__",)] == history


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_ends_with_the_same_state(saver, durability):
    ours, theirs = (talking().compile(checkpointer=it) for it in (saver, InMemorySaver()))
    for turn in range(4):
        for graph in (ours, theirs):
            graph.invoke({"said": [f"t{turn}"]}, thread(), durability=durability)

    assert theirs.get_state(thread()).values == ours.get_state(thread()).values
    assert len(list(theirs.get_state_history(thread()))) == len(list(ours.get_state_history(thread())))
