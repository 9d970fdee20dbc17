"""A decider that answers barriers as a script says, and tells what became of the script."""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final, TypeAlias, final

import trio
from attrs import frozen

from terzetto_protocol.decisions import Decision
from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.events import BarrierOpened, RunEnded

from .._handles import Run


class UnscriptedBarrier(TerzettoError):
    """A barrier opened that the script has no answer for, or no answer left."""

    def __init__(self, run_id: str, barrier: str, left: Mapping[str, int]) -> None:
        self.run_id, self.barrier, self.left = run_id, barrier, dict(left)
        rest = ", ".join(f"{count} for {name!r}" for name, count in self.left.items()) or "none"
        super().__init__(f"run {run_id!r}: the script has no answer for {barrier!r} (answers left: {rest})")


@frozen
class Later:
    """An answer that takes its time."""

    seconds: float
    """Seconds after the barrier has opened, by Trio's clock."""
    decision: Decision


Answer: TypeAlias = Decision | Later


@final
class ScriptedDecider:
    """Answers the barriers of each name in the order of its script, and everything else with `UnscriptedBarrier`.

    `ScriptedDecider({"sign-off": [Reject("again"), Later(30, Approve())]})`. It is a decider for
    `terzetto.run(decider=...)`, and `await decider.attend(run)` decides a run of a runtime. A question that a body asks
    by `ctx.decision(name)` is answered by its name, too. The barriers of all runs share the script.

    Args:
        script: answers by the name of the barrier.
    """

    def __init__(self, script: Mapping[str, Sequence[Answer]]) -> None:
        self._script: Final = {name: list(answers) for name, answers in script.items()}
        self.given: Final[list[tuple[str, Decision]]] = []
        """The barriers that were answered, by their ids, and what was said, in order."""

    @property
    def left(self) -> dict[str, list[Answer]]:
        """What nobody has asked for, by the name of the barrier."""
        return {name: list(answers) for name, answers in self._script.items() if answers}

    async def __call__(self, event: BarrierOpened) -> Decision:
        """The next answer for a barrier, when its time has come. A checkpoint; raises `UnscriptedBarrier`."""
        answers = self._script.get(event.name)
        if not answers:
            raise UnscriptedBarrier(event.run_id, event.barrier, {name: len(rest) for name, rest in self.left.items()})
        answer = answers.pop(0)
        if isinstance(answer, Later):
            await trio.sleep(answer.seconds)
            answer = answer.decision
        else:
            await trio.lowlevel.checkpoint()
        self.given.append((event.barrier, answer))
        return answer

    async def attend(self, run: Run[Any], /) -> None:
        """Decide whatever this run asks, until it has ended. A checkpoint.

        Barriers are decided one by one, unless somebody (or their timeouts) did so before. Cancelled, the run goes on
        without it.

        Raises (in a group):
            UnscriptedBarrier: a barrier opened that the script has no answer for.
            Refused: a barrier does not take its answer; it keeps waiting.
        """
        async with trio.open_nursery() as nursery, run.events(heartbeat=inf) as events:
            async for event in events:
                if isinstance(event, BarrierOpened):
                    nursery.start_soon(self._answer, run, event)
                elif isinstance(event, RunEnded):
                    nursery.cancel_scope.cancel()

    async def _answer(self, run: Run[Any], event: BarrierOpened) -> None:
        await run.decide(event.barrier, await self(event), source="script")
