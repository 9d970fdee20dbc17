"""Mailboxes under a fault plan: what an actor takes is not what was sent to it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar, cast

from terzetto_protocol.records import Write

from .._mailbox import Envelope
from ._actions import Twist, act
from ._virtual_time import settled

if TYPE_CHECKING:
    from ._plan import FaultPlan

Waiting: TypeAlias = tuple[Write, Any]
"""A write and who hears what became of it: what the persistence actor takes."""
L = TypeVar("L", bound=Envelope[Any, Any] | Waiting)

PERSISTENCE: Final = "persistence"


async def pass_letter(plan: "FaultPlan", mailbox: str, letter: L, more: Callable[[], L | None]) -> list[L]:
    """What an actor takes in place of a message, in order. A checkpoint if it is made to wait."""
    letters = [letter]
    for action in plan.due("mailbox", mailbox, _message(letter)):
        if isinstance(action, Twist):
            letters = await _twist(action, letters, partial(_next, plan, mailbox, more))
        else:
            await act(action)
    return letters


async def pass_writes(plan: "FaultPlan", waiting: list[Waiting], count: int) -> None:
    """Let the first `count` writes that wait pass, and leave in their place what the actor takes instead."""
    passed, unseen = 0, min(len(waiting), count)

    def more() -> Waiting | None:
        """The next write of another run: those of one run stay in their order, as every channel keeps it."""
        nonlocal unseen
        run_id = waiting[passed][0].run_id
        for index in range(passed + 1, len(waiting)):
            if waiting[index][0].run_id != run_id:
                unseen -= index < passed + unseen
                return waiting.pop(index)
        return None

    while unseen:
        letters = await pass_letter(plan, PERSISTENCE, waiting[passed], more)
        waiting[passed : passed + 1] = letters
        passed += len(letters)
        unseen -= 1


async def _next(plan: "FaultPlan", mailbox: str, more: Callable[[], L | None]) -> list[L]:
    """What comes behind a message, when nothing moves any more; nothing, if none has come."""
    await settled()
    other = more()
    return [] if other is None else await pass_letter(plan, mailbox, other, more)


async def _twist(action: Twist, letters: list[L], behind: Callable[[], Awaitable[list[L]]]) -> list[L]:
    if action.text == "drops":
        return []
    if action.text == "duplicates":
        return [each for letter in letters for each in (letter, letter)]
    if action.text == "corrupts":
        return [_changed(letter, action.detail) for letter in letters]
    return [*await behind(), *letters]


def _message(letter: Envelope[Any, Any] | Waiting) -> Any:
    return letter.message if isinstance(letter, Envelope) else letter[0]


def _changed(letter: L, change: Callable[[Any], Any]) -> L:
    if isinstance(letter, Envelope):
        return cast("L", Envelope(change(letter.message), letter.slot))
    return cast("L", (change(letter[0]), letter[1]))
