"""The mechanics of a turn: making records, and letting out what waits for them. Which records: `machine`."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from msgspec.structs import replace

from .blueprint import Blueprint
from .events import NodeStarted, told_by
from .fold import Fold
from .frames import Frame
from .holding import Held, provisional
from .ids import event_id
from .image import Origin
from .limits import RUN_AHEAD
from .pending import LASTING, Pending, is_within
from .places import Node
from .receipts import AlreadyResolved, Receipt
from .records import (
    Asked,
    BarrierRow,
    Detail,
    Failure,
    Joined,
    Kind,
    Migrated,
    Observed,
    Record,
    Resolution,
    Returned,
    Rewind,
    Step,
    Write,
)
from .scribe import RESTING, barrier_row, dropped_rows, opened_row, write_of
from .state import Entry, stored
from .statuses import TERMINAL, RunStatus, VisitStatus, check_move
from .turn import NOTHING, Effect, Finish, Rearm, Reply, Start, Turn
from .waits import Mode, Waits

S = TypeVar("S")

What: TypeAlias = Literal["enter", "resume", "ended", "join"]

_TIMED: Final = frozenset({Kind.RETRY, Kind.ASK})  # after these something may happen by itself

IDLE: Final = RESTING | {RunStatus.QUEUED, RunStatus.INTERRUPTED}
"""Statuses in which a run carries no node, so that its task may leave."""


class Stage(Generic[S]):
    """Durable half, volatile half, and the effects of the turn that is being made."""

    __slots__ = (
        "_finishing",
        "_origin",
        "announced",
        "blueprint",
        "claimed",
        "durable",
        "effects",
        "expired",
        "failing",
        "fenced",
        "fold",
        "halting",
        "held",
        "live",
        "logged",
        "owned",
        "promises",
        "resolved",
        "sending",
        "settled",
        "soiled",
        "stuck",
        "tells",
        "todo",
        "told",
        "waits",
    )

    def __init__(self, fold: Fold[S], *, logged: bool, settled: bool, promises: bool) -> None:
        self.fold = fold
        self.blueprint = fold.blueprint
        self.logged, self.settled, self.promises = logged, settled or not logged, promises
        self.held = Held(fold.header.durability)
        self.tells = True
        """False when nothing is stored and nobody can listen: events are then counted and not made."""
        self.live: set[int] = set()
        """Visits that were told to start and have not ended."""
        self.sending: dict[int, int] = {}
        """How many values bodies of a dataflow that live have sent, those that an earlier attempt had sent included."""
        self.durable = fold.image.seq
        self.told = fold.image.event_id
        """Id of the last event that was made, durable or not."""
        self.waits = Waits()
        self.todo: list[tuple[What, int | str]] = []
        """What the commits of this turn have led to: a visit or a path, and what is to be done about it."""
        self.owned = False
        """False until this machine's first commit, which therefore raises the epoch."""
        self.claimed = 0
        """The commit by which this machine owns the run; no body begins before it is durable."""
        self.halting: str | None = None
        self.expired: Failure | None = None
        """Why the run fails as soon as nothing of it is live: its deadline has passed."""
        self.failing: list[str] = []
        """Paths of the outermost forks whose branches are being ended because one of them failed."""
        self.soiled: dict[Frame[Any], None] = {}
        """Frames whose states were lent to bodies that gave no result, and have to be as they were before."""
        self.stuck: list[Pending] = []
        """Visits whose bodies ignored their cancel, and about which no commit has told yet."""
        self.fenced = ""
        self.announced = fold.image.seq
        """The last commit after which it was looked at whether the run rests."""
        self._finishing = False
        self._origin = fold.origin() if fold.is_old and fold.image.status not in TERMINAL else None
        """The run as another version of its graph left it, until this one makes its first commit."""
        self.effects: list[Effect] = []
        self.resolved: dict[str, AlreadyResolved] = {}
        """How barriers were resolved, for those who come second; who loads a run says what its store knows."""

    def plan(self, what: What, keys: Iterable[int | str]) -> None:
        """Have something done about these visits or paths later in this turn."""
        self.todo.extend((what, key) for key in keys)

    def blueprint_of(self, entry: Pending) -> Blueprint[Any]:
        """The graph that a visit belongs to."""
        return self.fold.branches[entry.path].blueprint if entry.path else self.blueprint

    def node_of(self, entry: Pending) -> Node[Any, Any] | None:
        """The node of a visit; None for a barrier or a place that opens branches."""
        blueprint = self.fold.branches[entry.path].blueprint if entry.path else self.blueprint
        return blueprint.nodes.get(entry.place)

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way: the run needs no machine in memory until somebody speaks to it."""
        return self.status in IDLE and self.durable >= self.fold.image.seq and not self.waits.outbox

    def is_resting(self, entry: Pending) -> bool:
        """Whether a visit still rests between two attempts, and another is to follow."""
        waits = entry.status is VisitStatus.WAITING_RETRY and entry.visit not in self.live
        carried = self.owned and self.status is RunStatus.RUNNING and not self.is_leaving
        if not waits or not carried or self.is_moot(entry):
            return False
        return not any(visit == entry.visit for _, visit, _ in self.waits.gate)

    def is_moot(self, entry: Pending) -> bool:
        """Whether nothing that this visit does counts any more: a sibling of its branch failed, or the time is over."""
        return self.expired is not None or (
            bool(self.failing) and any(is_within(entry.path, path) for path in self.failing)
        )

    @property
    def parking(self) -> bool:
        """Whether the run is to be PAUSED as soon as nothing of it is live."""
        return self.fold.image.parking

    @property
    def is_leaving(self) -> bool:
        """Whether no visit is to begin any more, because the run is to be interrupted or paused."""
        return self.halting is not None or self.parking or self.expired is not None

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.fold.header.run_id

    @property
    def status(self) -> RunStatus:
        """The run's status after everything that was fed, durable or not."""
        return self.fold.image.status

    def commit(
        self,
        kind: Kind,
        at: float,
        status: RunStatus,
        *,
        entry: Pending | None = None,
        outcome: VisitStatus | None = None,
        attempt: int = 0,
        steps: tuple[Step, ...] = (),
        mutations: Sequence[Entry] = (),
        detail: Detail | None = None,
        state: bytes | None = None,
        create: bool = False,
        parks: bool = False,
        observed: Observed | None = None,
        checkpoint: str | None = None,
    ) -> None:
        """Make one record, move by it, and queue its write and its events.

        `state` is the encoded state, if this commit is to carry a snapshot and it was encoded already.
        """
        if self._origin is not None:
            self._migrate(self._origin, at)
        image = self.fold.image
        before = None if create else image.status
        check_move(self.run_id, before, status)
        expect, epoch = image.epoch, image.epoch + (not self.owned)
        self.owned = True
        record = Record(
            seq=image.seq + 1,
            kind=kind,
            epoch=epoch,
            at=at,
            status=status,
            event_id=self.next_event_id(epoch),
            visit=0 if entry is None else entry.visit,
            place="" if entry is None else entry.place,
            outcome=outcome,
            attempt=attempt,
            steps=steps,
            mutations=stored(mutations),
            detail=detail,
            path="" if entry is None else entry.path,
            parks=parks,
            observed=observed,
            checkpoint=checkpoint,
        )
        events = told_by(self.run_id, record) if self.tells else ()
        rows = self._rows(record, entry) if self.logged else ()
        self.fold.move(record)
        self.told = image.event_id
        if self.logged:
            state = self._state_for(record) if state is None else state
            write = write_of(self.fold, record, events, expect=expect, before=before, rows=rows, state=state)
            if self._holds(write, steps, asked=checkpoint is not None):
                events = tuple(map(provisional, events))
        if self.settled:
            self.durable = record.seq
        for event in events:
            self.waits.post(record.seq, event)
        if status is RunStatus.RUNNING and (kind in _TIMED or any(step.opening is not None for step in steps)):
            self.effects.append(Rearm())

    def _state_for(self, record: Record) -> bytes | None:
        """The encoded state, where this record's commit is to carry a snapshot and it can be stored."""
        if record.status not in RESTING and not self._is_checkpoint(record):
            return None
        self.undo_touches()
        return self.fold.try_pack()

    def undo_touches(self) -> None:
        """Before the run's state is stored: undo what bodies that live, or gave no result, may have done to it."""
        if self.live or self.soiled:
            self.fold.cleanse()

    def _migrate(self, origin: Origin, at: float) -> None:
        """Before anything else is committed: from here on the log is of this version of the graph."""
        fold, image = self.fold, self.fold.image
        expect, epoch = image.epoch, image.epoch + 1
        self._origin, self.owned = None, True
        detail = Migrated(fold.version, self.blueprint.version, self.blueprint.fingerprint)
        number = self.next_event_id(epoch)
        record = Record(image.seq + 1, Kind.MIGRATE, epoch, at, image.status, number, detail=detail)
        fold.move(record)
        self.told = number - 1
        write = write_of(fold, record, (), expect=expect, before=image.status, rows=(), state=None)
        self.effects.append(replace(write, snapshot=fold.snapshot_as(origin, at)))
        if self.settled:
            self.durable = record.seq

    def is_due(self, seq: int, at: float) -> bool:
        """Whether the run's policy, if it has one, makes a checkpoint of this commit."""
        policy, fold = self.fold.header.checkpoints, self.fold
        return policy is not None and policy.is_due(seq - fold.saved, at - fold.saved_at)

    def _is_checkpoint(self, record: Record) -> bool:
        policy = self.fold.header.checkpoints
        if policy is None:
            return False
        opens = isinstance(record.detail, Asked) or any(step.opening is not None for step in record.steps)
        return (policy.barriers and opens) or self.is_due(record.seq, record.at)

    def _holds(self, write: Write, steps: Sequence[Step], *, asked: bool) -> bool:
        """Write a commit, and before it whatever is held; or hold it too, if all before it is durable or held."""
        if not asked and self.durable == write.seq - 1 and self.held.takes(write.kind, write.status, steps):
            self.held.writes.append(write)
            self.durable = write.seq
            return True
        self.effects.extend(self.held.let_go())
        self.effects.append(write)
        return False

    def _rows(self, record: Record, entry: Pending | None) -> tuple[BarrierRow, ...]:
        rows = tuple(opened_row(self.run_id, step, record.at) for step in record.steps if step.opening is not None)
        if entry is not None:
            rows += self._rows_of(entry, record)
        if record.status in TERMINAL:
            rows += dropped_rows(self.run_id, self.fold.image.frontier.values(), record.at, record.visit)
        elif isinstance(record.detail, Rewind):
            rows += dropped_rows(self.run_id, self.fold.image.frontier.values(), record.at)
        elif isinstance(record.detail, Joined):
            rows += dropped_rows(self.run_id, self.fold.within(self.fold.fork_of(record.visit)[0]), record.at)
        elif isinstance(record.detail, Returned):
            rows += dropped_rows(self.run_id, self.fold.within(record.detail.path), record.at)
        return rows

    def _rows_of(self, entry: Pending, record: Record) -> tuple[BarrierRow, ...]:
        """Rows of the barriers of the visit that a record is about: as they open, and as they close."""
        made, rows = record.detail, tuple[BarrierRow, ...]()
        if isinstance(made, Asked):
            return (barrier_row(self.run_id, entry, made.ask.barrier, made.ask.name, made.ask.opening),)
        if record.outcome in LASTING and self.fold.image.forks:
            for path in self.fold.calls(entry.visit):
                rows += dropped_rows(self.run_id, self.fold.within(path), record.at)
        for each in entry.open_barriers:
            resolution = made if isinstance(made, Resolution) and made.barrier == each[0] else None
            if resolution is not None or record.outcome in LASTING:
                rows += (barrier_row(self.run_id, entry, *each, made=resolution, resolved=record.at),)
        return rows

    def next_event_id(self, epoch: int) -> int:
        """The id after the last one; a new epoch begins at 1."""
        first = event_id(epoch, 1)
        return max(self.told + 1, first)

    def reply(self, command_id: str, receipt: Receipt) -> None:
        """Send a receipt once everything so far is durable."""
        if command_id:
            self.waits.post(self.fold.image.seq, Reply(command_id, receipt))

    def hold(self, visit: int, *, ahead: bool) -> None:
        """Let a pending node begin: when its predecessor is durable, or (`ahead`, if it is pure) a window earlier."""
        need = self.fold.image.seq
        if ahead:
            node = self.node_of(self.fold.image.frontier[visit])
            if node is not None and node.options.effects == "pure":
                need = max(need - RUN_AHEAD, self.claimed)
        self.waits.hold(need, visit)

    def turn(self, at: float) -> Turn:
        """Everything that this input led to."""
        self._release(at)
        self._announce()
        effects, self.effects = self.effects, []
        return make_turn(effects) if effects else NOTHING

    def _release(self, at: float) -> None:
        """Let out what no longer waits: visible effects in their order, and visits that may go."""
        waits, image, is_leaving = self.waits, self.fold.image, self.is_leaving
        while True:
            if waits.outbox:
                self.effects.extend(waits.ready(self.durable))
            if not waits.gate or image.status is not RunStatus.RUNNING:
                return
            opened = waits.open(self.durable, only_begun=is_leaving, has_room=self.has_room)
            if opened is None:
                return
            self._go(image.frontier[opened[0]], opened[1], at)

    def has_room(self, visit: int) -> bool:
        """Whether one more visit of its fan-out may be live; always outside of one."""
        path = self.fold.image.frontier[visit].path
        if not path:
            return True
        fork, limit = self.fold.branches[path].fork, self.fold.branches[path].composite.options.limit
        if limit is None:
            return True
        opened = self.fold.image.forks[fork]
        if opened.begun - opened.ended <= limit:
            return True
        frontier, branches = self.fold.image.frontier, self.fold.branches
        busy = self.live.union(self.waits.begun())
        return sum(1 for v in busy if (p := frontier[v].path) and branches[p].fork == fork) < limit

    def _go(self, entry: Pending, mode: Mode, at: float) -> None:
        node = self.node_of(entry)
        if mode == "start" and node is not None and node.options.effects == "once":
            # D2: the intent is a write of its own, made only now that everything before it is durable.
            attempt = entry.attempt + 1
            self.commit(Kind.INTENT, at, RunStatus.RUNNING, entry=entry, outcome=VisitStatus.RUNNING, attempt=attempt)
            self.waits.hold(self.fold.image.seq, entry.visit, "body")
            return
        self.live.add(entry.visit)
        attempt = entry.attempt if entry.status is VisitStatus.RUNNING else entry.attempt + 1
        if mode != "probe" and self.tells:
            self.waits.post(self.fold.image.seq, self._started(entry, attempt, at))
        elif mode != "probe":
            self.told += 1
        self.effects.append(Start(entry.visit, entry.place, attempt, entry.path, probe=mode == "probe"))

    def _started(self, entry: Pending, attempt: int, at: float) -> NodeStarted:
        self.told += 1  # after its claim a run has told something in this epoch
        node = f"{entry.path}/{entry.place}" if entry.path else entry.place
        return NodeStarted(
            id=self.told, run_id=self.fold.header.run_id, at=at, node=node, visit=entry.visit, attempt=attempt
        )

    def _announce(self) -> None:
        """Say that the run came to rest, when that is durable, and take it back if it goes on before."""
        image = self.fold.image
        if image.seq == self.announced:
            return
        self.announced = image.seq
        if self._finishing:
            self.waits.go_on()
        self._finishing = image.status in IDLE
        if self._finishing:
            self.waits.post(image.seq, Finish(image.status))
            self.effects.extend(self.waits.ready(self.durable))


def make_turn(effects: Sequence[Effect]) -> Turn:
    """Sort effects into a turn: the first write, the first event after it, and the last start have slots."""
    commit = effects[0] if isinstance(effects[0], Write) else None
    start = effects[-1] if isinstance(effects[-1], Start) else None
    more = tuple(effects[commit is not None : len(effects) - (start is not None)])
    return Turn(commit=commit, more=more, start=start)
