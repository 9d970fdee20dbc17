"""What a screen is told, and what it wants done: `Screen.feed` takes happenings and gives effects."""

from collections.abc import Mapping
from typing import TypeAlias

from attrs import frozen

from .commands import Command
from .events import StreamItem
from .graph_view import GraphView
from .keystrokes import Key, Pasted
from .receipts import Receipt
from .shown import Shown
from .views import BarrierView, RunLine
from .wire import Changed

# -- what happens ----------------------------------------------------------------------------------------------


@frozen
class Connected:
    """There is a connection, for the first time or again."""


@frozen
class Lost:
    """There is none any more, and another one is being made."""

    why: str = ""


@frozen
class Listed:
    """A page of the list of runs, newest first."""

    runs: tuple[RunLine, ...]
    first: bool
    last: bool


@frozen
class Looked:
    """How a run stands."""

    run_id: str
    places: Mapping[str, Shown]
    barriers: tuple[BarrierView, ...]


@frozen
class LookFailed:
    """That was not to be found out."""

    run_id: str
    code: str
    message: str


@frozen
class Heard:
    """What a run has told, in order."""

    run_id: str
    items: tuple[StreamItem, ...]


@frozen
class Known:
    """The graphs that the server knows."""

    graphs: tuple[GraphView, ...]


@frozen
class Done:
    """A command was answered."""

    command: Command
    receipt: Receipt


@frozen
class NotDone:
    """A command was refused."""

    command: Command
    code: str
    message: str


@frozen
class Resized:
    """So many rows of the list of runs, and of events, are seen at once."""

    page: int


Happening: TypeAlias = (
    Key | Pasted | Connected | Lost | Listed | Changed | Looked | LookFailed | Heard | Known | Done | NotDone | Resized
)

# -- what is to be done ----------------------------------------------------------------------------------------


@frozen
class Send:
    """Send this command, with an id; a `Submit` wants a run id, too."""

    command: Command


@frozen
class Watch:
    """Tell what this run tells, and nothing of any other; empty for none."""

    run_id: str


@frozen
class Look:
    """Find out how this run stands."""

    run_id: str


@frozen
class Redraw:
    """Draw everything anew: something else has written on the terminal."""


@frozen
class Leave:
    """The person has seen enough."""


Effect: TypeAlias = Send | Watch | Look | Redraw | Leave
