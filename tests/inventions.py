"""Graphs and histories that nobody would think of, for the property tests; and a player who acts them out."""

from collections.abc import Sequence
from itertools import pairwise

from attrs import frozen
from hypothesis import strategies as st
from msgspec import Raw

from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.errors import Refused
from terzetto_protocol.graph import Graph
from terzetto_protocol.inputs import Again, BodiesCancelled, CommitDurable, Emitted, NodeCancelled, NodeFinished, Probed
from terzetto_protocol.migrations import Migration
from terzetto_protocol.questions import AskDecision, Journal
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.statuses import RunStatus

from .machines import Died, Driver, ended, label_of, next_moment_of_rest
from .sketches import MUTATIONS, Add, Burst, Say, Spoil, Tally, Tip, body

_R = RunStatus
KINDS = ["pure", "pure", "repeatable", "tried", "once", "probed", "barrier"]
COMPOSITES = ["parallel", "parallel", "map", "graph"]
PREDICATES = {
    "even": lambda tally: tally.count % 2 == 0,
    "small": lambda tally: tally.count < 4,
    "low": lambda tally: tally.count < 8,
    "spoken": lambda tally: bool(tally.trail),
    "raises": lambda tally: 1 // 0,
}
PAYLOADS = {"none": None, "trail": lambda tally: tally.trail, "raises": lambda tally: 1 // 0}
DECIDED = {
    "none": None,
    "adds": lambda decision: [Add(1), Say(decision.exit)],
    "bursts": lambda decision: [Add(1), Burst()],
    "raises": lambda decision: 1 // 0,
}
TIMEOUTS = {"none": {}, "reject": {"timeout": 5.0}, "fail": {"timeout": 5.0, "on_timeout": Fail()}}
BATCHES = [[], [Add(1)], [Add(2), Say("x")], [Say("y" * 400)], [Tip()], [Burst()], [Add(1), Burst()], [Spoil()]]


@frozen
class Spot:
    """A node or a barrier."""

    name: str
    kind: str
    max_visits: int | None = None
    timeout: str = "none"
    payload: str = "none"
    decided: str = "none"
    branches: tuple[str, ...] = ()
    merge: str = "strict"
    errors: str = "fail_fast"
    limit: int | None = None
    renamed: tuple[tuple[str, str], ...] = ()
    """Places of the graph inside, by what they were called in its version before."""


@frozen
class Way:
    """An edge."""

    source: str
    target: str
    kind: str
    when: str | None = None
    max_visits: int | None = None


@frozen
class Plan:
    """A graph, in a form that hypothesis can show and shrink."""

    spots: tuple[Spot, ...]
    ways: tuple[Way, ...]
    max_steps: int = 12
    auto_approve: bool = False
    deadline: float | None = None
    version: str = "1"
    migrations: tuple[Migration, ...] = ()
    checkpoints: CheckpointPolicy | None = None

    def build(self) -> Graph[Tally]:
        options = {"max_steps": self.max_steps, "version": self.version, "migrations": self.migrations}
        graph = Graph("plan", state=Tally, mutations=MUTATIONS, **options)
        for spot in self.spots:
            _declare(graph, spot)
        graph.start(self.spots[0].name)
        for way in self.ways:
            when = None if way.when is None else PREDICATES[way.when]
            error, fallback = way.kind == "error", way.kind == "fallback"
            graph.edge(way.source, way.target, when=when, on_error=error, fallback=fallback, max_visits=way.max_visits)
        return graph

    def driver(
        self, acks: str, *, general: bool = False, strict: bool = False, logged: bool = True, alone: bool = False
    ) -> Driver:
        """A run of it; a `general` one never takes the everyday path."""
        header = {"auto_approve": self.auto_approve, "deadline": self.deadline, "checkpoints": self.checkpoints}
        driver = Driver(self.build(), acks=acks, logged=logged, alone=alone, strict=strict, **header)
        if general:
            driver.general = True
            driver.blueprint.everyday.clear()
        return driver


def _declare(graph: Graph[Tally], spot: Spot) -> None:
    if spot.kind in COMPOSITES:
        _declare_composite(graph, spot)
    elif spot.kind == "barrier":
        timeout, payload = TIMEOUTS[spot.timeout], PAYLOADS[spot.payload]
        graph.barrier(spot.name, payload=payload, decided=DECIDED[spot.decided], **timeout)
    elif spot.kind == "tried":
        graph.node(name=spot.name, max_visits=spot.max_visits, retry=RetryPolicy(initial=2.0))(body)
    elif spot.kind == "probed":
        graph.node(name=spot.name, effects="once", probe=body, max_visits=spot.max_visits)(body)
    else:
        graph.node(name=spot.name, effects=spot.kind, max_visits=spot.max_visits, token_cost=0.5)(body)


def _declare_composite(graph: Graph[Tally], spot: Spot) -> None:
    options = {"merge": MERGES.get(spot.merge, spot.merge), "errors": spot.errors, "limit": spot.limit}
    if spot.kind == "parallel":
        graph.parallel(spot.name, spot.branches, **options)
    elif spot.kind == "map":
        graph.map(spot.name, spot.branches[0], over=OVER[spot.merge], item=int, **options)
    else:
        graph.subgraph(spot.name, inner(spot.name, spot.branches, dict(spot.renamed)), **LENSES[spot.merge])


def inner(name: str, kinds: tuple[str, ...], renamed: dict[str, str]) -> Graph[Tally]:
    """A small graph for the inside of another: a chain of places of these kinds."""
    versions = {"version": "2", "migrations": [Migration("1", places=renamed)]} if renamed else {}
    graph = Graph(f"in-{name}", state=Tally, mutations=MUTATIONS, max_steps=5, **versions)
    spots = [Spot(f"{name}-{number}", kind) for number, kind in enumerate(kinds)]
    for spot in spots:
        _declare(graph, spot)
    graph.start(spots[0].name)
    for before, after in pairwise(spots):
        graph.edge(f"{before.name}.approved" if before.kind == "barrier" else before.name, after.name)
    return graph


def _longest(before: Tally, branches: Sequence[Tally]) -> list[Say]:
    return [Say(f"of {len(branches)}")] if branches else []


def _put(outer: Tally, within: Tally) -> None:
    outer.count += within.count


MERGES = {"longest": _longest, "breaks": lambda before, branches: 1 // 0}
OVER = {
    "strict": lambda tally: range(tally.count % 4),
    "replay": lambda tally: range(1 + tally.count % 5),
    "longest": lambda tally: range(3),
    "breaks": lambda tally: 1 // 0,
}
LENSES = {
    "strict": {},
    "replay": {"get": lambda tally: Tally(1, list(tally.trail)), "put": _put},
    "longest": {"get": lambda tally: Tally(), "put": _put},
    "breaks": {"get": lambda tally: Tally(1 // (tally.count % 2)), "put": lambda outer, within: 1 // 0},
}

_DEADLINE = st.sampled_from([None, None, None, 30.0])
POLICIES = [
    None,
    None,
    CheckpointPolicy(),
    CheckpointPolicy(every=1),
    CheckpointPolicy(every=3),
    CheckpointPolicy(seconds=2.0),
    CheckpointPolicy(every=5, barriers=True),
]
_POLICY = st.sampled_from(POLICIES)
_RARE_LIMIT = st.sampled_from([None, None, None, 1, 2])


@st.composite
def plans(draw: st.DrawFn, *, branches: bool = False) -> Plan:
    kinds = draw(st.lists(st.sampled_from(KINDS + COMPOSITES * branches), min_size=1, max_size=5 + 2 * branches))
    if kinds[-1] in COMPOSITES:
        kinds.append("pure")  # somewhere the branches have to begin
    spots, ways = [], []
    for number, kind in enumerate(kinds):
        if kind in COMPOSITES:
            options = {
                "branches": draw(_branches(kinds, number)),
                "merge": draw(st.sampled_from(["strict", "replay", "replay", "longest", "breaks"])),
                "errors": draw(st.sampled_from(["fail_fast", "collect"])),
                "limit": draw(st.sampled_from([None, None, 1, 2])),
            }
        elif kind == "barrier":
            options = {
                "timeout": draw(st.sampled_from(sorted(TIMEOUTS))),
                "payload": draw(st.sampled_from(["none", "none", "trail", "raises"])),
                "decided": draw(st.sampled_from(["none", "none", "adds", "bursts", "raises"])),
            }
        else:
            options = {"max_visits": draw(_RARE_LIMIT)}
        spots.append(Spot(f"p{number}", kind, **options))
    names = [spot.name for spot in spots]
    for spot in spots:
        exits = [f"{spot.name}.approved", f"{spot.name}.rejected"] if spot.kind == "barrier" else [spot.name]
        for source in exits:
            ways.extend(draw(_ways(source, names, errors=spot.kind != "barrier")))
    return Plan(
        tuple(spots),
        tuple(ways),
        draw(st.integers(1, 14 + 16 * branches)),
        draw(st.booleans()),
        draw(_DEADLINE),
        checkpoints=draw(_POLICY),
    )


@st.composite
def _branches(draw: st.DrawFn, kinds: list[str], own: int) -> tuple[str, ...]:
    """Where the branches begin; for a graph inside, the kinds of its places.

    Places that open branches begin only with later ones of their kind, so that none begins with itself.
    """
    if kinds[own] == "graph":
        return tuple(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=3)))
    fits = [number for number, kind in enumerate(kinds) if number > own or kind not in COMPOSITES or kind == "graph"]
    names = st.sampled_from([f"p{number}" for number in fits])
    return tuple(draw(st.lists(names, min_size=1, max_size=4, unique=True)))


@st.composite
def _ways(draw: st.DrawFn, source: str, names: list[str], *, errors: bool) -> list[Way]:
    ways, target = [], st.sampled_from(names)
    for kind, odds in (("conditional", 1), ("conditional", 3), ("plain", 1), ("fallback", 3), ("error", 2)):
        if draw(st.integers(0, odds)) == odds and (errors or kind != "error"):
            when = draw(st.sampled_from(sorted(PREDICATES))) if kind == "conditional" else None
            ways.append(Way(source, draw(target), kind, when, draw(_RARE_LIMIT)))
    return ways


ACTS = [
    *["wake", "expire", "ask", "ask", "note"],
    *["advance"] * 10,
    *["ack", "store", "emit", "fail", "leave", "cancel", "halt", "claim", "crash", "doom", "refuse", "stray", "wait"],
    *["timer", "pause", "resume", "give_up"],
]
histories = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 23)), max_size=40)


class Player:
    """Acts on a driver; whatever is refused is left at that."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.commands = 0

    def act(self, name: str, number: int) -> None:
        """Do one thing; `number` chooses among its variants."""
        driver = self.driver
        if driver.machine.fenced:
            driver.crash()
        try:
            getattr(self, name)(number)
        except Refused:
            pass
        except Died:
            driver.crash(keep=number % 3)

    def command(self) -> str:
        self.commands += 1
        return f"c{self.commands}"

    def advance(self, number: int) -> None:
        """What would happen next anyway."""
        driver = self.driver
        if driver.running:
            self.end(number)
        elif driver.sent or driver.unanswered:
            driver.ack()
        elif (due := next_moment_of_rest(driver.machine)) is not None:
            driver.now = max(driver.now, due)
            driver.wake()
        elif driver.status is _R.AWAITING_INPUT:
            self.decide(number)
        elif driver.status is _R.PAUSED:
            driver.resume(self.command())
        elif not ended(driver):
            driver.claim()

    def end(self, number: int) -> None:
        """A body or probe that runs comes to its end."""
        driver, starts = self.driver, list(self.driver.running.values())
        start = starts[number % len(starts)]
        node = label_of(start)
        batch = BATCHES[number % len(BATCHES)] if number % 3 else []
        if start.visit in driver.leaving and number % 2:
            driver.leave(node)
        elif start.probe:
            driver.probed([True, False, None][number % 3], *batch, node=node)
        elif number % 11 == 1:
            driver.fail(node=node, again=Again(0.5, number) if number > 1 else None, unknown=number == 12)
        else:
            places = sorted(driver.machine.fold.frame(start.path).blueprint.places)
            following = {21: "", 22: places[0], 23: places[-1], 20: "nowhere"}.get(number)
            label = "here" if number % 10 == 4 else None
            driver.finish(*batch, node=node, next=following, pause=number % 7 == 6, checkpoint=label)

    def decide(self, number: int) -> None:
        driver = self.driver
        waiting = [barrier for entry in driver.frontier.values() for barrier, _, _ in entry.open_barriers]
        chosen = waiting[number % len(waiting)]
        confirm = Confirm(driver.noted(self.result()))
        options: list[Decision] = [Approve(), Reject("no"), Approve(), Retry(), Fail(), confirm]
        for shift in range(len(options)):
            try:
                decision = options[(number + shift) % len(options)]
                driver.decide(decision, self.command(), barrier=chosen, slot=number % 4 != 3)
                return
            except Refused:
                continue  # this barrier takes another kind of decision

    def result(self):
        return self.driver.batch(Add(1))

    def ack(self, number: int) -> None:
        self.driver.ack(1 + number % 3, grouped=number % 2 == 0)

    def store(self, number: int) -> None:
        self.driver.store(1 + number % 2)

    def emit(self, number: int) -> None:
        if self.driver.running:
            self.driver.emit(f"chunk {number}")

    def fail(self, number: int) -> None:
        if self.driver.running:
            self.driver.fail()

    def leave(self, number: int) -> None:
        if self.driver.running:
            self.driver.leave()

    def cancel(self, number: int) -> None:
        if number % 3 == 0:
            self.driver.cancel(self.command())

    def halt(self, number: int) -> None:
        self.driver.halt(hard=number % 2 == 0)

    def claim(self, number: int) -> None:
        self.driver.claim()

    def crash(self, number: int) -> None:
        self.driver.crash(keep=number % 3)

    def doom(self, number: int) -> None:
        """The process dies in the middle of what it does next."""
        self.driver.doom = number % 5

    def refuse(self, number: int) -> None:
        if number % 4 == 0 and (self.driver.sent or self.driver.acks == "settled"):
            self.driver.refuse()

    def wait(self, number: int) -> None:
        self.driver.now += number / 4

    def timer(self, number: int) -> None:
        self.driver.now += number
        waiting = [barrier for entry in self.driver.frontier.values() for barrier, _, _ in entry.open_barriers]
        for barrier in waiting:
            self.driver.fire(barrier, slot=number % 4 != 3)

    def ask(self, number: int) -> None:
        """A body asks for a decision; asked again under the same key it is the same question."""
        starts = [start for start in self.driver.running.values() if not start.probe]
        if starts:
            name, timeout = f"ask{number % 3}", 4.0 if number % 2 else None
            question = AskDecision(f"decision:{name}", name, 0, Raw(b"\xc0"), timeout)
            self.driver.ask(question, node=label_of(starts[number % len(starts)]))

    def note(self, number: int) -> None:
        """A body has a result that must not be made twice."""
        starts = [start for start in self.driver.running.values() if not start.probe]
        if starts:
            self.driver.ask(Journal(f"effect:e{number % 3}", b"\xc0"), node=label_of(starts[number % len(starts)]))

    def wake(self, number: int) -> None:
        self.driver.now += number / 4
        self.driver.wake()

    def expire(self, number: int) -> None:
        self.driver.now += number
        self.driver.expire()

    def pause(self, number: int) -> None:
        self.driver.pause(self.command())

    def resume(self, number: int) -> None:
        self.driver.resume(self.command())

    def give_up(self, number: int) -> None:
        if number == 0 and self.driver.ownerless:
            self.driver.give_up()

    def stray(self, number: int) -> None:
        """Something that nobody asked for."""
        driver, now = self.driver, self.driver.now
        gone = max(visit for visit in range(max(driver.frontier, default=2)) if visit not in driver.running)
        strays = [
            NodeFinished(gone, driver.batch(Add(100)), now),
            NodeFinished(99, (), now),
            NodeCancelled(gone, now),
            BodiesCancelled((gone,), now),
            Probed(gone, True, driver.batch(Add(100)), now),
            Emitted(gone, "late", now),
            CommitDurable(driver.disk.seq - 1, now),
        ]
        if number < len(strays):
            driver.feed(strays[number])
        else:
            driver.decide(Approve(), self.command(), barrier=f"p0@{number}")

    def calm_down(self) -> None:
        """No more accidents: whoever is left goes on from what is stored, and everything under way ends."""
        driver = self.driver
        driver.doom, driver.rejects = None, False
        if driver.machine.fenced:
            driver.crash()
        if driver.ownerless and driver.status in (_R.RUNNING, _R.CANCELLING):
            driver.claim()
        driver.settle()
