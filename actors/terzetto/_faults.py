"""Named points, and other places, at which a test may end the process, delay it or count.

In production `hook` is None, and a point costs one attribute test. `TERZETTO_CRASH_AT=point:k` kills the
process at the k-th pass of a point, and is looked at only when `TERZETTO_FAULTS=1`.
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from terzetto_protocol.errors import InvalidRequest

if TYPE_CHECKING:
    from .stores._contract import Store

POINTS: Final[Mapping[str, str]] = {
    "submit_durable": "a new run is stored, its submitter not told yet",
    "node_start": "a body is about to run",
    "intent_durable": "the intent of a `once` visit is stored, its body has not begun",
    "effect_done": "a body has returned, nothing of it is known outside its task",
    "mutation_recorded": "a body's batch, not empty, is about to be decided on",
    "commit_applied": "a commit moved the run in memory, the store has not heard of it",
    "commit_sent": "a commit was handed to the persistence actor",
    "commit_durable": "a transaction is stored, nobody was told",
    "decision_durable": "a decision is stored, nobody was told",
    "event_published": "a durable event was handed to the hub",
    "receipt_sent": "a receipt was handed to whoever asked",
}
"""Every point, and what is true when it is passed."""


Handle: TypeAlias = Callable[..., Awaitable[Any]]


class Hook(Protocol):
    """What a test puts in the place of None; `terzetto.testing.FaultPlan` is one."""

    def __call__(self, point: str, what: object, /) -> None:
        """A point is passed, by or about this."""
        ...

    def body(self, handle: Handle, node: Any, start: Any, lent: Any, world: Any) -> Awaitable[Any]:
        """What is awaited in place of `handle(node, start, lent, world)`, which it is to await."""
        ...

    async def letters(self, mailbox: str, letter: Any, more: Callable[[], Any]) -> list[Any]:
        """What an actor takes in place of a message; `more` gives the next one that waits, or None."""
        ...

    async def writes(self, waiting: list[Any], count: int) -> None:
        """The first of the writes that wait are about to be stored; may change which they are."""
        ...

    def store(self, store: "Store") -> "Store":
        """What a runtime is to use in place of its store."""
        ...


hook: Hook | None = None
"""Told of everything that is passed."""
_armed: Hook | None = None
"""The one that the environment asked for."""


def install_from_environment(environ: Mapping[str, str] = os.environ) -> None:
    """Arm `TERZETTO_CRASH_AT`, if `TERZETTO_FAULTS=1` allows it; raises `InvalidRequest` for an unknown point."""
    global hook, _armed  # noqa: PLW0603 - one process dies at one point
    wanted = environ.get("TERZETTO_CRASH_AT", "")
    if environ.get("TERZETTO_FAULTS") != "1" or not wanted or hook is not _armed:
        return
    point, _, count = wanted.partition(":")
    if point not in POINTS or not (count or "1").isdecimal() or count == "0":
        raise InvalidRequest(f"TERZETTO_CRASH_AT={wanted!r} is not POINT or POINT:COUNT; points: {', '.join(POINTS)}")
    from .testing import FaultPlan

    hook = _armed = FaultPlan().at(point).on_pass(int(count or "1")).kills()
