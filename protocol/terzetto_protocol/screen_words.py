"""What a screen says of a command: when it is sent, when it was answered, and when it was refused."""

from .commands import Cancel, Command, Decide, Pause, Resume, Submit
from .decisions import Choose, name_of
from .receipts import (
    AlreadyResolved,
    CancelReceipt,
    DecisionTaken,
    Denied,
    PauseReceipt,
    Receipt,
    Resumed,
    Submitted,
)


def what(command: Command) -> str:
    """A command in a few words."""
    match command:
        case Decide(decision=decision):
            said = decision.exit if isinstance(decision, Choose) else name_of(decision)
            return f"{said} for {command.barrier} of {command.run_id}"
        case Submit(graph=graph):
            return f"a run of {graph}"
        case Cancel() | Pause() | Resume():
            return f"{type(command).__name__.lower()} of {command.run_id}"
        case _:
            return f"a command for {command.run_id}"


def answered(command: Command, receipt: Receipt) -> tuple[str, str]:
    """What became of it, and the role of that."""
    match receipt:
        case Denied(reason=reason):
            return f"refused: {reason}", "error"
        case AlreadyResolved(barrier=barrier, decision=decision, source=source):
            return f"{barrier} was decided already: {decision} by {source or 'somebody'}", "error"
        case CancelReceipt():
            return _cancelled(receipt)
        case DecisionTaken():
            return f"decided: {what(command)}", "good"
        case PauseReceipt(outcome="requested", run_id=run_id):
            return f"run {run_id} will be paused as soon as what runs of it has ended", "good"
        case PauseReceipt(run_id=run_id):
            return f"run {run_id} is paused", "good"
        case Resumed(run_id=run_id):
            return f"run {run_id} goes on", "good"
        case Submitted(run_id=run_id, reused=reused):
            return f"run {run_id} {'was there already' if reused else 'is started'}", "good"
        case _:
            return f"done: {what(command)}", "good"


def _cancelled(receipt: CancelReceipt) -> tuple[str, str]:
    match receipt.outcome:
        case "already_terminal":
            return f"run {receipt.run_id} has ended {receipt.status} already", "error"
        case "unknown":
            return f"there is no run {receipt.run_id}", "error"
        case "requested":
            return f"run {receipt.run_id} is being cancelled: its running steps are told to stop", "good"
        case _:
            return f"run {receipt.run_id} is cancelled", "good"
