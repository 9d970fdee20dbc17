"""Which commits carry a snapshot: the state is encoded where one is asked for or due, and once a tail outgrows it."""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from .frames import Branch, Frame
from .scribe import RESTING
from .stage import Stage
from .state import Entry, weight_of
from .statuses import RunStatus

S = TypeVar("S")


class Saving(Stage[S], Generic[S]):
    """The part of a run's machine that encodes states."""

    __slots__ = ()

    def _checkpoint(
        self,
        frame: Frame[Any],
        batch: Sequence[Entry],
        status: RunStatus,
        at: float,
        *,
        asked: bool = False,
        folded: Sequence[Entry] = (),
    ) -> bytes | None:
        """The encoded state, if the coming commit is to carry a snapshot; raises `NotStorable`.

        `folded` is what branches recorded in commits of their own, and this one makes part of the frame.
        """
        if not self.logged:
            frame.forget()
            return None
        state = self._snapshot(at, heavy=self.fold.weigh(batch), asked=asked or status in RESTING)
        if isinstance(frame, Branch):  # last, for whoever drops the batch has to find it in the tail
            frame.compact(weight_of(batch) + weight_of(folded))
        return state

    def _snapshot(self, at: float, *, heavy: bool, asked: bool = False, lone: bool = False) -> bytes | None:
        """The encoded state where a snapshot is asked for or due; by default one is due that is `heavy`.

        `lone` says that no other body was lent the state.
        """
        fold = self.fold
        due = asked or (heavy if fold.header.checkpoints is None else self.is_due(fold.image.seq + 1, at))
        if not (due or heavy):
            return None
        if not lone:
            self.undo_touches()
        state = self.blueprint.state.pack(fold.state)
        if due:
            return state
        fold.rebase(state)  # in memory, where the tail would only grow
        return None
