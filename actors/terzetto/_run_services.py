"""What a run needs of the runtime around it, and what every run of a runtime shares."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from terzetto_protocol.blobs import BlobKeeper
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import Event
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import Outcome, RunRow, Write
from terzetto_protocol.step_commit import StepCommit
from terzetto_protocol.stepped import Stepped
from terzetto_protocol.turn import Finish

from ._chance import chance

if TYPE_CHECKING:
    from ._carrying import Carrying
    from ._run import RunActor
    from ._stuck import StuckBodies


class Keeper(Protocol):
    """Who looks after runs: the supervisor, or `terzetto.run`."""

    def rested(self, actor: "RunActor", finish: Finish) -> None:
        """The run needs no task any more, and that is durable."""

    def left_behind(self, actor: "Carrying") -> None:
        """Nothing of a run that rests has to be waited for any more, though a body of it has not returned."""

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """A receipt that may be sent."""

    def denied(self, command_id: str, error: Refused) -> None:
        """A command was refused."""

    def overtaken(self, actor: "RunActor") -> None:
        """The run's thread went on before the run could join it or begin."""
        ...

    def taken(self, actor: "RunActor", row: RunRow) -> None:
        """The new run's id or key belongs to a run that is there already."""

    def broke(self, actor: "RunActor", error: BaseException) -> None:
        """Something went wrong that nobody foresaw: what this process still knows about the run is worth nothing."""


class Outlet(Protocol):
    """Who shows events."""

    def publish(self, event: Event) -> None:
        """Show an event; never waits."""

    def publish_step(self, step: Stepped) -> None:
        """Show the two events of an everyday step; never waits."""


class Writer(Protocol):
    """Who stores commits."""

    def send(self, write: Write, sender: Any) -> None:
        """Hand over a write; the sender hears what became of it."""


class Services(Struct, frozen=True):
    """What every run of a runtime shares."""

    keeper: Keeper
    outlet: Outlet
    writer: Writer
    clock: Callable[[], float]
    settle: Callable[[Write], Outcome] | None = None
    """Stores inside the call, where the store can do that."""
    settle_step: Callable[[StepCommit], Outcome] | None = None
    """As `settle`, for the commits of everyday steps."""
    tasks: bool = False
    """Whether every visit gets a task of its own."""
    chance: Callable[[], float] = chance
    """What jitter is made of."""
    stuck: "StuckBodies | None" = None
    """Who looks after bodies that do not leave; nobody, where a run could not end without them anyway."""
    blobs: BlobKeeper | None = None
    """Where nodes put and read blobs; None where each run has a place of its own."""
    answers: bool = True
    """Whether somebody may decide what bodies ask."""
