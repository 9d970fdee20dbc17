"""Interrupts of a graph as questions of a node: asked once, answered by decisions, told to the graph once."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import trio
from attrs import define

from terzetto_protocol.asking import Asking
from terzetto_protocol.context import FlowContext, NodeContext
from terzetto_protocol.decisions import Answering, Approve, Choose, Modify, Reject
from terzetto_protocol.errors import TerzettoError

from ._session import Answers, Ask, Stop

GuestContext: TypeAlias = NodeContext[Any, Any] | FlowContext[Any]
"""What a node has to be given in which a graph is a guest."""

_RESUME: Final = "resume"


class GraphStopped(TerzettoError):
    """Somebody rejected that the graph goes on where it had stopped: before these nodes."""

    def __init__(self, run_id: str, before: tuple[str, ...], reason: str) -> None:
        self.run_id, self.before, self.reason = run_id, before, reason
        text = f"run {run_id!r}: the graph stopped before {', '.join(before)}, and was not to go on"
        super().__init__(f"{text}: {reason}" if reason else text)


def resumed(answer: Answering) -> Any:
    """What `interrupt()` returns for a decision.

    `Modify({"resume": value})` gives the value, `Approve()` True, `Reject()` False, and `Choose(exit)` the exit.
    """
    if isinstance(answer, Modify):
        return answer.changes.get(_RESUME, True)
    return answer.exit if isinstance(answer, Choose) else isinstance(answer, Approve)


@define
class Questions:
    """The questions of one visit.

    Args:
        ctx: of the node.
        options: name, and further arguments of `ctx.decision`.
        resume: what the graph is told for a decision.
        is_fresh: whether the graph began in this life; else what was asked in an earlier one may be done with.
    """

    ctx: GuestContext
    name: str
    options: Mapping[str, Any]
    resume: Callable[[Answering], Any]
    is_fresh: bool = True

    async def ask(self, stop: Stop) -> Answers | None:
        """Have everything decided that a stop asks; None says to go on. A checkpoint; raises `GraphStopped`."""
        known = await self._marks(stop)
        while not self.is_fresh and known != stop.marks:
            await self._decided([self._question({_RESUME: None}) for _ in known])  # the graph was told, and went on
            known = await self._marks(stop)
        if not stop.asks:
            (answer,) = await self._decided([self._question({"before": list(stop.before)})])
            if isinstance(answer, Reject):
                raise GraphStopped(self.ctx.run_id, stop.before, answer.reason)
            return None
        answers = await self._decided([self._question(_shown(ask)) for ask in stop.asks])
        return Answers({ask.id: self.resume(answer) for ask, answer in zip(stop.asks, answers, strict=True)})

    async def _marks(self, stop: Stop) -> list[str]:
        """What the next questions are about: what was asked in an earlier life, or what is asked now."""

        async def now(key: str) -> list[str]:
            return stop.marks

        return await self.ctx.effect(f"{self.name}-asks", now, result=list[str])

    def _question(self, payload: Any) -> Awaitable[Answering]:
        asking: Asking = self.ctx
        return asking.decision(self.name, payload=payload, **self.options)

    async def _decided(self, questions: list[Awaitable[Answering]]) -> list[Answering]:
        """All of them at once, in their order; what one of them raises ends all."""
        if len(questions) == 1:
            return [await questions[0]]
        answers: dict[int, Answering] = {}
        errors: list[Exception] = []

        async def wait(number: int) -> None:
            try:
                answers[number] = await questions[number]
            except Exception as error:  # noqa: BLE001 - raised again, without a group around it
                errors.append(error)
                nursery.cancel_scope.cancel(reason="another question of the same stop failed")

        async with trio.open_nursery() as nursery:
            for number in range(len(questions)):
                nursery.start_soon(wait, number)
                await trio.lowlevel.checkpoint()  # so that they are asked in their order
        if errors:
            raise errors[0]
        return [answers[number] for number in range(len(questions))]


def _shown(ask: Ask) -> dict[str, Any]:
    """What a person is shown; `resume` is what a `Modify` may answer with, whatever it is."""
    shown = {"interrupt": ask.value, "node": ask.node, _RESUME: None}
    return shown if ask.schema is None else shown | {"schema": ask.schema}
