"""What people are shown of a run: one view model for the command line, the terminal and the page.

Everything here is made of what a store holds (a row, encoded commits, barrier rows, a snapshot) and of nothing
else: no graph code is asked, so a run can be shown where its graph is not known, or is broken. All of it is plain:
texts, numbers, lists, dicts, and structs of these, which `msgspec.json.encode` takes as they are.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from msgspec.msgpack import Ext

from .codec import readable
from .events import StreamItem, told_by
from .ids import barrier_id
from .image import Snapshot, read_record, read_snapshot
from .limits import OBSERVED_RUN
from .records import BarrierRow, Failure, Observed, ObservedError, Record, RunRow, Step, Taken, failure_of
from .statuses import TERMINAL, BarrierStatus, RunStatus, VisitStatus

_PENDING_EFFECT: Final = VisitStatus.RUNNING
"""What the log says of a `once` visit whose intent is stored and whose end is not."""

NOTHING_OBSERVED: Final = Observed()
_pack = msgspec.msgpack.Encoder().encode


class BarrierView(Struct, frozen=True):
    """An open barrier, with what a person needs to decide it."""

    barrier: str
    """`name@visit`: what `decide` takes."""
    name: str
    opened: float
    """UNIX time, seconds."""
    deadline: float | None
    """UNIX time at which it decides by itself."""
    payload: Any
    reconcile: bool
    """True when it asks what became of an effect (answers: confirm, retry, fail)."""


class RunLine(Struct, frozen=True):
    """One run in a list."""

    run_id: str
    graph: str
    version: str
    status: RunStatus
    code: str
    """Why it FAILED."""
    message: str
    submitted: float
    updated: float
    seq: int
    """The last commit."""
    epoch: int
    open_barriers: tuple[str, ...]
    thread: str = ""
    """The thread that it continues, or empty."""
    damaged: str = ""
    """Why nothing else is told of it: what is stored is not what was stored."""


class MutationView(Struct, frozen=True):
    """A recorded mutation: its registered name and its fields."""

    name: str
    data: Any


class StepView(Struct, frozen=True):
    """A visit that a commit lets follow, or a barrier that it opens."""

    visit: int
    node: str
    """With its path, where it has one."""
    opens: str
    """Id of the barrier, if this opens one."""


class CommitView(Struct, frozen=True):
    """One commit, whole."""

    seq: int
    kind: str
    at: float
    epoch: int
    path: str
    place: str
    visit: int
    attempt: int
    outcome: VisitStatus | None
    """The visit's status after this commit."""
    status: RunStatus
    """The run's."""
    mutations: tuple[MutationView, ...]
    steps: tuple[StepView, ...]
    events: tuple[dict[str, Any], ...]
    """What it tells, each with `type` and `id`, as subscribers see it."""
    detail: dict[str, Any] | None
    """A failure, a resolution or a note, as its `type` says."""
    checkpoint: str | None = None
    """The label of the checkpoint that its node asked for, which may be empty; None where it asked for none."""


class RunView(Struct, frozen=True):
    """One run, whole."""

    run_id: str
    graph: str
    version: str
    fingerprint: str
    parent: str
    key: str
    max_steps: int
    auto_approve: bool
    metadata: dict[str, str | int | float | bool]
    status: RunStatus
    code: str
    message: str
    failure: Failure | None
    """Why it FAILED, with the frames where it happened."""
    epoch: int
    seq: int
    event_id: int
    submitted: float
    updated: float
    open_barriers: tuple[BarrierView, ...]
    unknown: tuple[str, ...]
    """Visits, as `node@visit`, whose effect nobody knows."""
    observed: tuple[ObservedError, ...]
    """Errors that nodes reported and that ended nothing: the first ones."""
    unlisted: int
    """How many more there were."""
    commits: tuple[CommitView, ...]
    state: Any
    """As of commit `state_seq`: of the last one when the run is parked or has ended."""
    state_seq: int
    """0 when no state is at hand."""
    thread: str = ""
    base: str | None = None
    """The head of its thread when it began, empty for none; None while it waits for its turn, and without a thread."""
    migrated: str = ""
    """The version of its graph under which it goes on, if that is not the one that it began under."""
    first: int = 1
    """The first commit from which all are left; 1 unless the log was pruned."""


def run_line(row: RunRow, barriers: Iterable[BarrierRow] = ()) -> RunLine:
    """A row as it is listed; `barriers` may be those of other runs too."""
    header = row.header
    waiting = tuple(one.barrier for one in barriers if one.run_id == row.run_id and one.status is BarrierStatus.OPEN)
    return RunLine(
        run_id=row.run_id,
        graph=header.graph,
        version=header.version,
        status=row.status,
        code=row.code,
        message=row.message,
        submitted=header.at,
        updated=row.updated,
        seq=row.seq,
        epoch=row.epoch,
        open_barriers=waiting,
        thread=header.thread,
        damaged=row.damaged,
    )


def barrier_view(row: BarrierRow) -> BarrierView:
    """A barrier's row with its payload decoded."""
    payload = plain(readable(row.payload))
    return BarrierView(row.barrier, row.name, row.opened, row.deadline, payload, row.reconcile)


def event_view(event: StreamItem) -> dict[str, Any]:
    """An event as a dict with `type`, `id` and its fields, with what a barrier or a chunk shows decoded."""
    return cast("dict[str, Any]", plain(readable(_pack(event))))


def commit_view(run_id: str, record: Record) -> CommitView:
    """A commit with its mutations decoded and the events that it tells."""
    return CommitView(
        seq=record.seq,
        kind=record.kind,
        at=record.at,
        epoch=record.epoch,
        path=record.path,
        place=record.place,
        visit=record.visit,
        attempt=record.attempt,
        outcome=record.outcome,
        status=record.status,
        mutations=tuple(MutationView(each.name, plain(readable(bytes(each.body)))) for each in record.mutations),
        steps=tuple(map(_step_view, record.steps)),
        events=tuple(map(event_view, told_by(run_id, record))),
        detail=None if record.detail is None else plain(readable(_pack(record.detail))),
        checkpoint=record.checkpoint,
    )


def run_view(
    row: RunRow,
    bodies: Iterable[bytes],
    barriers: Iterable[BarrierRow] = (),
    snapshot: tuple[int, bytes] | None = None,
    *,
    last: int | None = None,
    begin: bytes | None = None,
) -> RunView:
    """A run as its whole log tells it; raises `Malformed` for damaged bytes.

    Args:
        row: the run's row.
        bodies: all its encoded commits, in order; those that came after the row are left out.
        barriers: its barriers; only open ones are shown.
        snapshot: the newest one and its seq, if the state is to be shown.
        last: how many commits are shown, counted from the end; None for all.
        begin: the snapshot of commit `row.first`, for a log that was pruned.
    """
    header = row.header
    records = [record for record in map(read_record, bodies) if record.seq <= row.seq]
    start, since = _since(begin, row.first, records)
    observed = observed_in(since, NOTHING_OBSERVED if start is None else start.image.observed)
    shown = records if last is None else records[len(records) - min(last, len(records)) :]
    stored = None if snapshot is None else read_snapshot(snapshot[1])
    return RunView(
        run_id=row.run_id,
        graph=header.graph,
        version=header.version,
        fingerprint=header.fingerprint,
        parent=header.parent,
        key=header.key,
        max_steps=header.max_steps,
        auto_approve=header.auto_approve,
        metadata=header.metadata,
        status=row.status,
        code=row.code,
        message=row.message,
        failure=next(filter(None, map(failure_of, reversed(records))), None),
        epoch=row.epoch,
        seq=row.seq,
        event_id=row.event_id,
        submitted=header.at,
        updated=row.updated,
        open_barriers=tuple(barrier_view(one) for one in barriers if one.status is BarrierStatus.OPEN),
        unknown=unknown_visits(since, start),
        observed=observed.errors,
        unlisted=observed.more,
        commits=tuple(commit_view(row.run_id, record) for record in shown),
        state=None if stored is None else plain(readable(stored.state)),
        state_seq=0 if snapshot is None else snapshot[0],
        thread=header.thread,
        base=_base(records, None if stored is None else stored.image.base),
        migrated="" if stored is None else stored.image.version,
        first=row.first,
    )


def _base(records: Iterable[Record], known: str | None) -> str | None:
    return next((one.detail.base for one in records if isinstance(one.detail, Taken)), known)


def observed_in(records: Iterable[Record], observed: Observed = NOTHING_OBSERVED) -> Observed:
    """What was reported in all of these commits, and before them."""
    for record in records:
        if record.observed is not None:
            observed = observed.with_all(record.observed, OBSERVED_RUN)
    return observed


def unknown_visits(records: Sequence[Record], begin: Snapshot | None = None) -> tuple[str, ...]:
    """Visits, as `node@visit`, whose effect nobody knows: asked about, or begun in a run that ended without them.

    Args:
        records: its whole log, or what is left of it.
        begin: the run as it was just before the first of them, for a log that was pruned.
    """
    unsure: dict[int, tuple[str, bool]] = {} if begin is None else _unsure(begin)
    for record in records:
        if record.visit:
            unsure.pop(record.visit, None)
            if record.outcome is _PENDING_EFFECT:
                unsure[record.visit] = barrier_id(record.path, record.place, record.visit), False
        for step in record.steps:
            if step.opening is not None and step.opening.reconcile:
                unsure[step.visit] = barrier_id(step.path, step.place, step.visit), True
    status = records[-1].status if records else None if begin is None else begin.image.status
    ended = status in TERMINAL
    return tuple(name for name, asked in unsure.values() if asked or ended)


def _since(begin: bytes | None, first: int, records: Sequence[Record]) -> tuple[Snapshot | None, Sequence[Record]]:
    """The run with which a pruned log begins, and what came after; or no such run, and the whole log."""
    if begin is None:
        return None, records
    return read_snapshot(begin), [record for record in records if record.seq > first]


def _unsure(begin: Snapshot) -> dict[int, tuple[str, bool]]:
    """Of a run as a snapshot has it: each visit with whether somebody was asked about it."""
    unsure = {-number: (name, False) for number, name in enumerate(begin.image.unknown, 1)}
    for entry in begin.image.frontier.values():
        if entry.status in (_PENDING_EFFECT, VisitStatus.UNKNOWN):
            name = barrier_id(entry.path, entry.place, entry.visit)
            unsure[entry.visit] = name, entry.status is VisitStatus.UNKNOWN
    return unsure


def _step_view(step: Step) -> StepView:
    node = f"{step.path}/{step.place}" if step.path else step.place
    return StepView(
        step.visit, node, "" if step.opening is None else barrier_id(step.path, step.place, step.visit, step.k)
    )


def plain(value: object) -> Any:
    """The same with what JSON cannot say put into texts: bytes in base64, dates in ISO form, keys that are no text."""
    try:
        return msgspec.to_builtins(value, str_keys=True)
    except TypeError:
        return _plain(value)


def _plain(value: object) -> Any:
    """As `plain`, for the rare value that msgspec gives up on."""
    if isinstance(value, dict):
        table = cast("dict[object, object]", value)
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in table.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, Ext):
        return {"ext": value.code, "data": base64.b64encode(bytes(value.data)).decode()}
    return msgspec.to_builtins(value)
