"""Worlds that nobody would think of, each from one number."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.commands import (
    Cancel,
    Command,
    Delete,
    Fork,
    Pause,
    Resume,
    Retry,
    Truncate,
    Undo,
)
from terzetto_protocol.declaration import Declaration
from terzetto_protocol.places import Effects
from terzetto_protocol.threads import BUSY

from .. import _faults
from ._invented_checks import holds_together
from ._invented_graphs import Plan, Section, Shape, Temper
from ._invented_traits import Traits, invent_release, invent_traits
from ._scenario import Act, Crash, CrashAt, Fault, Freeze, Person, Restart, Scenario, Submission, Way
from ._simulated_luck import Trouble
from ._world import World

SECONDS: Final = 6.0
"""How long things go wrong in an invented world, by default."""
_EFFECTS: Final[tuple[Effects, ...]] = ("pure", "repeatable", "repeatable", "once")


def invent(seed: int) -> Scenario:
    """A world: one or two graphs, some runs of them, people, and faults; the same seed makes the same one.

    The graphs have chains, loops, barriers, parallel branches, maps, graphs inside and dataflows, of nodes with all
    kinds of effects, attempts, timeouts, questions, pauses, failures and blobs. Some worlds have threads, a retention,
    sinks, or newer versions of their graphs on the way.
    """
    dice = Random(f"invent {seed}")  # noqa: S311 - a simulation, no secret
    traits = invent_traits(dice)
    plans = tuple(_plan(dice, f"g{number}", traits) for number in range(1 + (dice.random() < 0.15)))
    count = dice.randint(2, 4) if traits.thread else dice.choice((1, 1, 2, 2, 3))
    submits = tuple(_submission(dice, plans, f"r{number}", traits) for number in range(count))
    faults = invent_faults(dice.randrange(2**32))
    releases, restarts = invent_release(dice, partial(_build, plans, newer=True)) if traits.newer else ((), ())
    return Scenario(
        graphs=partial(_build, plans),
        submits=submits,
        acts=_acts(dice, [each.run_id for each in submits], traits),
        people=_people(dice),
        faults=(*(each for each in faults if traits.may_split or not isinstance(each, Freeze)), *restarts),
        releases=releases,
        sinks=traits.sinks,
        linger=traits.linger,
        processes=dice.choice((1, 1, 1, 2)),
        latency=dice.choice((0.001, 0.01, 0.1)),
        check=holds_together,
        options=_options(dice, traits),
        lease=dice.choice((None, None, 2.0)),
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


def _build(plans: tuple[Plan, ...], world: World, *, newer: bool = False) -> list[Declaration[Any, Any]]:
    return [plan.build(world, newer=newer) for plan in plans]


def _options(dice: Random, traits: Traits) -> dict[str, Any]:
    options: dict[str, Any] = {"dispatch": dice.choice(("direct", "direct", "task")), "shutdown_deadline": 1.0}
    if dice.random() < 0.2:
        options["pool_size"] = 1
    if traits.retention is not None:
        options["retention"] = traits.retention
    return options


# -- graphs ----------------------------------------------------------------------------------------------------


def _plan(dice: Random, name: str, traits: Traits) -> Plan:
    if dice.random() < 0.15:
        return Plan(name, (), tuple(_temper(dice, traits, flow=True) for _ in range(dice.randint(1, 3))))
    shapes: list[Shape] = ["node", "node", "node", "barrier", "parallel", "map", "subgraph"]
    count = dice.randint(1, 5)
    return Plan(name, tuple(_section(dice, dice.choice(shapes), f"p{number}", traits) for number in range(count)))


def _section(dice: Random, shape: Shape, name: str, traits: Traits) -> Section:
    many = shape in ("parallel", "subgraph")
    return Section(
        shape,
        name,
        () if shape == "barrier" else tuple(_temper(dice, traits) for _ in range(dice.randint(1, 3) if many else 1)),
        loops=dice.random() < 0.2,
        timeout=dice.choice((None, None, 1.0, 5.0)),
        fails=dice.random() < 0.3,
        errors=dice.choice(("fail_fast", "collect")),
        limit=dice.choice((None, 1, 2)),
    )


def _temper(dice: Random, traits: Traits, *, flow: bool = False) -> Temper:
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
        keeps=traits.blobs and not flow and dice.random() < 0.5,
        probed=is_once and not flow and dice.random() < 0.5,
    )


# -- people ----------------------------------------------------------------------------------------------------


def _submission(dice: Random, plans: tuple[Plan, ...], run_id: str, traits: Traits) -> Submission:
    plan = plans[0] if traits.thread else dice.choice(plans)
    options: dict[str, Any] = {}
    if dice.random() < 0.1:
        options["deadline"] = 5.0
    if dice.random() < 0.1:
        options["durability"] = dice.choice(("barriers", "exit"))
    if dice.random() < 0.1:
        options["auto_approve"] = True
    if traits.retention is not None and dice.random() < 0.7:
        options["checkpoints"] = CheckpointPolicy(every=dice.choice((1, 2, 3)))
    if traits.thread:
        options |= {"thread": "t", "busy": dice.choice((*BUSY, "enqueue"))}
    at = dice.choice((0.0, 0.0, dice.random(), SECONDS * dice.random() if traits.thread else 0.0))
    return Submission(plan.name, _begin_flow if plan.flow else _begin, run_id, at=at, options=options)


def _begin_flow(graph: Any) -> Any:
    return graph.begin({"count": 2})


def _begin(graph: Any) -> Any:
    return graph.state()


def _people(dice: Random) -> tuple[Person, ...]:
    patient = Person("ann", every=dice.choice((0.3, 1.0)), since=dice.choice((0.0, 2.0)))
    return dice.choice(((), (patient,), (patient, Person("bob", every=0.5, until=SECONDS))))


def _acts(dice: Random, run_ids: list[str], traits: Traits) -> tuple[Act, ...]:
    ways: tuple[Way, ...] = ("call", "desk", "inbox") if dice.random() < 0.3 else ("call", "desk")
    acts = list[Act]()
    for number in range(dice.choice((1, 2, 3) if traits.thread else (0, 0, 1, 1, 2, 3))):
        command = _command(dice, dice.choice(run_ids), number, traits)
        acts.append(Act(SECONDS * dice.random(), command, dice.choice(("ann", "cy")), dice.choice(ways)))
    return tuple(acts)


def _command(dice: Random, run_id: str, number: int, traits: Traits) -> Command:
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
    if traits.thread:
        makers += (
            2 * len(makers) * [lambda: Cancel(name, run_id, "back", "rollback", repeat_effects=dice.random() < 0.5)]
        )
    if not traits.may_split:
        makers += [lambda: Delete(name, run_id), lambda: Truncate(name, run_id, dice.randint(2, 9))]
    return dice.choice(makers)()
