"""What a machine wants done: the effects of one input, as values."""

from typing import Final, TypeAlias

from msgspec import Struct

from .events import Event
from .receipts import Receipt
from .records import Answer, Write
from .statuses import RunStatus
from .stepped import Stepped


class Start(Struct, frozen=True, gc=False):
    """Run a node's body, or with `probe` its probe."""

    visit: int
    node: str
    attempt: int
    path: str = ""
    probe: bool = False


class CancelNodes(Struct, frozen=True):
    """Cancel bodies that run; each answers with its own input."""

    visits: tuple[int, ...] | None = None
    """Which; None for all."""


class Answered(Struct, frozen=True):
    """Tell a body what it asked."""

    visit: int
    key: str
    answer: Answer


class Rearm(Struct, frozen=True):
    """Something happens by itself at another time than before: whoever sleeps until then looks again."""


class Reply(Struct, frozen=True):
    """Send a receipt: what it promises is durable."""

    command_id: str
    receipt: Receipt


class Finish(Struct, frozen=True):
    """The run needs no task any more: it is terminal, parked, queued, interrupted, or (`fenced`) not ours."""

    status: RunStatus
    fenced: str = ""
    """Why the store refused, when what this process knows about the run is worth nothing any more."""
    final: bool = False
    """Whether the refused write can never be stored, so that the run, read anew, has to fail."""


Effect: TypeAlias = Write | Event | Stepped | Start | CancelNodes | Answered | Rearm | Reply | Finish


class Turn(Struct, frozen=True, gc=False):
    """The effects of one input, to be carried out in the order of the fields.

    One slot for each effect of an everyday turn, `more` for the rest. `start` comes last, so that whatever
    is to be written before a body runs has been handed over by then.
    """

    commit: Write | None = None
    event: Event | Stepped | None = None
    more: tuple[Effect, ...] = ()
    start: Start | None = None


NOTHING: Final = Turn()
