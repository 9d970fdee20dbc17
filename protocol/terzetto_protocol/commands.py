"""What clients say to a run, the same in memory, in the inbox of a shared store and on the wire."""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from .decisions import Decision, Recorded
from .records import Durability, OnCompletion
from .threads import Busy

KEEP: Final = ("", "once", "always")
CANCEL_MODES: Final = ("stop", "rollback")


class Decide(Struct, frozen=True, tag="decide", forbid_unknown_fields=True):
    """Resolve a barrier; `barrier` may be its id, its name if one of that name is open, or empty if one is open."""

    command_id: str
    run_id: str
    barrier: str
    decision: Decision
    source: str = ""
    keep: Literal["", "once", "always"] = ""
    """What happens if no such barrier is open: refused, kept for the next that opens, or for every one."""


class Withdraw(Struct, frozen=True, tag="withdraw", forbid_unknown_fields=True):
    """Forget the decisions that are kept for a barrier."""

    command_id: str
    run_id: str
    barrier: str


class Undo(Struct, frozen=True, tag="undo", forbid_unknown_fields=True):
    """Take the last visits, decisions and joins of a run that rests back, and go on from there."""

    command_id: str
    run_id: str
    count: int = 1
    repeat_effects: bool = False


class Cancel(Struct, frozen=True, tag="cancel", forbid_unknown_fields=True):
    """End a run: nothing of it commits once this is acknowledged."""

    command_id: str
    run_id: str
    reason: str = ""
    mode: Literal["stop", "rollback"] = "stop"
    """`rollback` also puts the run's thread back to where it was before the run."""
    repeat_effects: bool = False
    """Whether a rollback may forget effects of `once` nodes, so that the thread may come to them again."""


class Pause(Struct, frozen=True, tag="pause", forbid_unknown_fields=True):
    """Stop a run at its next commit, until it is resumed."""

    command_id: str
    run_id: str


class Resume(Struct, frozen=True, tag="resume", forbid_unknown_fields=True):
    """Let a paused run go on."""

    command_id: str
    run_id: str


class Truncate(Struct, frozen=True, tag="truncate", forbid_unknown_fields=True):
    """Forget the commits of a run in front of the newest checkpoint that is not after `keep_from`."""

    command_id: str
    run_id: str
    keep_from: int


class Delete(Struct, frozen=True, tag="delete", forbid_unknown_fields=True):
    """Forget a run that has ended."""

    command_id: str
    run_id: str


class Submit(Struct, frozen=True, tag="submit", forbid_unknown_fields=True):
    """Start a run of a graph that the owner knows; `state` is JSON, decoded by the graph's own state type.

    An empty `state` begins with the final state of the thread's head. What is to be recorded is applied to either.
    """

    command_id: str
    run_id: str
    graph: str
    state: bytes
    version: str = ""
    key: str = ""
    auto_approve: bool = False
    thread: str = ""
    busy: Busy = "reject"
    record: tuple[Recorded, ...] = ()
    metadata: dict[str, str | int | float | bool] = {}
    max_steps: int | None = None
    deadline: float | None = None
    """Seconds."""
    deadline_parked: bool = False
    durability: Durability = "commits"
    on_completion: OnCompletion = "keep"


class Fork(Struct, frozen=True, tag="fork", forbid_unknown_fields=True):
    """A new run goes on from a commit of another; `new_id` is chosen by the sender, so that twice is once."""

    command_id: str
    run_id: str
    new_id: str
    at: int | None = None
    """The commit; None for the newest."""
    repeat_effects: bool = False


class Retry(Struct, frozen=True, tag="retry", forbid_unknown_fields=True):
    """A new run goes on from before the visit with which another FAILED or was CANCELLED."""

    command_id: str
    run_id: str
    new_id: str
    repeat_effects: bool = False


class Rerun(Struct, frozen=True, tag="rerun", forbid_unknown_fields=True):
    """A new run of another's graph begins at a place; `state` is JSON, and None for that of the other."""

    command_id: str
    run_id: str
    new_id: str
    place: str
    state: bytes | None = None
    repeat_effects: bool = False


Branching: TypeAlias = Fork | Retry | Rerun
"""Commands that make a run out of a run."""

Command: TypeAlias = Decide | Withdraw | Undo | Cancel | Pause | Resume | Truncate | Delete | Submit | Branching
