"""What bodies of one run ask, and what they wait to be told.

It owns a slot per open question. It tells the run by delivering `BodyAsked`, and hears the answers from the
run's turns. A body that is cancelled takes its slot along; what it asked is answered to whoever asks again.
"""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from math import inf
from typing import Any, Final, Protocol

import trio

from terzetto_protocol.decisions import Answering, Approve, Choose, Fail, Modify, Reject
from terzetto_protocol.errors import DecisionTimeout, Refused, SubgraphFailed
from terzetto_protocol.inputs import BodyAsked, GivenUp, Input, RetryDue, TimerFired
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import due_barriers, due_retries, next_moment
from terzetto_protocol.questions import AskDecision, Inner, Journal, Part, Question, Sending
from terzetto_protocol.records import Answer
from terzetto_protocol.turn import Answered

from ._mailbox import Slot


class Teller(Protocol):
    """The run, as far as its bodies' questions need it."""

    @property
    def machine(self) -> RunMachine[Any]:
        """What decides."""
        ...

    def deliver(self, msg: Input) -> None:
        """Take a turn."""
        ...


class Questions:
    """The questions of one run's bodies, and its timers while somebody waits.

    Args:
        actor: the run.
        clock: UNIX time, seconds.
        answers: whether somebody may decide; else only a timeout does, and the run's own approval.
    """

    __slots__ = ("_actor", "_answers", "_clock", "_slots")

    def __init__(self, actor: Teller, clock: Callable[[], float], *, answers: bool) -> None:
        self._actor: Final = actor
        self._answers: Final = answers
        self._clock: Final = clock
        self._slots: Final[dict[tuple[int, str], Slot[Answer]]] = {}

    def told(self, answered: Answered) -> None:
        """An answer is durable. Whoever asked may have gone: the next who asks is told."""
        slot = self._slots.get((answered.visit, answered.key))
        if slot is not None:
            slot.answer(answered.answer)

    async def decide(self, visit: int, question: AskDecision) -> Answering:
        """Wait for a decision. A checkpoint; raises `DecisionTimeout`, and `Refused` where there can be none."""
        if not (self._answers or question.timeout is not None or self._approves(question)):
            text = f"nobody is there to decide {question.name!r} (exits: {', '.join(question.exits)}): pass decider="
            raise Refused(self._actor.machine.run_id, f"{text}, give it a timeout, or use a runtime")
        answer = await self._ask(visit, question)
        if isinstance(answer.decision, Modify):
            return deepcopy(answer.decision)  # what the run keeps may not change with what the body does to its own
        if isinstance(answer.decision, Approve | Reject | Choose):
            return answer.decision
        raise DecisionTimeout(question.name, answer.decision.reason if isinstance(answer.decision, Fail) else "")

    def _approves(self, question: AskDecision) -> bool:
        return self._actor.machine.fold.header.auto_approve and Approve.exit in question.exits

    async def do(self, visit: int, part: Part) -> Any:
        """Do a part of a visit's work, unless its result is known. A checkpoint."""
        answer = self._known(visit, part.key)
        if answer is None:
            made = await part.fn(part.effect_key)
            answer = await self._ask(visit, Journal(part.key, part.pack(made)))
        await trio.lowlevel.checkpoint_if_cancelled()
        return part.unpack(answer.value)

    async def run(self, visit: int, inner: Inner) -> Any:
        """Run a graph within a visit. A checkpoint; raises `SubgraphFailed`.

        Cancelled, it waits until what runs inside has left, at most for `CANCEL_GRACE` seconds.
        """
        key = inner.key
        slot = self._slots[visit, key] = Slot[Answer]()
        try:
            answer = await self._wait(visit, inner.question, slot)
        except trio.Cancelled:
            await self._give_up(visit, key, slot)  # noqa: ASYNC102 - it is shielded inside, with a deadline
            raise
        finally:
            self._slots.pop((visit, key), None)
        if answer.failure is not None:
            raise SubgraphFailed(inner.question.graph.name, answer.failure.code, answer.failure.message)
        inner.leave(answer.value)
        return inner.unpack(answer.value)

    async def _give_up(self, visit: int, key: str, slot: Slot[Answer]) -> None:
        try:
            self._actor.deliver(GivenUp(visit, key, self._clock()))
        except Refused:
            return  # the run leaves it to whoever goes on with the visit, or nothing of it is left
        with trio.move_on_after(CANCEL_GRACE, shield=True):
            await slot.wait()

    async def send(self, visit: int, sending: Sending) -> None:
        """Send a value, unless it was sent already. A checkpoint; raises as the machine does.

        Raises:
            Refused: it was sent, and makes more visits than the run may: one that sent for ever would never hear it.
        """
        answer = await self._ask(visit, sending)
        if answer.failure is not None:
            raise Refused(self._actor.machine.run_id, answer.failure.message)

    def _known(self, visit: int, key: str) -> Answer | None:
        entry = self._actor.machine.fold.image.frontier.get(visit)
        return None if entry is None else entry.journal.get(key)

    async def _ask(self, visit: int, question: Question) -> Answer:
        slot = self._slots[visit, question.key] = Slot[Answer]()
        try:
            return await self._wait(visit, question, slot)
        finally:
            self._slots.pop((visit, question.key), None)

    async def _wait(self, visit: int, question: Question, slot: Slot[Answer]) -> Answer:
        self._actor.deliver(BodyAsked(visit, question, self._clock()))
        while not slot.answered:
            await self.until(slot)
        return await slot.wait()

    async def until(self, slot: Slot[Answer]) -> None:
        """Wait for an answer, and see to what happens by itself meanwhile. A checkpoint."""
        due = next_moment(self._actor.machine)
        with trio.move_on_after(inf if due is None else max(0.0, due - self._clock())):
            await slot.wait()
        if not slot.answered:
            self.fire()

    def fire(self) -> None:
        """Tell the run what is due. Not a checkpoint."""
        machine, now = self._actor.machine, self._clock()
        for barrier in due_barriers(machine, now):
            self.deliver_late(TimerFired(barrier, now))
        for visit in due_retries(machine, now):
            self.deliver_late(RetryDue(visit, now))

    def deliver_late(self, msg: Input) -> None:
        """Deliver what something else may have made pointless in this very moment."""
        with suppress(Refused):
            self._actor.deliver(msg)
