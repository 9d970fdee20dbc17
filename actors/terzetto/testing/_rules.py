"""Rules of a fault plan: which passes of which place they are about, and what they do to them."""

from collections.abc import Callable
from difflib import get_close_matches
from random import Random
from typing import Any, Literal, TypeAlias

from attrs import define, frozen

from terzetto_protocol.errors import InvalidRequest

from ._actions import Action

Kind: TypeAlias = Literal["point", "node", "after", "dispatch", "mailbox", "store"]


class ImpossibleFault(InvalidRequest):
    """A plan says what cannot be, such as a delay where nothing may wait; nothing was planned.

    `wanted` is what was asked for, and `possible` is all that there is in its place.
    """

    def __init__(self, message: str, wanted: str = "", possible: tuple[str, ...] = ()) -> None:
        self.wanted, self.possible = wanted, possible
        super().__init__(message)


def known(what: str, wanted: str, possible: tuple[str, ...]) -> str:
    """Return what was asked for; raises `ImpossibleFault` naming what there is."""
    if wanted not in possible:
        close = get_close_matches(wanted, possible, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ImpossibleFault(f"there is no {what} {wanted!r}{hint}; there are {', '.join(possible)}", wanted, possible)
    return wanted


@frozen
class Fault:
    """Something that a plan did."""

    where: str
    """As in `FaultPlan.passed`."""
    number: int
    """Which pass of that place it was, from 1 on."""
    what: str

    def __str__(self) -> str:
        return f"{self.where} #{self.number}: {self.what}"


@define(eq=False)
class Rule:
    """One sentence of a plan."""

    kind: Kind
    name: str | None
    """Of the node, the call or the mailbox; None for every one."""
    sentence: str
    """As it was written."""
    action: Action
    predicates: tuple[Callable[[Any], bool], ...]
    first: int
    last: float
    chance: float
    counted: int = 0
    """Passes that its predicates hold for."""
    applied: int = 0

    @property
    def missed(self) -> bool:
        """Whether it has never applied, and not because of its chance."""
        return not self.applied and (self.chance >= 1 or self.counted < self.first)

    def takes(self, name: str, what: object, random: Random) -> bool:
        """Whether this pass is one of its own; counts it."""
        if self.name not in (None, name) or not all(predicate(what) for predicate in self.predicates):
            return False
        self.counted += 1
        if not self.first <= self.counted <= self.last:
            return False
        if self.chance < 1 and random.random() >= self.chance:
            return False
        self.applied += 1
        return True
