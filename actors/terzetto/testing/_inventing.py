"""Worlds that nobody would think of, each from one number."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

from terzetto_protocol.commands import Cancel, Command, Fork, Pause, Resume, Retry, Undo
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.places import Effects

from .. import _faults
from ._invented_graphs import Journey, Plan, Section, Shape, Temper
from ._scenario import Act, Crash, CrashAt, Fault, Freeze, Person, Restart, Scenario, Submission, Way
from ._simulated_luck import Trouble
from ._world import World

SECONDS: Final = 6.0
"""How long things go wrong in an invented world, by default."""
_EFFECTS: Final[tuple[Effects, ...]] = ("pure", "repeatable", "repeatable", "once")


def invent(seed: int) -> Scenario:
    """A world: one or two graphs, some runs of them, people, and faults; the same seed makes the same one.

    The graphs have chains, loops, barriers, parallel branches, maps, graphs inside and dataflows, of nodes with all
    kinds of effects, attempts, timeouts, questions, pauses and failures.
    """
    dice = Random(f"invent {seed}")  # noqa: S311 - a simulation, no secret
    plans = [_plan(dice, f"g{number}") for number in range(1 + (dice.random() < 0.15))]
    submits = tuple(_submission(dice, plans, f"r{number}") for number in range(dice.choice((1, 1, 2, 2, 3))))
    return Scenario(
        graphs=partial(_build, tuple(plans)),
        submits=submits,
        acts=_acts(dice, [each.run_id for each in submits]),
        people=_people(dice),
        faults=invent_faults(dice.randrange(2**32)),
        processes=dice.choice((1, 1, 1, 2)),
        latency=dice.choice((0.001, 0.01, 0.1)),
        options=_options(dice),
    )


def invent_faults(seed: int, *, seconds: float = SECONDS) -> tuple[Fault, ...]:
    """Up to four things that go wrong in so many seconds; none, now and then.

    Args:
        seed: the same one makes the same faults.
        seconds: everything is over by then, but for a freeze that begins late.
    """
    dice = Random(f"faults {seed}")  # noqa: S311 - a simulation, no secret
    return tuple(_fault(dice, seconds) for _ in range(dice.choice((0, 1, 1, 2, 2, 3, 4))))


def _fault(dice: Random, seconds: float) -> Fault:
    at, down = seconds * dice.random(), dice.random()
    kind = dice.random()
    if kind < 0.3:
        return Crash(at, down)
    if kind < 0.6:
        return CrashAt(dice.choice([*_faults.POINTS]), dice.randint(1, 5), down)
    if kind < 0.65:
        return Restart(at, down)
    if kind < 0.8:
        return Freeze(at, 0.5 + 2.0 * dice.random(), 0.3 * down)
    lasts = (seconds - at) * dice.random()
    fails, loses, hangs = (dice.choice((0.0, 0.1, 0.5)) for _ in range(3))
    return Trouble(at, lasts, fails, loses, hangs, slow=dice.choice((0.0, 0.5)))


def _build(plans: tuple[Plan, ...], world: World) -> list[Declaration[Any, Any]]:
    return [plan.build(world) for plan in plans]


def _options(dice: Random) -> dict[str, Any]:
    options: dict[str, Any] = {"dispatch": dice.choice(("direct", "direct", "task")), "shutdown_deadline": 1.0}
    if dice.random() < 0.2:
        options["pool_size"] = 1
    return options


# -- graphs ----------------------------------------------------------------------------------------------------


def _plan(dice: Random, name: str) -> Plan:
    if dice.random() < 0.15:
        return Plan(name, (), tuple(_temper(dice, flow=True) for _ in range(dice.randint(1, 3))))
    shapes: list[Shape] = ["node", "node", "node", "barrier", "parallel", "map", "subgraph"]
    count = dice.randint(1, 5)
    return Plan(name, tuple(_section(dice, dice.choice(shapes), f"p{number}") for number in range(count)))


def _section(dice: Random, shape: Shape, name: str) -> Section:
    many = shape in ("parallel", "subgraph")
    return Section(
        shape,
        name,
        () if shape == "barrier" else tuple(_temper(dice) for _ in range(dice.randint(1, 3) if many else 1)),
        loops=dice.random() < 0.2,
        timeout=dice.choice((None, None, 1.0, 5.0)),
        fails=dice.random() < 0.3,
        errors=dice.choice(("fail_fast", "collect")),
        limit=dice.choice((None, 1, 2)),
    )


def _temper(dice: Random, *, flow: bool = False) -> Temper:
    effects = dice.choice(_EFFECTS)
    is_once = effects == "once"
    return Temper(
        effects,
        slow=dice.choice((0.0, 0.0, 0.2, 1.0)),
        fails=dice.choice((0.0, 0.0, 0.0, 0.3)),
        talks=dice.random() < 0.3,
        pauses=0.0 if flow else dice.choice((0.0, 0.0, 0.0, 0.2)),
        asks=not is_once and dice.random() < 0.1,
        tries=1 if is_once else dice.choice((1, 1, 3)),
        run_timeout=dice.choice((None, None, None, 0.7)),
        probed=is_once and not flow and dice.random() < 0.5,
    )


# -- people ----------------------------------------------------------------------------------------------------


def _submission(dice: Random, plans: list[Plan], run_id: str) -> Submission:
    plan = dice.choice(plans)
    options: dict[str, Any] = {}
    if dice.random() < 0.1:
        options["deadline"] = 5.0
    if dice.random() < 0.1:
        options["durability"] = dice.choice(("barriers", "exit"))
    if dice.random() < 0.1:
        options["auto_approve"] = True
    state: Any = _begin if plan.flow else Journey()
    return Submission(plan.name, state, run_id, at=dice.choice((0.0, 0.0, dice.random())), options=options)


def _begin(graph: Any) -> Any:
    return graph.begin({"count": 2})


def _people(dice: Random) -> tuple[Person, ...]:
    patient = Person("ann", every=dice.choice((0.3, 1.0)), since=dice.choice((0.0, 2.0)))
    return dice.choice(((), (patient,), (patient, Person("bob", every=0.5, until=SECONDS))))


def _acts(dice: Random, run_ids: list[str]) -> tuple[Act, ...]:
    ways: tuple[Way, ...] = ("call", "desk", "inbox") if dice.random() < 0.3 else ("call", "desk")
    acts = list[Act]()
    for number in range(dice.choice((0, 0, 1, 1, 2, 3))):
        command = _command(dice, dice.choice(run_ids), number)
        acts.append(Act(SECONDS * dice.random(), command, dice.choice(("ann", "cy")), dice.choice(ways)))
    return tuple(acts)


def _command(dice: Random, run_id: str, number: int) -> Command:
    name = f"c{number}"
    makers: list[Callable[[], Command]] = [
        lambda: Cancel(name, run_id, "enough"),
        lambda: Pause(name, run_id),
        lambda: Pause(name, run_id),
        lambda: Resume(name, run_id),
        lambda: Undo(name, run_id, 1, repeat_effects=dice.random() < 0.7),
        lambda: Fork(name, run_id, f"{run_id}-{name}", repeat_effects=dice.random() < 0.7),
        lambda: Retry(name, run_id, f"{run_id}-{name}", repeat_effects=True),
    ]
    return dice.choice(makers)()
