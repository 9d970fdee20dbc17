"""What a command was answered, as the log tells it: a command that comes twice is carried out once."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from .receipts import PauseReceipt, Receipt, Resumed, Submitted, Undone
from .records import Kind, Record, Rewind
from .statuses import RunStatus


def answered(run_id: str, records: Iterable[Record], command_id: str, *, durable: bool) -> Receipt | None:
    """The receipt of the command that made one of these commits of a run, or None if it made none."""
    for record in records:
        teller = _TELLERS.get(record.kind)
        if teller is not None and getattr(record.detail, "command_id", "") == command_id:
            return teller(run_id, record, durable)
    return None


def _undone(run_id: str, record: Record, durable: bool) -> Receipt:
    assert isinstance(record.detail, Rewind), "a rewind record carries what it goes back to"
    return Undone(run_id, record.detail.to, durable)


def _paused(run_id: str, record: Record, durable: bool) -> Receipt:
    return PauseReceipt(run_id, "paused" if record.status is RunStatus.PAUSED else "requested", durable)


_TELLERS: Final[Mapping[Kind, Callable[[str, Record, bool], Receipt]]] = {
    Kind.SUBMIT: lambda run_id, _, durable: Submitted(run_id, durable),
    Kind.QUEUE: lambda run_id, _, durable: Resumed(run_id, durable),
    Kind.REWIND: _undone,
    Kind.PAUSE: _paused,
}
"""Commands that would do more when they are carried out again; the others find what they did, or do nothing."""
