"""Everything durable about a run in one value, and how it comes back from a store."""

from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import msgspec
from msgspec import Struct

from .errors import Malformed
from .frames import BranchImage, Counts, Fork
from .pending import Pending
from .records import Failure, Kept, Observed, Record
from .statuses import RunStatus


class Image(Struct, array_like=True):
    """Everything durable about a run except its state."""

    status: RunStatus = RunStatus.QUEUED
    epoch: int = 0
    seq: int = 0
    event_id: int = 0
    visits: int = 0
    claims: int = 0
    """Claims since the last commit of a visit, a decision or a value that was sent."""
    frontier: dict[int, Pending] = {}
    counts: Counts = msgspec.field(default_factory=Counts)
    failure: Failure | None = None
    note: str = ""
    """What a person should know about the end, where it is no failure."""
    unknown: tuple[str, ...] = ()
    """Visits whose effect nobody knows, as `node@visit`; set by the end of the run."""
    finished: int = 0
    cost: float = 0.0
    parking: bool = False
    """Whether it is to be PAUSED as soon as nothing of it is live."""
    kept: tuple[Kept, ...] = ()
    """Decisions that wait for their barriers, oldest first."""
    parked: float = 0.0
    """Seconds that it waited for people or was paused."""
    rested: float = 0.0
    """Since when it does, as UNIX time, while it does."""
    forks: dict[str, Fork] = {}
    """Open forks by their paths, outer ones first."""
    branches: dict[str, BranchImage] = {}
    """Their branches; filled for a snapshot only."""
    doomed: Failure | None = None
    """Why it fails as soon as what is under way in it has been cancelled."""
    base: str | None = None
    """The thread's head when it began, empty for none; None for a run that has not begun, or is on no thread."""
    intents: int = 0
    """Times that an effect of a `once` visit was begun."""
    observed: Observed = Observed()
    """Errors that visits reported and that ended nothing, over the whole run."""
    version: str = ""
    """The version of the graph under which it goes on; empty for the one that it began under."""


class Snapshot(Struct, array_like=True):
    """An image with its encoded state."""

    image: Image
    state: bytes


Origin: TypeAlias = tuple[bytes, dict[str, BranchImage]]
"""An encoded state, and the branches as a snapshot holds them."""


@cache  # a program that reads none has none made
def _record_decoder() -> Callable[[bytes], Record]:
    return msgspec.msgpack.Decoder(Record).decode


@cache  # as above
def _snapshot_decoder() -> Callable[[bytes], Snapshot]:
    return msgspec.msgpack.Decoder(Snapshot).decode


def read_record(body: bytes) -> Record:
    """Decode one stored commit; raises `Malformed` for damaged bytes."""
    try:
        return _record_decoder()(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("commit", str(error)) from error


def read_snapshot(body: bytes) -> Snapshot:
    """Decode a stored snapshot; raises `Malformed` for damaged bytes."""
    try:
        return _snapshot_decoder()(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed("snapshot", str(error)) from error
