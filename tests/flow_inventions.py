"""Dataflows that nobody would think of, for the property tests; and a player who acts their bodies out."""

from typing import Any

from attrs import frozen
from hypothesis import strategies as st

from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.decisions import Approve, Confirm, Decision, Fail, Retry
from terzetto_protocol.errors import Refused, TerzettoError
from terzetto_protocol.flow_state import INPUTS
from terzetto_protocol.inputs import Again
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.turn import Start

from .flows import flow
from .inventions import ACTS, Player
from .machines import Driver

KINDS = ["pure", "repeatable", "repeatable", "tried", "once", "flow", "itself"]
OUTPUTS = ["out", "two", "error"]
PARTS = ["", "", "", "_$_0", "_#_k"]


@frozen
class FlowPlan:
    """A dataflow, in a form that hypothesis can show and shrink."""

    kinds: tuple[str, ...]
    links: tuple[str, ...]
    inner: tuple[str, ...] = (".v>i.v", "i.out>.o")
    """Links of the one that nodes of the kind `flow` run."""
    max_steps: int = 20
    limit: int | None = None
    inner_limit: int | None = None
    on_node_error: str = "continue"
    inner_error: str = "continue"
    max_visits: int | None = None
    deadline: float | None = None

    def build(self) -> Dataflow[Any]:
        within = flow(*self.inner, named="within", limit=self.inner_limit, on_node_error=self.inner_error)
        names = [f"n{number}" for number in range(len(self.kinds))]
        options = {
            name: _options(kind, self.max_visits)
            for name, kind in zip(names, self.kinds, strict=True)
            if kind not in _INNER
        }
        return flow(
            *self.links,
            ".more>.o",
            alone=" ".join(options),
            inside={
                name: {"flow": within}.get(kind, kind)
                for name, kind in zip(names, self.kinds, strict=True)
                if kind in _INNER
            },
            max_steps=self.max_steps,
            limit=self.limit,
            on_node_error=self.on_node_error,
            **options,
        )

    def driver(
        self, acks: str, *, general: bool = False, strict: bool = False, logged: bool = True, alone: bool = False
    ) -> Driver:
        """A run of it; all of them are general, but for what their bodies say."""
        driver = Driver(self.build(), acks=acks, logged=logged, alone=alone, strict=strict, deadline=self.deadline)
        driver.general = general
        return driver


_INNER = ("flow", "itself")
_PINS = {"flow": ["v"], "itself": ["more"]}


def _options(kind: str, max_visits: int | None) -> dict[str, Any]:
    if kind == "tried":
        return {"retry": RetryPolicy(initial=2.0), "max_visits": max_visits}
    return {"effects": kind, "token_cost": 0.5}


@st.composite
def flow_plans(draw: st.DrawFn, *, limits: Any = None) -> FlowPlan:
    kinds = ["repeatable", *draw(st.lists(st.sampled_from(KINDS), max_size=4))]
    names = [f"n{number}" for number in range(len(kinds))]
    pins = {name: _PINS.get(kind, ["x", "y"]) for name, kind in zip(names, kinds, strict=True)}
    links = [f"n0.out>{name}.more" for name, kind in zip(names, kinds, strict=True) if kind == "itself"]  # else no end
    for _ in range(draw(st.integers(1, 9))):
        sink = draw(st.sampled_from([*names, ""]))
        pin = draw(st.sampled_from(pins[sink])) if sink else draw(st.sampled_from(["o", "p"]))
        links.append(
            f"{draw(_sources(kinds, names))}{draw(st.sampled_from(['>', '>', '>', '='])) if sink else '>'}{sink}.{pin}"
        )
    inner = [".v>i.v", "i.out>.o", *draw(st.lists(st.sampled_from(INSIDE), max_size=4, unique=True))]
    limit = st.sampled_from([None, None, 1, 2, 3]) if limits is None else limits
    return FlowPlan(
        tuple(kinds), tuple(links), tuple(inner), draw(st.integers(1, 40)), draw(limit), draw(limit),
        draw(st.sampled_from(["continue", "fail"])), draw(st.sampled_from(["continue", "fail"])),
        draw(st.sampled_from([None, None, 2])), draw(st.sampled_from([None, None, None, 30.0])),
    )  # fmt: skip


INSIDE = ["i.two>j.x", ".v=j.y", "j.out>.o", "i.error>j.x", "j.out>i.v", "i.out_$_0>j.x", ".v>.o"]


@st.composite
def _sources(draw: st.DrawFn, kinds: list[str], names: list[str]) -> str:
    """An output, or a part of one; an input now and then."""
    name = draw(st.sampled_from([*names, ""]))
    if not name:
        return f".{draw(st.sampled_from(['a', 'b']))}"
    kind = kinds[names.index(name)]
    output = draw(st.sampled_from(["o", "error"] if kind in _INNER else OUTPUTS))
    return f"{name}.{output if output == 'error' else output + draw(st.sampled_from(PARTS))}"


VALUES: list[Any] = [0, "text", None, [1, 2], {"k": 3}, {"k": [4]}, [], 7.5]
WRONG: list[Any] = [float("nan"), object(), "\ud800"]
FLOW_ACTS = [*(act for act in ACTS if act not in ("advance", "cancel", "expire", "give_up")), "cancel", "expire"]
FLOW_ACTS += ["advance"] * 5 + ["send"] * 25
flow_histories = st.lists(st.tuples(st.sampled_from(FLOW_ACTS), st.integers(0, 23)), min_size=10, max_size=60)


class FlowPlayer(Player):
    """A player whose bodies send: the same things in the same order, whenever they run again; mostly."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self.told: dict[int, tuple[Start, int]] = {}

    def begin(self) -> None:
        """Let the inputs go out."""
        for _ in range(5):
            if self.driver.running:
                self.driver.finish()
                self.driver.ack()
                return
            self.act("advance", 0)

    def act(self, name: str, number: int) -> None:
        try:
            super().act(name, number)
        except Refused:
            raise
        except TerzettoError:
            pass  # the body is told what was wrong with a value, and goes on

    def send(self, number: int) -> None:
        """A body sends its next value; some send what cannot be sent, or is another than before."""
        starts = [start for start in self.driver.running.values() if start.node != INPUTS and not start.probe]
        if not starts:
            self.advance(number)
            return
        start = starts[number % len(starts)]
        known, count = self.told.get(start.visit, (start, 0))
        count = count if known is start else 0
        output = "two" if count % 3 == 1 else "out"
        if number == 21:
            self.driver.send(0, "error", node=start.visit)
        value = (
            WRONG[number % 3]
            if number > 20
            else "another"
            if number == 13
            else VALUES[(count + start.visit) % len(VALUES)]
        )
        self.driver.send(value, output, node=start.visit)
        self.told[start.visit] = start, count + 1

    def end(self, number: int) -> None:
        """A body comes to its end."""
        driver, starts = self.driver, list(self.driver.running.values())
        start = starts[number % len(starts)]
        node = start.visit
        if start.visit in driver.leaving and number % 2:
            driver.leave(node)
        elif number % 7 == 3:
            driver.fail(node=node, again=Again(0.5, number) if number > 10 else None, unknown=number == 17)
        else:
            driver.finish(node=node)

    def decide(self, number: int) -> None:
        driver = self.driver
        waiting = [barrier for entry in driver.frontier.values() for barrier, _, _ in entry.open_barriers]
        chosen = waiting[number % len(waiting)]
        confirm = Dataflow.confirm([("out", 1)] * (number % 3))
        options: list[Decision] = [Approve(), Retry(), Fail(), confirm, Confirm()]
        for shift in range(len(options)):
            try:
                driver.decide(
                    options[(number + shift) % len(options)], self.command(), barrier=chosen, slot=number % 4 != 3
                )
                return
            except Refused:
                continue  # this barrier takes another kind of decision

    def stray(self, number: int) -> None:
        """Something that nobody asked for."""
        self.driver.decide(Approve(), self.command(), barrier=f"n0@{number}")
