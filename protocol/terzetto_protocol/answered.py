"""What a command was answered, as the log tells it: a command that comes twice is carried out once."""

from collections.abc import Iterable

from .receipts import PauseReceipt, Receipt, Resumed, Submitted, Undone
from .records import Kind, Record, Rewind
from .statuses import RunStatus


def answered(run_id: str, records: Iterable[Record], command_id: str, *, durable: bool) -> Receipt | None:
    """The receipt of the command that made one of these commits of a run, or None if it made none.

    Only of commands that would do more when they are carried out again; the others find what they did, or do nothing.
    """
    for record in records:
        if getattr(record.detail, "command_id", "") == command_id:
            return _receipt(run_id, record, durable=durable)
    return None


def _receipt(run_id: str, record: Record, *, durable: bool) -> Receipt | None:
    match record.kind:
        case Kind.SUBMIT:
            return Submitted(run_id, durable)
        case Kind.QUEUE:
            return Resumed(run_id, durable)
        case Kind.PAUSE:
            return PauseReceipt(run_id, "paused" if record.status is RunStatus.PAUSED else "requested", durable)
        case _:
            return Undone(run_id, record.detail.to, durable) if isinstance(record.detail, Rewind) else None
