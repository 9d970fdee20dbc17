"""The everyday turn: a lone visit ends well, and an easy way leads on.

The same records, events and moves as the general path makes of it (a property test runs both on the same inputs),
without asking what cannot be the case. It is most of what a run does, and the general path takes three times as long.
What cannot be the case is looked at after every other turn, and stands in `lone`.
"""

from typing import Final, Generic, TypeVar

from .blueprint import EasyWay
from .errors import MutationFailed, NotStorable
from .events import NodeFinished as FinishedEvent
from .fold import Fold, Pending
from .forks import Forks
from .inputs import NodeFinished
from .limits import RUN_AHEAD
from .records import Write
from .remarks import NO_REMARKS
from .scribe import everyday_write
from .statuses import RunStatus
from .turn import Start, Turn

S = TypeVar("S")

_RUNNING: Final = RunStatus.RUNNING


class Everyday(Forks[S], Generic[S]):
    """The part of a run's machine that takes everyday turns."""

    __slots__ = ("lone",)

    def __init__(self, fold: Fold[S], *, logged: bool, settled: bool, promises: bool) -> None:
        super().__init__(fold, logged=logged, settled=settled, promises=promises)
        self.lone: Pending | None = None
        """The one visit that is pending, while its end is all that can move the run; None if anything else may."""

    def look_around(self) -> None:
        """See whether the next turn may be an everyday one; done after every turn that was none."""
        image, self.lone = self.fold.image, None
        if len(image.frontier) == 1 and image.status is _RUNNING and not (self.fold.asking or self.is_leaving):
            (entry,) = image.frontier.values()
            if not (entry.path or self.held.active or self.fenced):
                self.lone = entry

    def follow(self, entry: Pending, msg: NodeFinished) -> Turn | None:
        """The turn; None, with nothing moved, when the batch or the way on needs the general path's words."""
        fold = self.fold
        easy = self.blueprint.everyday.get(entry.place)
        if easy is None or msg.remarks is not NO_REMARKS or fold.image.visits >= fold.header.max_steps:
            return None
        try:
            fold.apply(msg.batch)
        except MutationFailed:
            return None
        way = _choose(easy.ways, fold.state)
        if way is None:
            fold.drop(msg.batch)
            return None
        try:
            state = self._checkpoint(fold, msg.batch, _RUNNING, msg.at)
        except NotStorable:
            fold.drop(msg.batch)
            return None
        visit, place, attempt = entry.visit, entry.place, entry.attempt
        event = self.told + 1
        fold.follow(entry, way.place, event, easy.cost)
        self.live.clear()
        if not (self.logged or self.tells):
            return self._go_on_unheard(entry, event)
        write = everyday_write(fold, entry, (visit, place, attempt), msg, state) if self.logged else None
        self.told = event
        finished = FinishedEvent(
            id=event,
            run_id=fold.header.run_id,
            at=msg.at,
            node=place,
            visit=visit,
            seq=fold.image.seq,
            mutations=len(msg.batch),
        )
        return self._go_on_told(entry, write, finished, ahead=way.is_pure)

    def _go_on_unheard(self, entry: Pending, event: int) -> Turn:
        """Nothing is stored and nobody listens: events are counted and not made."""
        self.told = event + 1
        self.durable = self.fold.image.seq
        self.live.add(entry.visit)
        return Turn(start=Start(entry.visit, entry.place, 1))

    def _go_on_told(self, entry: Pending, write: Write | None, finished: FinishedEvent, *, ahead: bool) -> Turn:
        """Start the visit that follows, now or when the commit is durable."""
        seq, waits = finished.seq, self.waits
        if self.settled:
            self.durable = seq
            if not waits.outbox:
                self.live.add(entry.visit)
                start = Start(entry.visit, entry.place, 1)
                return Turn(write, finished, (self._started(entry, 1, finished.at),), start)
        # Nothing that waited can go now: no commit has become durable since the last turn let out what could.
        waits.outbox.append((seq, finished))
        if not ahead or waits.gate or seq - RUN_AHEAD > self.durable:
            waits.gate.append((seq - RUN_AHEAD if ahead else seq, entry.visit, "start"))
            return Turn(write)
        self.live.add(entry.visit)
        waits.outbox.append((seq, self._started(entry, 1, finished.at)))
        return Turn(write, start=Start(entry.visit, entry.place, 1))

    def let_go(self, seq: int, at: float) -> Turn | None:
        """Everything up to `seq` is durable: let out what waited for it and start the one visit at the gate.

        None where there is anything else to consider.
        """
        gate, outbox, entry = self.waits.gate, self.waits.outbox, self.lone
        if entry is None or len(gate) != 1 or len(outbox) != 1 or outbox[0][0] > seq:
            return None
        need, visit, mode = gate[0]
        event, easy = outbox[0][1], self.blueprint.nodes.get(entry.place)
        if need > seq or mode != "start" or easy is None or easy.options.effects == "once":
            return None
        if not isinstance(event, FinishedEvent):
            return None
        self.durable = max(seq, self.durable)
        gate.clear()
        outbox.clear()
        self.live.add(visit)
        attempt = entry.attempt + 1
        return Turn(None, event, (self._started(entry, attempt, at),), Start(visit, entry.place, attempt))


def _choose(ways: tuple[EasyWay[S], ...], state: S) -> EasyWay[S] | None:
    """Where to go; None where the general path has to say why not."""
    try:
        for way in ways:
            if way.when is None or way.when(state):
                return way
    except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 - a predicate may raise anything: it is asked again
        return None
    return None
