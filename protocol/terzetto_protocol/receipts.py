"""The typed answers to commands, sent only after what they promise is durable."""

from typing import Literal, TypeAlias

from msgspec import Struct

from .statuses import RunStatus


class Submitted(Struct, frozen=True, tag="submitted", forbid_unknown_fields=True):
    """The run, its input and its graph version are stored."""

    run_id: str
    durable: bool
    """Whether the store survives the process."""
    reused: bool = False
    """True when the same run was there already."""


class DecisionTaken(Struct, frozen=True, tag="decision_taken", forbid_unknown_fields=True):
    """The decision is stored and its barrier closed."""

    run_id: str
    barrier: str
    durable: bool


class DecisionKept(Struct, frozen=True, tag="decision_kept", forbid_unknown_fields=True):
    """The decision is stored, and waits for its barrier to open."""

    run_id: str
    barrier: str
    standing: bool
    durable: bool


class DecisionWithdrawn(Struct, frozen=True, tag="decision_withdrawn", forbid_unknown_fields=True):
    """So many decisions that waited for this barrier do so no longer."""

    run_id: str
    barrier: str
    count: int
    durable: bool


class AlreadyResolved(Struct, frozen=True, tag="already_resolved", forbid_unknown_fields=True):
    """Somebody else was first; `decision` and `source` are the winner's."""

    run_id: str
    barrier: str
    decision: str
    source: str


class CancelReceipt(Struct, frozen=True, tag="cancel", forbid_unknown_fields=True):
    """What became of a cancel."""

    run_id: str
    outcome: Literal["requested", "stopped", "already_terminal", "unknown", "rolled_back"]
    status: RunStatus | None
    durable: bool
    head: str = ""
    """After `rolled_back`: the run from whose end the thread goes on; empty for none."""


class PauseReceipt(Struct, frozen=True, tag="pause", forbid_unknown_fields=True):
    """The run is PAUSED, or (`requested`) will be as soon as nothing of it runs, also after a crash."""

    run_id: str
    outcome: Literal["requested", "paused"]
    durable: bool


class Resumed(Struct, frozen=True, tag="resumed", forbid_unknown_fields=True):
    """The paused run goes on."""

    run_id: str
    durable: bool


class Undone(Struct, frozen=True, tag="undone", forbid_unknown_fields=True):
    """The run goes on from the commit `to`; what came after stays in its history."""

    run_id: str
    to: int
    durable: bool


class Truncated(Struct, frozen=True, tag="truncated", forbid_unknown_fields=True):
    """So many commits of the run are gone; what is left begins with a checkpoint."""

    run_id: str
    count: int
    durable: bool


class Deleted(Struct, frozen=True, tag="deleted", forbid_unknown_fields=True):
    """Nothing is left of the run, which had so many commits."""

    run_id: str
    count: int
    durable: bool


class Denied(Struct, frozen=True, tag="denied", forbid_unknown_fields=True):
    """The command was refused and changed nothing; `reason` says why and what to do."""

    run_id: str
    reason: str


Receipt: TypeAlias = (
    Submitted
    | DecisionTaken
    | DecisionKept
    | DecisionWithdrawn
    | AlreadyResolved
    | CancelReceipt
    | PauseReceipt
    | Resumed
    | Undone
    | Truncated
    | Deleted
    | Denied
)
