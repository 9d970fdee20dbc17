"""What laws about stores are written with: a book to enter them in, a way to say no, and writes to try."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from terzetto_protocol.records import BarrierRow, Posted, RunHeader, RunRow, Write
from terzetto_protocol.statuses import BarrierStatus, RunStatus

from ..stores import Store

Opener: TypeAlias = Callable[[], Store]
"""Makes a store that is not open yet; every call of one opener leads to the same stored data."""
StoreLaw: TypeAlias = Callable[[Opener], Awaitable[None]]
"""Checks one promise on a store that is empty at first; raises `AssertionError` when it is broken."""


def name_of(law: Callable[..., object]) -> str:
    """What a law is called."""
    return str(getattr(law, "__name__", law))


class LawBook:
    """Laws in the order in which they were entered, by decorators."""

    def __init__(self) -> None:
        self.laws: list[StoreLaw] = []

    def opener_law(self, check: StoreLaw) -> StoreLaw:
        """Enter a law that opens the store itself."""
        self.laws.append(check)
        return check

    def law(self, check: Callable[[Store], Awaitable[None]]) -> StoreLaw:
        """Enter a law that needs one open store."""

        async def with_store(opener: Opener) -> None:
            async with opener() as store:
                await check(store)

        with_store.__name__, with_store.__doc__ = name_of(check), check.__doc__
        return self.opener_law(with_store)


def expect(found: object, wanted: object, what: str) -> None:
    """Raise `AssertionError`, with both values, unless they are equal."""
    if found != wanted:
        raise AssertionError(f"{what}\n  wanted {wanted!r}\n  found  {found!r}")


def header(run_id: str = "r", **changes: Any) -> RunHeader:
    """A header, with some fields changed."""
    return msgspec.structs.replace(RunHeader(run_id, "graph", "1", "fingerprint", "digest", at=100.0), **changes)


def first(run_id: str = "r", **changes: Any) -> Write:
    """The write that creates a run; `header` may be changed as a whole."""
    write = Write(
        run_id, expect=0, epoch=0, seq=1, at=100.0, status=RunStatus.QUEUED, event_id=1,
        body=b"first of " + run_id.encode(), snapshot=b"snapshot 1", header=header(run_id),
    )  # fmt: skip
    return msgspec.structs.replace(write, **changes)


def claim(run_id: str = "r", seq: int = 2, epoch: int = 1, **changes: Any) -> Write:
    """A write that raises the epoch by one."""
    return follow(run_id, seq, epoch=epoch, expect=epoch - 1, moved=True, **changes)


def follow(run_id: str = "r", seq: int = 3, **changes: Any) -> Write:
    """An everyday write under epoch 1: it moves nothing, and tells one event."""
    write = Write(
        run_id, expect=1, epoch=1, seq=seq, at=100.0 + seq, status=RunStatus.RUNNING, event_id=seq * 10,
        body=f"commit {seq} of {run_id}".encode(), moved=False,
    )  # fmt: skip
    return msgspec.structs.replace(write, **changes)


def row_after(*writes: Write) -> RunRow:
    """The row that a store must list after these writes of one run, the first one first."""
    moved = [write for write in writes if write.moved or write.header is not None][-1]
    last, created = writes[-1], writes[0].header
    assert created is not None
    return RunRow(
        created, moved.status, moved.epoch, last.seq, last.event_id, last.at, moved.code, moved.message, moved.timer
    )


def barrier(run_id: str = "r", name: str = "gate@2", **changes: Any) -> BarrierRow:
    """An open barrier."""
    row = BarrierRow(run_id, name, name.partition("@")[0], visit=2, status=BarrierStatus.OPEN, opened=100.0)
    return msgspec.structs.replace(row, **changes)


def posted(command_id: str = "c-1", **changes: Any) -> Posted:
    """A command of another process."""
    return msgspec.structs.replace(Posted(command_id, "r", b"decide " + command_id.encode(), at=100.0), **changes)


async def started(store: Store, run_id: str = "r") -> list[Write]:
    """Create and claim a run; returns both writes. A checkpoint."""
    writes = [first(run_id), claim(run_id)]
    await applied(store, *writes)
    return writes


async def applied(store: Store, *writes: Write) -> None:
    """Commit a group, every write of which must be applied. A checkpoint."""
    names = [type(outcome).__name__ for outcome in await store.commit(writes)]
    expect(names, ["Applied"] * len(writes), "every write of this group can be applied")
