"""`terzetto_protocol.strict`: who changes what was only lent, and what is not deterministic (SEMANTICS 4.5)."""

import itertools
from collections.abc import Callable
from typing import Annotated

import pytest
from attrs import define, field
from msgspec import Struct

from terzetto_protocol.errors import InputMutated, MutationFailed, NonDeterministicMutation
from terzetto_protocol.graph import Graph
from terzetto_protocol.keyed import KeyedState
from terzetto_protocol.reducers import Reducer
from terzetto_protocol.state import StateForm, transient
from terzetto_protocol.strict import StrictVocabulary, Watch, watching

from .machines import Driver, claimed
from .sketches import body

_numbers = itertools.count(1)


@define
class Desk:
    title: str = ""
    papers: list[str] = field(factory=list)
    drawers: dict[str, set[int]] = field(factory=dict)
    ratio: float = 0.0
    lamp: Annotated[object, transient] = None


class File(Struct, frozen=True):
    """As it should be."""

    paper: str

    def apply(self, desk: Desk) -> None:
        desk.papers.append(self.paper)
        desk.drawers.setdefault(self.paper[:1], set()).add(len(desk.papers))


class Stamp(Struct, frozen=True):
    """Different each time."""

    def apply(self, desk: Desk) -> None:
        desk.title = f"stamped {next(_numbers)}"


class Break(Struct, frozen=True):
    def apply(self, desk: Desk) -> None:
        desk.title = "broken"
        raise ArithmeticError("no")


class Halve(Struct, frozen=True):
    """Makes a state that cannot be stored."""

    def apply(self, desk: Desk) -> None:
        desk.ratio = float("nan")


MUTATIONS = [File, Stamp, Break, Halve]


def form() -> StateForm[Desk]:
    return StateForm(Desk)


def scribble(desk: Desk) -> None:
    desk.title = "mine"


def shuffle(desk: Desk) -> None:
    desk.drawers["b"] = desk.drawers.pop("b")
    desk.drawers["a"] = desk.drawers.pop("a")


def spoil(desk: Desk) -> None:
    desk.ratio = float("nan")
    desk.papers.append("one more")


def tear_off(desk: Desk) -> None:
    del desk.title


CHANGES: dict[str, tuple[Callable[[Desk], object], tuple[str, ...]]] = {
    "nothing": (lambda desk: None, ()),
    "a field": (scribble, ("title",)),
    "deep inside": (lambda desk: desk.drawers["a"].add(9), ("drawers",)),
    "and back": (lambda desk: (desk.papers.append("x"), desk.papers.pop()), ()),
    "a transient field": (lambda desk: setattr(desk, "lamp", object()), ()),
    "only the order": (shuffle, ("the order of its keys",)),
    "so that it cannot be stored": (spoil, ("papers", "ratio")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_watch_sees(change):
    """4.5: strict mode reports a node that mutates its input, and names the fields."""
    desk = Desk("blue", ["p"], {"a": {1, 2}, "b": {3}})
    watch = Watch(form(), desk)
    how, fields = CHANGES[change]
    how(desk)

    assert fields == watch.changed()


def test_a_watch_never_raises():
    desk = Desk()
    watch = Watch(form(), desk)
    tear_off(desk)

    assert "cannot be compared" in watch.changed()[0]


def test_what_cannot_be_stored_is_not_watched():
    desk = Desk(ratio=float("nan"))
    watch = Watch(form(), desk)
    scribble(desk)

    assert () == watch.changed()


def test_a_set_that_is_made_anew_is_the_same_set():
    """Its order is no change: no false alarm."""
    desk = Desk(drawers={"a": set(range(100))})
    watch = Watch(form(), desk)
    desk.drawers["a"] = {*range(100, 0, -1), 0} - {100}

    assert watch.changed() in ((), ("the order of its keys",))


def vocabulary() -> StrictVocabulary[Desk]:
    return StrictVocabulary(MUTATIONS, {}, form())


def apply(*mutations) -> Desk:
    desk, words = Desk(), vocabulary()
    words.apply([words.note(mutation) for mutation in mutations], desk)
    return desk


def test_a_deterministic_batch_is_applied_once():
    assert Desk(papers=["a", "b"], drawers={"a": {1}, "b": {2}}) == apply(File("a"), File("b"))


def test_a_mutation_that_is_not_deterministic_is_named_with_its_fields():
    """4.5: strict mode reports a mutation that is not deterministic."""
    with pytest.raises(NonDeterministicMutation, match=r"mutation Stamp .*differ in title \(") as caught:
        apply(File("a"), Stamp(), File("b"))

    assert ("Stamp", ("title",)) == (caught.value.mutation, caught.value.fields)


def test_one_that_does_it_only_sometimes_is_found_among_its_batch():
    class Moody(Struct, frozen=True):
        def apply(self, desk: Desk) -> None:
            desk.title = "odd" if next(calls) == 2 else "even"

    calls = itertools.count(1)
    words: StrictVocabulary[Desk] = StrictVocabulary([File, Moody], {}, form())
    with pytest.raises(NonDeterministicMutation) as caught:
        words.apply([words.note(File("a")), words.note(Moody())], Desk())

    assert "File or Moody" == caught.value.mutation


def test_the_state_itself_is_not_touched_by_a_batch_that_is_refused():
    words, desk = vocabulary(), Desk()
    for mutation in (Stamp(), Break()):
        with pytest.raises(MutationFailed):
            words.apply([words.note(File("a")), words.note(mutation)], desk)

    assert Desk() == desk


def test_a_state_that_cannot_be_stored_is_not_tried_out():
    """Whoever stores it says so; here nothing can be compared."""
    words, desk = vocabulary(), Desk()
    words.apply([words.note(Halve())], desk)
    words.apply([words.note(Stamp())], desk)

    assert "stamped" in desk.title


def test_what_was_applied_before_is_not_tried_again():
    """A state that is rebuilt from the log holds what it held."""
    words, desk = vocabulary(), Desk()
    words.replay([words.note(Stamp())], desk)

    assert "stamped" in desk.title


def test_a_reducer_is_held_to_it_too():
    class Notes(KeyedState):
        best: Annotated[int, Reducer("late", lambda old, new: next(_numbers))] = 0

    graph = Graph("notes", state=Notes, mutations=[])
    graph.start(graph.node(name="a")(body))
    driver = Driver(graph, Notes(), strict=True).claim()
    driver.finish(Notes.put(best=1))

    assert "NonDeterministicMutation: mutation Put" in driver.failure.message
    assert "in best (" in driver.failure.message


def desk_graph(when=None) -> Graph[Desk]:
    graph: Graph[Desk] = Graph("desk", state=Desk, mutations=MUTATIONS)
    one, two = graph.node(name="one")(body), graph.node(name="two")(body)
    graph.start(one)
    graph.edge(one, two, when=when)
    return graph


@pytest.mark.parametrize("acks", ["now", "settled"])
@pytest.mark.parametrize("logged", [True, False])
def test_such_a_run_fails_at_its_previous_commit(acks, logged):
    """4.5, 4.6: the failure names node, mutation and fields; the everyday path takes nobody past it."""
    driver = Driver(desk_graph(), Desk(), acks=acks, logged=logged, strict=True).claim()
    driver.finish(File("a"), Stamp())

    assert "node 'one': NonDeterministicMutation: mutation Stamp" in driver.failure.message
    assert driver.failure.final
    assert Desk() == driver.state


def test_other_runs_are_not_held_to_it():
    """They go on, and law 1 does not hold for them."""
    driver = Driver(desk_graph(), Desk()).claim()
    with pytest.raises(AssertionError, match="law 1: the states differ"):
        driver.finish(Stamp())


def tidy(desk: Desk) -> bool:
    """A predicate that does more than it should."""
    desk.papers.clear()
    return True


def test_a_predicate_that_changes_the_state_fails_the_run():
    """4.5: it is asked about a copy, so that the state itself stays as it is."""
    driver = Driver(desk_graph(tidy), Desk(papers=["a"]), strict=True).claim()
    driver.finish(File("b"))

    assert "edge one -> two raised InputMutated: the predicate 'tidy' changed" in driver.failure.message
    assert ["a", "b"] == driver.state.papers


def test_an_edge_is_the_same_edge():
    edge = desk_graph(tidy).edges[0]
    watched = watching(form(), edge)

    assert (edge.label(), edge.predicate, edge.index) == (watched.label(), watched.predicate, watched.index)
    with pytest.raises(InputMutated) as caught:
        assert watched.when is not None
        watched.when(Desk(papers=["a"]))
    assert ("papers",) == caught.value.fields


def test_an_edge_without_a_predicate_is_left_alone():
    edge = desk_graph().edges[0]

    assert edge is watching(form(), edge)


def test_a_graph_inside_is_strict_too():
    inner, outer = desk_graph(), Graph("outer", state=Desk, mutations=MUTATIONS)
    outer.start(outer.subgraph("within", inner, get=lambda desk: Desk(), put=lambda desk, within: None))
    driver = Driver(outer, Desk(), strict=True).claim()
    driver.finish(Stamp())

    assert "NonDeterministicMutation" in driver.failure.message


def test_what_the_end_of_a_graph_does_outside_is_held_to_it():
    outer = Graph("outer", state=Desk, mutations=MUTATIONS)
    outer.start(outer.subgraph("within", desk_graph(), get=lambda desk: Desk(), put=_stamped))
    driver = Driver(outer, Desk(), strict=True).claim()
    driver.finish()
    driver.finish()

    assert "NonDeterministicMutation: mutation @within" in driver.failure.message


def _stamped(desk: Desk, within: Desk) -> None:
    desk.title = f"came back {next(_numbers)}"


def test_strict_and_other_runs_of_a_graph_live_side_by_side():
    graph = desk_graph()
    blueprint = graph.build()

    assert blueprint.strict is blueprint.strict.strict
    assert (False, True) == (blueprint.is_strict, blueprint.strict.is_strict)
    assert blueprint.fingerprint == blueprint.strict.fingerprint
    claimed(graph, Desk())
