"""A visit that is pending: what still has to happen before its run can end, and how it is named."""

from typing import Final

import msgspec
from msgspec import Struct

from .ids import barrier_id
from .records import Answer, Ask, Opening
from .statuses import VisitStatus

WAITING: Final = frozenset({VisitStatus.AWAITING_INPUT, VisitStatus.UNKNOWN})
"""Statuses of a visit that waits for a decision."""
LASTING: Final = frozenset({VisitStatus.SUCCEEDED, VisitStatus.FAILED, VisitStatus.CANCELLED, VisitStatus.SKIPPED})
"""Statuses of a visit that nothing follows."""


class Pending(Struct, array_like=True):
    """A visit in the frontier: what still has to happen before the run can end."""

    visit: int
    place: str
    path: str = ""
    status: VisitStatus = VisitStatus.PENDING
    attempt: int = 0
    opening: Opening | None = None
    asked: int = 0
    """How often a decision about this visit was asked for."""
    due: float | None = None
    """When its next attempt begins, as UNIX time, while it waits for that."""
    asks: dict[str, Ask] = {}
    """Decisions that its body waits for, by their keys."""
    journal: dict[str, Answer] = {}
    """What its body was told, by the keys of its questions: told again to a body that runs again."""
    ticket: int = 0
    """In a dataflow, which of the completed inputs are its own."""
    sent: bytearray = msgspec.field(default_factory=bytearray)
    """Digests of what it has sent, one after the other: passed over when a body that runs again sends it again."""

    @property
    def open_barriers(self) -> list[tuple[str, str, Opening]]:
        """What somebody has to decide about this visit: id, name and opening."""
        own = [] if self.opening is None else [(self.barrier, self.place, self.opening)]
        return own + [(ask.barrier, ask.name, ask.opening) for ask in self.asks.values()]

    def asked_as(self, barrier: str) -> str | None:
        """The key of the question that this barrier id stands for."""
        return next((key for key, ask in self.asks.items() if ask.barrier == barrier), None)

    @property
    def barrier(self) -> str:
        """The id under which this visit is decided, if it is a barrier's or an unknown effect's."""
        if self.opening is not None and self.opening.known:
            return self.opening.known
        return barrier_id(self.path, self.place, self.visit, max(0, self.asked - 1))


def is_within(path: str, fork: str) -> bool:
    """Whether this path leads through a fork's branches."""
    return path.startswith(fork) and (len(path) == len(fork) or path[len(fork)] == "/")


def fork_path(entry: Pending) -> str:
    """The path of the fork that a composite's visit opens; in a dataflow one place may have several at once."""
    place = f"{entry.place}.{entry.ticket}" if entry.ticket else entry.place
    return f"{entry.path}/{place}" if entry.path else place


def label_of(entry: Pending) -> str:
    """How a visit is named where its effect is unknown: `path/node@visit`."""
    return f"{entry.path}/{entry.place}@{entry.visit}" if entry.path else f"{entry.place}@{entry.visit}"
