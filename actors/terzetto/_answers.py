"""Who waits for an answer: for the receipt of a command, or for the end of a run."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

from terzetto_protocol.errors import ActorStopped, Refused, StoreDamaged, TerzettoError
from terzetto_protocol.receipts import Receipt

from ._mailbox import Slot
from ._results import Result


class Answers:
    """The open questions of a supervisor; nobody is left without an answer."""

    def __init__(self) -> None:
        self._receipts: Final[dict[str, tuple[str, Slot[Receipt]]]] = {}
        """The run and the slot of every command that is not answered yet, by the command's id."""
        self._ends: Final[dict[str, list[Slot[Result[Any]]]]] = {}

    def __len__(self) -> int:
        return len(self._receipts) + len(self._ends)

    @contextmanager
    def receipt(self, command_id: str, run_id: str) -> Generator[Slot[Receipt]]:
        """A slot for the receipt of a command, as long as the block lasts."""
        _, slot = self._receipts.setdefault(command_id, (run_id, Slot()))
        try:
            yield slot
        finally:
            self._receipts.pop(command_id, None)

    @property
    def awaited(self) -> list[str]:
        """The runs whose end somebody waits for."""
        return list(self._ends)

    @contextmanager
    def end(self, run_id: str) -> Generator[Slot[Result[Any]]]:
        """A slot for the end of a run, as long as the block lasts."""
        slot: Slot[Result[Any]] = Slot()
        self._ends.setdefault(run_id, []).append(slot)
        try:
            yield slot
        finally:
            slots = self._ends.get(run_id, [])
            if slot in slots:
                slots.remove(slot)
            if not slots:
                self._ends.pop(run_id, None)

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """Hand a receipt to whoever asked."""
        if command_id in self._receipts:
            self._receipts[command_id][1].answer(receipt)

    def deny(self, command_id: str, error: Exception) -> None:
        """Hand a refusal to whoever asked."""
        if command_id in self._receipts:
            self._receipts[command_id][1].fail(error)

    def fail_commands(self, run_id: str, error: Callable[[], Exception]) -> None:
        """No command to this run will get its receipt."""
        for asked, slot in self._receipts.values():
            if asked == run_id:
                slot.fail(error())  # each its own: whoever raises it adds a traceback

    def ended(self, run_id: str, result: Result[Any]) -> None:
        """A run has ended."""
        for slot in self._ends.pop(run_id, ()):
            slot.answer(result)

    def fail_ends(self, run_id: str, error: Callable[[], Exception]) -> None:
        """Nobody here will see the end of this run."""
        for slot in self._ends.pop(run_id, ()):
            slot.fail(error())

    def leave_alone(self, run_id: str, why: TerzettoError | str) -> None:
        """Nobody here can carry this run to its end; whoever waits for that hears why."""
        self.fail_ends(run_id, lambda: _anew(run_id, why))

    def stopped(self) -> None:
        """Tell everybody that the supervisor is gone."""
        for _, slot in self._receipts.values():
            slot.fail(ActorStopped("the supervisor"))
        for run_id in list(self._ends):
            self.fail_ends(run_id, lambda: ActorStopped("the supervisor"))


def _anew(run_id: str, why: TerzettoError | str) -> TerzettoError:
    """Why a run is left alone, for one of those who wait for its end."""
    if isinstance(why, StoreDamaged):
        return StoreDamaged(why.store, why.run_id, why.place, why.reason)
    return Refused(run_id, str(why))
