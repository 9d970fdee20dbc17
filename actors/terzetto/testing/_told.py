"""Whether what somebody was told is true: each answer promises something about the log at that very moment."""

from typing import Any, Final

from terzetto_protocol.receipts import (
    AlreadyResolved,
    CancelReceipt,
    DecisionKept,
    DecisionTaken,
    Deleted,
    PauseReceipt,
    Receipt,
    Resumed,
    Submitted,
    Undone,
)
from terzetto_protocol.records import Rewind

from .._results import Result
from ._ledger import Ledger
from ._ledger_log import Log

_CANCELLED: Final = {"requested": ("CANCELLING", "CANCELLED"), "stopped": ("CANCELLED",)}


def told(ledger: Ledger, receipt: Receipt) -> None:
    """Somebody who is alive has a receipt: complain unless the log says so too (SEMANTICS 3, D1, D5, D6)."""
    log = ledger.logs.get(receipt.run_id) or ledger.gone.get(receipt.run_id)
    if isinstance(receipt, Deleted):
        ledger.check(receipt.run_id, receipt.run_id in ledger.gone, f"told before it was durable: {receipt}")
    elif isinstance(receipt, CancelReceipt) and receipt.outcome == "rolled_back":
        head = log and ledger.threads.heads.get(log.header.thread)
        ledger.check(receipt.run_id, head != receipt.run_id, f"told before it was durable: {receipt}")
    elif log is not None:
        ledger.check(log.run_id, _is_true(log, receipt), f"told before it was durable: {receipt}")
    elif isinstance(receipt, CancelReceipt) and receipt.outcome == "unknown":
        pass
    else:
        ledger.check(receipt.run_id, type(receipt).__name__ == "Denied", f"told of a run that is not there: {receipt}")


def told_end(ledger: Ledger, result: Result[Any]) -> None:
    """Somebody who is alive was told how a run has ended (SEMANTICS 3, D7)."""
    log = ledger.logs.get(result.run_id)
    fine = log is not None and log.has_ended and log.status == result.status.value
    ledger.check(result.run_id, fine, f"told before it was durable: it is {result.status}")


def _is_true(log: Log, receipt: Receipt) -> bool:
    match receipt:
        case Submitted():
            return bool(log.records)
        case DecisionTaken(barrier=barrier):
            return barrier in log.resolved
        case DecisionKept():
            return any(record.kind.value == "keep" for record in log.records)
        case AlreadyResolved(barrier=barrier):
            is_dropped = barrier not in log.open and any(isinstance(record.detail, Rewind) for record in log.records)
            return barrier in log.resolved or log.has_ended or is_dropped
        case CancelReceipt(outcome="requested" | "stopped" as outcome):
            return log.status in _CANCELLED[outcome]
        case CancelReceipt(outcome="already_terminal", status=status):
            return status is not None and log.status == status.value
        case PauseReceipt(outcome=outcome):
            parks = any(record.parks for record in log.records) and outcome == "requested"
            return parks or any(record.status.value == "PAUSED" for record in log.records)
        case Resumed():
            return log.records[-1].seq > 1
        case Undone(to=to):
            return any(isinstance(record.detail, Rewind) and record.detail.to == to for record in log.records)
        case _:
            return True
