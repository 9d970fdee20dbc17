"""What a decision means at a barrier: checked against the graph before anything moves."""

from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct

from .blueprint import Blueprint
from .closest import closest
from .codec import unpack_plain
from .decisions import (
    Approve,
    Choose,
    Confirm,
    Decision,
    Exiting,
    Fail,
    Modify,
    Recorded,
    Reject,
    Reroute,
    Retry,
)
from .errors import InvalidRequest, Malformed, NotStorable, Refused, describe
from .pending import Pending
from .places import Barrier
from .records import Ask
from .statuses import VisitStatus

S = TypeVar("S")


class Verdict(Struct, frozen=True):
    """What becomes of the visit that waited, and which edges are looked at."""

    outcome: VisitStatus
    exit: str = ""
    mutations: tuple[Recorded, ...] = ()
    target: str = ""
    """Where the run goes on whatever the edges say."""


def judge(run_id: str, blueprint: Blueprint[S], entry: Pending, decision: Decision, *, timeout: bool) -> Verdict:
    """What the decision does; raises `Refused` naming what this barrier takes."""
    if entry.status is VisitStatus.UNKNOWN:
        return _reconcile(run_id, blueprint, entry, decision)
    barrier = blueprint.barrier(entry.place)
    if barrier is None:
        raise Refused(run_id, f"the graph has no barrier {entry.place!r} any more")
    if timeout and isinstance(decision, Fail):
        return Verdict(VisitStatus.FAILED)
    if isinstance(decision, Reroute):
        if decision.target not in blueprint.places:
            text = f"no place {decision.target!r} (there are {', '.join(blueprint.places)})"
            raise Refused(run_id, f"barrier {entry.barrier} keeps waiting: {text}")
        return Verdict(VisitStatus.SUCCEEDED, target=decision.target)
    if not isinstance(decision, Approve | Reject | Choose | Modify) or not barrier.takes(decision):
        raise Refused(run_id, f"barrier {entry.barrier} does not take {decision!r}: its exits are {_exits(barrier)}")
    changes = _changes(run_id, blueprint, entry, decision) if isinstance(decision, Modify) else ()
    said = Approve() if isinstance(decision, Modify) else decision
    return Verdict(VisitStatus.SUCCEEDED, decision.exit, changes + _mutations(run_id, blueprint, barrier, said))


def check_answer(run_id: str, ask: Ask, decision: Decision) -> None:
    """Raise `Refused` for what a body did not ask for: another exit, or changes of what it did not show."""
    if getattr(decision, "exit", None) not in ask.exits:
        raise Refused(run_id, f"{ask.barrier} does not take {decision!r}: its exits are {', '.join(ask.exits)}")
    if isinstance(decision, Modify):
        shown = unpack_plain(ask.opening.payload)
        for name, value in decision.changes.items():
            if reason := _misfit(shown, name, value):
                raise Refused(run_id, f"{ask.barrier} keeps waiting: {reason}")


def _misfit(shown: Any, name: str, value: object) -> str:
    """Why this is no new value for a part of what was shown; empty if it is one."""
    parts = cast("dict[str, Any]", shown) if isinstance(shown, dict) else {}
    if name not in parts:
        close = closest(name, parts)
        hint = f"did you mean {close!r}?" if close else f"what may be changed: {', '.join(parts) or 'nothing'}"
        return f"it showed no {name!r} ({hint})"
    like: object = parts[name]
    try:
        msgspec.convert(value, Any if like is None else type(like))
    except msgspec.ValidationError as error:
        return f"{name} is malformed: {error}"
    return ""


def _changes(run_id: str, blueprint: Blueprint[Any], entry: Pending, decision: Modify) -> tuple[Recorded, ...]:
    try:
        return (blueprint.changes.note(decision.changes),)
    except (Malformed, NotStorable, InvalidRequest) as error:
        raise Refused(run_id, f"barrier {entry.barrier} keeps waiting: {error}") from error


def _reconcile(run_id: str, blueprint: Blueprint[Any], entry: Pending, decision: Decision) -> Verdict:
    if isinstance(decision, Confirm):
        return Verdict(VisitStatus.SUCCEEDED, mutations=_confirmed(run_id, blueprint, entry, decision.mutations))
    if isinstance(decision, Retry):
        return Verdict(VisitStatus.PENDING)
    if isinstance(decision, Fail):
        return Verdict(VisitStatus.FAILED)
    raise Refused(
        run_id,
        f"nobody knows whether the effect of {entry.barrier} happened: answer confirm, retry or fail, not {decision!r}",
    )


def _confirmed(
    run_id: str, blueprint: Blueprint[Any], entry: Pending, mutations: Sequence[Recorded]
) -> tuple[Recorded, ...]:
    """What a visit that did happen is to leave in the state: what it recorded, or, in a dataflow, what it sent."""
    try:
        if blueprint.flow is not None:
            return tuple(blueprint.flow.confirmed(entry.ticket, entry.place, entry.sent, mutations))
        for mutation in mutations:
            blueprint.vocabulary.revive(mutation)
    except (Malformed, NotStorable, InvalidRequest) as error:
        raise Refused(run_id, str(error)) from error
    return tuple(mutations)


def _mutations(run_id: str, blueprint: Blueprint[S], barrier: Barrier[S], decision: Exiting) -> tuple[Recorded, ...]:
    if barrier.options.decided is None:
        return ()
    try:
        return tuple(blueprint.vocabulary.note(mutation) for mutation in barrier.options.decided(decision))
    except NotStorable as error:
        raise Refused(run_id, f"barrier {barrier.name}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise Refused(run_id, f"barrier {barrier.name}: its `decided` raised {describe(error)}") from error


def _exits(barrier: Barrier[Any]) -> str:
    return ", ".join(barrier.exits)
