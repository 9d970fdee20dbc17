"""From a decided record to what a store is asked to write."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from .blobs import MARK, named_in
from .decisions import name_of
from .events import DurableEvent
from .fold import Fold
from .ids import barrier_id
from .inputs import NodeFinished
from .pending import Pending
from .records import BarrierRow, Note, Opening, Record, Resolution, Step, Taken, Write, failure_of
from .state import pairs_of
from .statuses import PARKED, TERMINAL, BarrierStatus, RunStatus
from .step_commit import everyday_body

encode_record = msgspec.msgpack.Encoder().encode

RUNNING: Final = RunStatus.RUNNING

RESTING: Final = TERMINAL | PARKED
"""Statuses whose commit always carries a snapshot, so that anybody can read the run without folding its log."""


def write_of(
    fold: Fold[Any],
    record: Record,
    events: Sequence[DurableEvent],
    *,
    expect: int,
    before: RunStatus | None,
    rows: tuple[BarrierRow, ...],
    state: bytes | None,
) -> Write:
    """The write for a record that the fold has just moved by.

    Args:
        fold: the run after the record.
        record: what was decided.
        events: what it tells.
        expect: the epoch that the store must have for the run.
        before: the status before; None creates the run.
        rows: barriers that the record opened, resolved or dropped.
        state: the encoded state, when a snapshot is to be written with it.
    """
    body = encode_record(record)
    snapshot, blobs = None if state is None else fold.snapshot(state, record.at), named_in(body)
    if before is None and snapshot is not None:
        blobs += named_in(snapshot)  # what later ones hold was in the first, or in a commit since
        blobs += named_in(msgspec.msgpack.encode(fold.header.recorded))  # it may have to wait for longer than they stay
    code, message = outcome_text(record)
    moved = before is not record.status or expect != record.epoch or bool(rows)
    return Write(
        run_id=fold.header.run_id,
        expect=expect,
        epoch=record.epoch,
        seq=record.seq,
        at=record.at,
        status=record.status,
        event_id=record.event_id + len(events) - 1,
        body=body,
        moved=moved,
        snapshot=snapshot,
        barriers=rows,
        header=fold.header if before is None else None,
        code=code,
        message=message,
        timer=fold.deadline if moved else None,
        kind=record.kind,
        thread=fold.header.thread if record.status is RunStatus.SUCCEEDED else "",
        base=fold.image.base if fold.header.thread and (before is None or isinstance(record.detail, Taken)) else None,
        blobs=blobs,
    )


def everyday_write(
    fold: Fold[Any],
    left: tuple[str, int, str],
    msg: NodeFinished,
    steps: tuple[tuple[Any, ...], ...],
    state: bytes | None,
) -> Write:
    """As `write_of`, for an everyday commit.

    Args:
        fold: the run after it.
        left: (place, attempt, path) of the visit that has ended.
        msg: how it ended.
        steps: what follows, each as a `step_array`.
        state: the encoded state, when a snapshot is to be written with it.
    """
    image = fold.image
    seq, epoch, event = image.seq, image.epoch, image.event_id
    batch = pairs_of(msg.batch)
    body = everyday_body(seq, epoch, msg.at, event, visit=msg.visit, left=left, steps=steps, batch=batch)
    snapshot = None if state is None else fold.snapshot(state, msg.at)
    write = Write(fold.header.run_id, epoch, epoch, seq, msg.at, RUNNING, event, body, False, snapshot)
    return replace(write, blobs=named_in(body)) if MARK in body else write


def outcome_text(record: Record) -> tuple[str, str]:
    """Code and message of a run's row: why it failed, or what a person should know."""
    failure = failure_of(record)
    if failure is not None:
        return failure.code, failure.message
    if isinstance(record.detail, Note):
        return "", record.detail.text
    return "", ""


def opened_row(run_id: str, step: Step, at: float) -> BarrierRow:
    """The row of a barrier that a step opens."""
    assert step.opening is not None
    return BarrierRow(
        run_id=run_id,
        barrier=barrier_id(step.path, step.place, step.visit, step.k),
        name=step.place,
        visit=step.visit,
        status=BarrierStatus.OPEN,
        opened=at,
        deadline=step.opening.deadline,
        payload=bytes(step.opening.payload),
        reconcile=step.opening.reconcile,
    )


def barrier_row(
    run_id: str,
    entry: Pending,
    barrier: str,
    name: str,
    opening: Opening,
    *,
    made: Resolution | None = None,
    resolved: float | None = None,
) -> BarrierRow:
    """The row of a barrier of this visit: open, resolved (`made`), or dropped because its visit ended without."""
    closed = BarrierStatus.DROPPED if made is None else BarrierStatus.RESOLVED
    return BarrierRow(
        run_id=run_id,
        barrier=barrier,
        name=name,
        visit=entry.visit,
        status=BarrierStatus.OPEN if resolved is None else closed,
        opened=opening.at,
        deadline=opening.deadline,
        payload=bytes(opening.payload),
        reconcile=opening.reconcile,
        decision="" if made is None else name_of(made.decision),
        source="" if made is None else made.source,
        resolved=resolved,
    )


def dropped_rows(run_id: str, entries: Iterable[Pending], at: float, but: int = 0) -> tuple[BarrierRow, ...]:
    """Rows of the barriers that are open among these, except the visit `but`, for a commit that drops them."""
    return tuple(
        barrier_row(run_id, entry, *each, resolved=at)
        for entry in entries
        if entry.visit != but
        for each in entry.open_barriers
    )
