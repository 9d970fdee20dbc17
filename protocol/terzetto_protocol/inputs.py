"""What is said to a run's machine. Every input that can move the run carries the time, for the machine has no clock."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from .decisions import Decision
from .image import Snapshot
from .port import Emission
from .questions import Question
from .records import Failure, Observed, Taken
from .remarks import NO_REMARKS, Remarks
from .state import Entry


class Claimed(Struct, frozen=True):
    """An owner takes the run: it begins, or goes on after its owner was lost."""

    at: float
    taken: Taken | None = None
    """What a run begins with that had to wait for its turn on its thread."""


class NodeFinished(Struct, frozen=True, gc=False):
    """A node's body has returned."""

    visit: int
    batch: Sequence[Entry]
    at: float
    remarks: Remarks = NO_REMARKS


class BodyAsked(Struct, frozen=True):
    """A live body asks something and waits for the answer."""

    visit: int
    question: Question
    at: float


class GivenUp(Struct, frozen=True):
    """A live body does not wait any more for the graph that it runs."""

    visit: int
    key: str
    at: float


class Again(Struct, frozen=True):
    """That an error may be followed by another attempt, and what the delay depends on."""

    chance: float
    """A random number, from 0 and below 1."""
    asked: float | None = None
    """Seconds that a server asked for."""


class NodeFailed(Struct, frozen=True):
    """A node's body has raised, or took too long."""

    visit: int
    failure: Failure
    at: float
    again: Again | None = None
    """Where the node's policy wants another attempt after such an error."""
    unknown: bool = False
    """Whether it was cut off, so that an effect of it may have happened or not."""
    observed: Observed | None = None
    """What the body reported before."""


class NodeCancelled(Struct, frozen=True):
    """A node's body was cancelled, or never began because its scope was."""

    visit: int
    at: float


class BodiesCancelled(Struct, frozen=True):
    """The scope around these bodies was cancelled, and all of them have left; as `NodeCancelled` for each, in order."""

    visits: tuple[int, ...]
    at: float


class NodeStuck(Struct, frozen=True):
    """A node's body was told to leave, and has not done so within its grace: nobody waits for it any longer."""

    visit: int
    at: float
    timeout: str = ""
    """Which of its timeouts had told it to; empty where the run had."""
    trace: tuple[str, ...] = ()
    """Where it was then, as in a failure."""


class Probed(Struct, frozen=True):
    """A probe has answered: the effect happened, did not, or cannot be told."""

    visit: int
    happened: bool | None
    batch: Sequence[Entry]
    at: float
    observed: Observed | None = None
    """What the probe reported."""


class Emitted(Struct, frozen=True):
    """A live node shows something."""

    visit: int
    emission: Emission
    at: float


class Decided(Struct, frozen=True):
    """A decision for a barrier."""

    barrier: str
    decision: Decision
    source: str
    at: float
    command_id: str = ""
    slot: bool = True
    """Whether the run may go on at once, or has to queue."""
    keep: Literal["", "once", "always"] = ""
    """What happens if no such barrier is open: refused, kept for the next that opens, or for every one."""


class UndoRequested(Struct, frozen=True):
    """Somebody wants a run that rests to go on from where it was."""

    to: int
    was: Snapshot
    """The run as it was."""
    at: float
    command_id: str = ""


class WithdrawRequested(Struct, frozen=True):
    """Somebody takes back the decisions that are kept for a barrier."""

    barrier: str
    at: float
    command_id: str = ""


class TimerFired(Struct, frozen=True):
    """A barrier's deadline has passed."""

    barrier: str
    at: float
    slot: bool = True


class RetryDue(Struct, frozen=True):
    """The rest between two attempts of a visit is over."""

    visit: int
    at: float


class DeadlinePassed(Struct, frozen=True):
    """The time that the run had is over."""

    at: float


class CancelRequested(Struct, frozen=True):
    """Somebody wants the run to end."""

    reason: str
    at: float
    command_id: str = ""


class PauseRequested(Struct, frozen=True):
    """Somebody wants the run to stop at its next commit, and to wait until it is resumed."""

    at: float
    command_id: str = ""


class ResumeRequested(Struct, frozen=True):
    """Somebody wants a paused run to go on."""

    at: float
    command_id: str = ""


class Halted(Struct, frozen=True):
    """The owner stops: no node starts any more; `hard` cancels those that run."""

    reason: str
    at: float
    hard: bool = False


class StoreGaveUp(Struct, frozen=True):
    """The store will never take what the run wanted to write: the run, loaded anew, fails."""

    reason: str
    at: float


class CommitDurable(Struct, frozen=True, gc=False):
    """Everything up to this seq is stored."""

    seq: int
    at: float


class CommitRefused(Struct, frozen=True):
    """The store refused a write: somebody else owns the run, or it can never be stored."""

    seq: int
    reason: str
    at: float
    final: bool = False
    """Whether it can never be stored, so that the run has to fail."""


Ended: TypeAlias = NodeFinished | NodeFailed | Probed
"""How a body has ended that was not cancelled."""
Input: TypeAlias = (
    Claimed
    | NodeFinished
    | NodeFailed
    | BodyAsked
    | GivenUp
    | NodeCancelled
    | BodiesCancelled
    | NodeStuck
    | Probed
    | Emitted
    | Decided
    | WithdrawRequested
    | UndoRequested
    | TimerFired
    | RetryDue
    | DeadlinePassed
    | CancelRequested
    | PauseRequested
    | ResumeRequested
    | Halted
    | StoreGaveUp
    | CommitDurable
    | CommitRefused
)
