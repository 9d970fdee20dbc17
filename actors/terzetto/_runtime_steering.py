"""The part of a runtime by which its program steers runs: decide, undo, cancel, pause, resume.

What arrives as a message goes to the desk instead; both end at the supervisor's steering.
"""

from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Final, Literal

import trio

from terzetto_protocol.commands import CANCEL_MODES, KEEP, Cancel, Decide, Pause, Resume, Undo, Withdraw
from terzetto_protocol.decisions import Decision, check_decision
from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.ids import check_choice
from terzetto_protocol.receipts import CancelReceipt, PauseReceipt, Receipt

from ._chance import new_id
from ._history import Past
from ._hub import Hub
from ._inbox import COMMANDS
from ._supervisor import Supervisor
from ._timers import Timers


class Steered(ABC):
    """A runtime whose runs are steered."""

    def __init__(self, hub: Hub, supervisor: Supervisor) -> None:
        self.hub: Final = hub
        self.supervisor: Final = supervisor
        self._abandoned = Timers[str](trio.current_time)
        """When runs end unless somebody reads them by then."""

    @abstractmethod
    async def past(self, run_id: str) -> Past:
        """A run's stored past. A checkpoint."""

    async def decide(
        self,
        run_id: str,
        barrier: str,
        decision: Decision,
        /,
        *,
        source: str = "",
        keep: Literal["", "once", "always"] = "",
        command_id: str | None = None,
    ) -> Receipt:
        """Resolve a barrier; see `Run.decide`. A checkpoint."""
        check_decision(decision)
        check_choice(keep, KEEP, "keep")
        command = Decide(command_id or new_id(), run_id, barrier, decision, source, keep)
        copy = COMMANDS.copy(command)  # as it will come back from the log
        assert isinstance(copy, Decide)
        return await self.supervisor.steering.decide(copy)

    async def withdraw(self, run_id: str, barrier: str) -> Receipt:
        """Forget decisions that are kept; see `Run.withdraw`. A checkpoint."""
        command = Withdraw(new_id(), run_id, barrier)
        COMMANDS.pack(command)
        return await self.supervisor.steering.withdraw(command)

    async def undo(self, run_id: str, count: int = 1, *, repeat_effects: bool = False) -> Receipt:
        """Take the last `count` visits, decisions and joins of a run back, and go on from there. A checkpoint.

        The run has to rest: it waits for a slot or for people, or is paused. What is undone stays in its history,
        and numbers of visits are never used again.

        Raises:
            InvalidRequest: there is not so much to undo, or effects of `once` nodes would be repeated.
            CommitPruned: the commit to go back to is not there any more.
            Refused: the run is at work, or has ended (then `fork` it).
        """
        command = Undo(new_id(), run_id, count, repeat_effects)
        return await self.supervisor.steering.undo(command, self.past)

    async def cancel(
        self,
        run_id: str,
        reason: str = "",
        *,
        mode: Literal["stop", "rollback"] = "stop",
        repeat_effects: bool = False,
    ) -> CancelReceipt:
        """End a run, or roll its thread back; see `Run.cancel`. A checkpoint."""
        check_choice(mode, CANCEL_MODES, "mode")
        command = Cancel(new_id(), run_id, reason, mode, repeat_effects)
        COMMANDS.pack(command)
        return await self.supervisor.steering.cancel(command)

    async def pause(self, run_id: str) -> PauseReceipt:
        """Stop a run at its next commit, until it is resumed; once this returns that is durable. A checkpoint.

        What runs ends and commits, nothing else begins, and then the run is PAUSED, also after a crash. The receipt is
        `paused` where that is so by now, else `requested`. Twice is once. Cancelled, it may have been heard.

        Raises:
            IllegalTransition: the run has ended, or is being cancelled.
            UnknownRun: no run has this id.
        """
        return await self.supervisor.steering.pause(Pause(new_id(), run_id))

    async def resume(self, run_id: str) -> Receipt:
        """Let a paused run go on. A checkpoint."""
        return await self.supervisor.steering.resume(Resume(new_id(), run_id))

    def abandon(self, run_id: str, grace: float) -> None:
        """Cancel a run in `grace` seconds unless somebody reads it by then. Not a checkpoint."""
        self._abandoned.set(run_id, trio.current_time() + grace)

    async def cancel_abandoned(self) -> None:
        """Keep what `abandon` says, until cancelled. A checkpoint."""
        await self._abandoned.run(self._cancel_unread)

    async def _cancel_unread(self, run_id: str) -> None:
        if not (self.hub.readers(run_id) or self.supervisor.closing):
            with suppress(TerzettoError):  # it has ended, or nobody can end it now
                await self.cancel(run_id, "its last reader left")

    async def _cancel_broken(self, run_id: str, reason: str) -> None:
        with suppress(TerzettoError):  # it has ended, or nobody can end it now
            await self.cancel(run_id, reason)
