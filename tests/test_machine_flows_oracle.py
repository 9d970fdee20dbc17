"""`terzetto_protocol.machine`: what comes out of a dataflow is what a person makes of it who acts it out on paper.

Only of dataflows without races, where neither who is fast nor what the store does matters: a node with several
inputs gets each of them from one visit, or from what the whole was given. Then in whatever order bodies go on, however
often the process dies, and at whatever pace the store answers: the same visits with the same inputs, each ended
once, and the same values in the end (SEMANTICS 5.7).
"""

from collections import Counter
from typing import Any

import msgspec
import pytest
from attrs import frozen
from hypothesis import given, settings, strategies as st

from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.flow_state import INPUTS
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.turn import Start

from .flows import Person, called, flow, linked
from .machines import Died, Driver, ended, label_of

QUICK = settings(max_examples=120, deadline=None, derandomize=True)
SWEEP = settings(max_examples=1000, deadline=None, database=None)

INNER = (".v>i.v", "i.out>j.v", "i.error>.o", "j.two>.o", "j.error>.o")


@frozen
class Paper:
    """A dataflow without races: links, and the nodes that nothing leads into."""

    links: tuple[str, ...]
    alone: tuple[str, ...]
    subs: tuple[str, ...]
    limit: int | None

    def build(self) -> Dataflow[Any]:
        inside = {name: flow(*INNER, named="within", limit=self.limit) for name in self.subs}
        return flow(*self.links, alone=" ".join(self.alone), inside=inside, limit=self.limit)


def body(node: str, args: dict[str, Any]) -> tuple[list[tuple[str, Any]], bool]:
    """What a node sends when it is called with this, and whether it fails then."""
    total = sum(value if isinstance(value, int) else 1 for value in args.values()) + len(args)
    sends = [("out", total + number) for number in range((total + len(node)) % 4)]
    sends += [("two", total * 2)] if total % 2 else []
    sends += [("back", total // 2 - 1)] if total > 6 else []
    return sends, total % 5 == 4


# -- acted out on paper -----------------------------------------------------------------------------------------------


def on_paper(
    links: tuple[str, ...],
    given: dict[str, int],
    alone: tuple[str, ...] = (),
    subs: tuple[str, ...] = (),
    path: str = "",
) -> tuple[Counter[tuple[str, bytes]], list[tuple[str, Any]]]:
    """All visits with their inputs, and what comes out."""
    person, visits, number = Person(linked(*links)), Counter[tuple[str, bytes]](), 0
    for name, value in given.items():
        person.send(INPUTS, name, value)
    person.begun += [(node, {}) for node in alone]
    while number < len(person.begun):
        node, args = person.begun[number]
        number += 1
        visits[f"{path}{node}", key(args)] += 1
        if node in subs:
            inner, sends = on_paper(INNER, {"v": args["v"]}, path=f"{path}{node}/")
            visits, failed = visits + inner, False
        else:
            sends, failed = body(node, args)
        for output, value in sends:
            person.send(node, output, value)
        if failed:
            person.send(node, "error", "ValueError: no")
    return visits, person.out


def key(args: dict[str, Any]) -> bytes:
    return msgspec.json.encode(args, order="sorted")


# -- and by the machine -----------------------------------------------------------------------------------------------


class Worker:
    """Goes on with one body or another, as the numbers say, until nothing is left to do."""

    def __init__(self, driver: Driver, numbers: list[int]) -> None:
        self.driver, self.numbers = driver, numbers
        self.come: dict[int, tuple[Start, int]] = {}
        self.inputs: dict[int, tuple[str, bytes]] = {}

    def work(self) -> None:
        for number in self.numbers:
            self.accident(number)
            self.go_on(number)
        while not ended(self.driver):
            self.go_on(0)
        self.driver.settle()

    def accident(self, number: int) -> None:
        driver = self.driver
        if number % 23 == 7:
            driver.crash(keep=number % 3)
        elif number % 23 == 8 and driver.status is RunStatus.RUNNING:
            driver.halt(hard=True)

    def go_on(self, number: int) -> None:
        driver, starts = self.driver, list(self.driver.running.values())
        if driver.ownerless or driver.status in (RunStatus.QUEUED, RunStatus.INTERRUPTED):
            if driver.status in (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.INTERRUPTED):
                driver.claim()
        elif not starts or number % 5 == 1:
            driver.ack(None if number % 2 else 1)
        else:
            self.step(starts[number % len(starts)])

    def step(self, start: Start) -> None:
        """A body sends its next value, or ends."""
        driver, node = self.driver, start.visit
        if start.visit in driver.leaving:
            driver.leave(node)
            return
        if start.node == INPUTS:
            driver.finish(node=node)
            return
        args = called(driver, node)
        self.inputs[start.visit] = plain(label_of(start)), key(args)
        sends, fails = body(start.node, args)
        known, count = self.come.get(start.visit, (start, 0))
        count = count if known is start else 0
        if count < len(sends):
            output, value = sends[count]
            self.come[start.visit] = start, count + 1
            driver.send(value, output, node=node)
        elif fails:
            driver.fail(node=node)
        else:
            driver.finish(node=node)

    def visits(self) -> Counter[tuple[str, bytes]]:
        """What the log says has ended, with what it was called with; a dataflow inside by what went into it."""
        made = Counter[tuple[str, bytes]]()
        for record in self.driver.disk.records:
            if record.kind is Kind.VISIT and record.place != INPUTS:
                made[self.inputs[record.visit]] += 1
        return made


def plain(path: str) -> str:
    """A path by names alone."""
    return "/".join(part.partition(".")[0] for part in path.split("/"))


def hold(paper: Paper, given: dict[str, int], acks: str, numbers: list[int]) -> None:
    made = paper.build()
    driver = Driver(made, made.begin({name: given[name] for name in made.inputs}), acks=acks, max_steps=3000)
    worker = Worker(driver, numbers)
    worker.work()
    compare(paper, given, worker)


def compare(paper: Paper, given: dict[str, int], worker: Worker) -> None:
    driver, made = worker.driver, worker.driver.blueprint.graph
    assert isinstance(made, Dataflow)
    visits, sent = on_paper(paper.links, {name: given[name] for name in made.inputs}, paper.alone, paper.subs)

    assert driver.status is RunStatus.SUCCEEDED
    assert worker.visits() == Counter({each: count for each, count in visits.items() if each[0] not in paper.subs})
    assert Counter((each.name, key({"": each.value})) for each in driver.state.sent) == Counter(
        (name, key({"": value})) for name, value in sent
    )
    assert driver.state.tasks == {}


# -- inventions -------------------------------------------------------------------------------------------------------


@st.composite
def papers(draw: st.DrawFn) -> Paper:
    """Nodes of four kinds: `s` is visited once, `j` joins what those send, `m` and the dataflow `f` take one input."""
    once = [f"s{number}" for number in range(draw(st.integers(1, 3)))]
    fed = [name for name in once if draw(st.booleans())]
    joins = [f"j{number}" for number in range(draw(st.integers(0, 2)))]
    maps = [f"m{number}" for number in range(draw(st.integers(0, 3)))]
    subs = [f"f{number}" for number in range(draw(st.integers(0, 1)))]
    links = [f".{draw(st.sampled_from('ab'))}>{name}.v" for name in fed]
    for name in joins:
        links += draw(_joined(name, once))
    for name in [*maps, *subs]:
        sources = [*once, *joins, *(each for each in maps if each < name or name in subs)]
        links += [f"{draw(_output(sources, subs))}>{name}.v" for _ in range(draw(st.integers(1, 3)))]
    links += [f"{name}.back>{name}.v" for name in maps if draw(st.booleans())]
    every = [*once, *joins, *maps, *subs]
    links += [f"{draw(_output(every, subs))}>.{draw(st.sampled_from('pq'))}" for _ in range(draw(st.integers(1, 4)))]
    return Paper(
        tuple(links),
        tuple(name for name in once if name not in fed),
        tuple(subs),
        draw(st.sampled_from([None, 1, 2, 5])),
    )


@st.composite
def _joined(draw: st.DrawFn, name: str, once: list[str]) -> list[str]:
    """Links into `x` and `y`, each from one visit; a static one from the same, or from what the whole was given."""
    source = draw(st.sampled_from(once))
    other = draw(st.sampled_from([f"{draw(st.sampled_from(once))}.out>", f"{source}.two=", ".a=", ".b>"]))
    return [f"{source}.{draw(st.sampled_from(['out', 'two']))}>{name}.x", f"{other}{name}.y"]


@st.composite
def _output(draw: st.DrawFn, sources: list[str], subs: list[str]) -> str:
    source = draw(st.sampled_from(sources))
    return f"{source}.{draw(st.sampled_from(['o'] if source in subs else ['out', 'out', 'two', 'error']))}"


givens = st.fixed_dictionaries({"a": st.integers(0, 20), "b": st.integers(0, 20)})
paces = st.sampled_from(["now", "later", "later", "settled"])
orders = st.lists(st.integers(0, 200), max_size=60)


@QUICK
@given(papers(), givens, paces, orders)
def test_whatever_happens_the_same_visits_and_the_same_values(paper, given_, acks, numbers):
    hold(paper, given_, acks, numbers)


@pytest.mark.slow
@SWEEP
@given(papers(), givens, paces, orders)
def test_the_same_of_many_more(paper, given_, acks, numbers):
    hold(paper, given_, acks, numbers)


TOUR = Paper(
    (".a>s0.v", "s0.out>j0.x", "s0.two=j0.y", "j0.out>m0.v", "m0.back>m0.v", "j0.two>f0.v", "f0.o>.p", "m0.error>.p"),
    ("s1",),
    ("f0",),
    2,
)


@pytest.mark.parametrize("keep", [0, 1, 2])
@pytest.mark.parametrize("acks", ["now", "later", "settled"])
def test_a_process_may_die_between_any_two_effects(acks, keep):
    """7: the crash table, at every point that the machine knows: the same end, and no visit with a commit again."""
    given_, point, died = {"a": 6}, keep, True
    while died:
        driver, died = Driver(TOUR.build(), TOUR.build().begin(given_), acks=acks, watch=point % 5 == 0), False
        worker, driver.doom, step = Worker(driver, []), point, 0
        while not ended(driver):
            step += 1
            try:
                worker.go_on(step)
            except Died:
                driver.crash(keep)
                died = True
        driver.doom = None
        driver.settle()
        compare(TOUR, given_, worker)
        point += 3

    assert point > 60, "there are that many effects to die between"


def test_the_paper_is_not_empty():
    """The oracle has something to say."""
    links = ".a>s0.v", "s0.out>j0.x", "s0.two=j0.y", "j0.out>m0.v", "m0.back>m0.v", "m0.out>f0.v", "f0.o>.p"
    visits, sent = on_paper((*links, "m0.error>.p"), {"a": 4}, ("s1",), ("f0",))

    assert sum(visits.values()) > 8
    assert len(sent) > 3
