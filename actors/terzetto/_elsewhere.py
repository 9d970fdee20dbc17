"""Elsewhere: what is heard of runs that other owners of the store carry, by those who wait for them here.

It owns nothing: the roster says what lives here, the open questions and the threads say what is waited for.
"""

from collections.abc import Callable, Collection
from typing import Final

from terzetto_protocol.errors import StaleEpoch, StoreUnavailable, TerzettoError
from terzetto_protocol.inputs import CommitRefused
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL

from ._answers import Answers
from ._results import result_of
from ._roster import Roster
from ._succession import Succession


class Elsewhere:
    """Lets go of what others have taken, and tells those who wait what others have ended."""

    def __init__(self, roster: Roster, answers: Answers, succession: Succession, clock: Callable[[], float]) -> None:
        self._roster: Final = roster
        self._answers: Final = answers
        self._succession: Final = succession
        self._clock: Final = clock

    def live(self) -> Collection[str]:
        """The runs that have an actor here. Not a checkpoint."""
        return [*self._roster.live, *self._roster.arriving]

    def awaited(self) -> Collection[str]:
        """The runs whose end somebody waits for, people or other runs, and that do not live here. Not a checkpoint."""
        wanted = (*self._answers.awaited, *self._succession.awaited)
        return [run_id for run_id in wanted if not self._roster.lives(run_id)]

    def lost(self, row: RunRow) -> None:
        """Another owner of the store wrote this last: an actor that does not know that lets go of it.

        Not a checkpoint. Its next write would be refused; but it may make none for long, and its nodes run.
        """
        actor = self._roster.live.get(row.run_id)
        if actor is None:
            return
        if not actor.machine.owned:
            self._roster.drop(actor)  # it was only read to be asked something
        elif actor.machine.fold.image.epoch < row.epoch:
            stale = StaleEpoch(row.run_id, actor.machine.fold.image.epoch, row.epoch)
            actor.deliver(CommitRefused(actor.machine.fold.image.seq, str(stale), self._clock()))

    async def ended(self, run_id: str) -> None:
        """Another owner of the store has ended this run: tell those who wait. A checkpoint where people wait.

        Raises `StoreUnavailable`, and is called again then.
        """
        self._succession.ended(run_id)
        if run_id not in self._answers.awaited:
            return
        try:
            machine, _ = await self._roster.load(run_id)
        except StoreUnavailable:
            raise
        except TerzettoError as error:
            self._answers.leave_alone(run_id, error)
        else:
            if machine.status in TERMINAL:
                self._answers.ended(run_id, result_of(machine.fold))
