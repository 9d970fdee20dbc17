"""A run as its log makes it: the durable half of the machine, moved by records and by nothing else.

Live turns, recovery and replay all end in `move`, which asks no predicate, no clock and no node: it
only does what the record says was decided.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from .blueprint import Blueprint
from .codec import pack
from .errors import Malformed, NotStorable
from .events import count_told
from .ids import barrier_id
from .limits import STATE_BYTES
from .records import Failure, Kind, Note, Opening, Record, RunHeader, Step, failure_of
from .state import Entry, StateForm
from .statuses import TERMINAL, RunStatus, VisitStatus

S = TypeVar("S")

REBASE_ENTRIES: Final = 256
"""Mutations that a run without a log remembers before it makes a new base of its state."""
_SNAPSHOT_SLACK: Final = 1024  # bytes of deltas that are always cheaper to fold than a snapshot is to write
_WAITING: Final = frozenset({VisitStatus.AWAITING_INPUT, VisitStatus.UNKNOWN})
_LASTING: Final = frozenset({VisitStatus.SUCCEEDED, VisitStatus.FAILED, VisitStatus.CANCELLED, VisitStatus.SKIPPED})


class Pending(Struct, array_like=True):
    """A visit in the frontier: what still has to happen before the run can end."""

    visit: int
    place: str
    path: str = ""
    status: VisitStatus = VisitStatus.PENDING
    attempt: int = 0
    opening: Opening | None = None
    asked: int = 0
    """How often a decision about this visit was asked for."""

    @property
    def barrier(self) -> str:
        """The id under which this visit is decided, if it is a barrier's or an unknown effect's."""
        return barrier_id(self.path, self.place, self.visit, max(0, self.asked - 1))


class Image(Struct, array_like=True):
    """Everything durable about a run except its state."""

    status: RunStatus = RunStatus.QUEUED
    epoch: int = 0
    seq: int = 0
    event_id: int = 0
    visits: int = 0
    claims: int = 0
    """Claims since the last commit of a visit or a decision."""
    frontier: dict[int, Pending] = {}
    edges: dict[int, int] = {}
    """How often each counted edge was taken."""
    places: dict[str, int] = {}
    """How often each counted place was visited."""
    failure: Failure | None = None
    note: str = ""
    """What a person should know about the end, where it is no failure."""
    unknown: tuple[str, ...] = ()
    """Visits whose effect nobody knows, as `node@visit`; set by the end of the run."""
    finished: int = 0
    cost: float = 0.0


class Snapshot(Struct, array_like=True):
    """An image with its encoded state."""

    image: Image
    state: bytes


_decode_record = msgspec.msgpack.Decoder(Record).decode
_decode_snapshot = msgspec.msgpack.Decoder(Snapshot).decode


def read_record(body: bytes) -> Record:
    """Decode one stored commit; raises `Malformed` for damaged bytes."""
    try:
        return _decode_record(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("commit", str(error)) from error


def read_snapshot(body: bytes) -> Snapshot:
    """Decode a stored snapshot; raises `Malformed` for damaged bytes."""
    try:
        return _decode_snapshot(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("snapshot", str(error)) from error


class Fold(Generic[S]):
    """Image and state of one run, and enough of the log to rebuild the state after a batch was dropped."""

    __slots__ = ("_base", "_tail", "_weight", "blueprint", "header", "image", "state", "waiting")

    def __init__(self, blueprint: Blueprint[S], header: RunHeader, image: Image, state: S, base: bytes) -> None:
        self.blueprint = blueprint
        self.header = header
        self.image = image
        self.state = state
        self._rebase(base)
        self.waiting = sum(1 for entry in image.frontier.values() if entry.status in _WAITING)

    @property
    def deadline(self) -> float | None:
        """When the run's next barrier decides by itself, as UNIX time."""
        if not self.waiting:
            return None
        openings = (entry.opening for entry in self.image.frontier.values())
        return min((o.deadline for o in openings if o is not None and o.deadline is not None), default=None)

    @classmethod
    def load(cls, blueprint: Blueprint[S], header: RunHeader, snapshot: bytes, bodies: Iterable[bytes]) -> "Fold[S]":
        """Fold the log onto a snapshot; raises `Malformed` when the graph cannot read it any more."""
        stored = read_snapshot(snapshot)
        fold = cls(blueprint, header, stored.image, blueprint.state.unpack(stored.state), stored.state)
        for body in bodies:
            fold.replay(read_record(body))
        return fold

    def replay(self, record: Record) -> None:
        """Apply a stored commit."""
        self.apply(record.mutations)
        self.move(record)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply a batch whole, or raise `MutationFailed` and leave the state as it was."""
        if not entries:
            return
        try:
            self.blueprint.vocabulary.apply(entries, self.state)
        except Exception:
            self.rebuild()
            raise
        self._tail.extend(entries)

    def drop(self, entries: Sequence[Entry]) -> None:
        """Take back the batch that was applied last."""
        if entries:
            del self._tail[-len(entries) :]
            self.rebuild()

    def rebuild(self) -> None:
        """Make the state anew from the log."""
        self.state = self.blueprint.state.unpack(self._base)
        self.blueprint.vocabulary.apply(self._tail, self.state)

    def cleanse(self) -> None:
        """Undo what a node that gave no result may have done to the state that it was only lent."""
        form: StateForm[S] = self.blueprint.state
        lent, data = self.state, _try_pack(form, self.state)
        self.rebuild()
        if data is not None and data == _try_pack(form, self.state):
            self.state = lent  # untouched: keep it, with its transient fields

    def move(self, record: Record) -> None:
        """Do what the record says was decided about everything but the state."""
        image = self.image
        self._count_claims(record)
        image.seq, image.status, image.epoch = record.seq, record.status, record.epoch
        image.event_id = record.event_id + count_told(record) - 1
        if record.visit:
            self._move_visit(record)
        for step in record.steps:
            self._enter(step)
        if record.status in TERMINAL:
            self._finish(record)

    def follow(self, entry: Pending, place: str, event: int) -> None:
        """As `move`, for the everyday commit: the lone visit has ended well, and `place` follows it."""
        image = self.image
        image.seq += 1
        image.event_id, image.claims = event, 0
        image.finished += 1
        image.cost += self.blueprint.nodes[entry.place].options.token_cost
        del image.frontier[entry.visit]
        image.visits = visit = image.visits + 1
        entry.visit, entry.place, entry.status = visit, place, VisitStatus.PENDING
        entry.attempt, entry.opening, entry.asked = 0, None, 0
        image.frontier[visit] = entry

    def _count_claims(self, record: Record) -> None:
        image = self.image
        if record.kind is Kind.CLAIM:
            image.claims += 1
        elif record.kind is Kind.VISIT or record.kind is Kind.DECIDE:
            image.claims = 0
        elif record.kind is Kind.INTERRUPT and record.epoch == image.epoch:
            image.claims -= 1  # an owner that says goodbye gives its claim back; one that is found dead did not

    def _move_visit(self, record: Record) -> None:
        image, outcome = self.image, record.outcome
        entry = image.frontier[record.visit]
        self.waiting -= entry.status in _WAITING
        if outcome in _LASTING:
            del image.frontier[record.visit]
            if outcome is not VisitStatus.CANCELLED:
                self._account(record)
        elif outcome is not None:
            entry.status, entry.attempt, entry.opening = outcome, record.attempt, None
            self.waiting += outcome in _WAITING

    def _account(self, record: Record) -> None:
        node = self.blueprint.nodes.get(record.place)
        if node is not None:
            self.image.finished += 1
            self.image.cost += node.options.token_cost

    def _enter(self, step: Step) -> None:
        image = self.image
        entry = image.frontier.get(step.visit)
        if entry is None:
            entry = image.frontier[step.visit] = Pending(step.visit, step.place, step.path)
            image.visits = step.visit
            self._count(step)
        if step.opening is not None:
            self.waiting += entry.status not in _WAITING
            entry.opening = step.opening
            entry.asked += 1
            entry.status = VisitStatus.UNKNOWN if step.opening.reconcile else VisitStatus.AWAITING_INPUT

    def _count(self, step: Step) -> None:
        if step.edge >= 0:
            self.image.edges[step.edge] = self.image.edges.get(step.edge, 0) + 1
        node = self.blueprint.node(step.place)
        if node is not None and node.options.max_visits is not None:
            self.image.places[step.place] = self.image.places.get(step.place, 0) + 1

    def _finish(self, record: Record) -> None:
        image = self.image
        image.failure = failure_of(record)
        if image.failure is None and isinstance(record.detail, Note):
            image.note = record.detail.text
        unsure = (VisitStatus.RUNNING, VisitStatus.UNKNOWN)  # RUNNING is durable only where an intent is
        image.unknown = tuple(f"{e.place}@{e.visit}" for e in image.frontier.values() if e.status in unsure)
        image.frontier, self.waiting = {}, 0

    def snapshot(self, state: bytes) -> bytes:
        """Encode the image with the state as `pack_state` gave it, and begin a new tail."""
        self._rebase(state)
        return pack(Snapshot(self.image, state), "snapshot", 2 * STATE_BYTES)

    def try_pack(self) -> bytes | None:
        """The encoded state, or None for one that cannot be stored (which the log itself still can)."""
        return _try_pack(self.blueprint.state, self.state)

    def snapshot_due(self, weight: int) -> bool:
        """Whether the deltas since the last snapshot, with `weight` bytes more, outweigh it."""
        self._weight += weight
        return self._weight > len(self._base) + _SNAPSHOT_SLACK

    def forget(self) -> None:
        """Without a log: make a new base once enough mutations are remembered; raises `NotStorable`."""
        if len(self._tail) >= REBASE_ENTRIES:
            self._rebase(self.blueprint.state.pack(self.state))

    def _rebase(self, base: bytes) -> None:
        self._base = base
        self._tail: list[Any] = []
        self._weight = 0


def _try_pack(form: StateForm[S], state: S) -> bytes | None:
    try:
        return form.pack(state)
    except NotStorable:
        return None  # what the node left behind cannot even be encoded: surely not what was lent
