"""The commit of an everyday step: what it says is known at once, and encoded when somebody reads it."""

from typing import Any, Final

import msgspec
from msgspec import Raw

from .records import Kind, Write
from .statuses import RunStatus, VisitStatus
from .stepped import Stepped

_encode: Final = msgspec.msgpack.Encoder().encode

_VISIT: Final = str(Kind.VISIT)
_RUNNING: Final = str(RunStatus.RUNNING)
_SUCCEEDED: Final = str(VisitStatus.SUCCEEDED)


class StepCommit(Stepped, frozen=True, gc=False):
    """What an everyday step stores, beside what it tells; for stores that apply a write inside the call."""

    epoch: int
    tries: int
    """The attempt of the visit that has finished."""
    batch: tuple[tuple[str, Raw], ...]

    @property
    def body(self) -> bytes:
        """The record, encoded."""
        steps = (step_array(self.next_visit, self.next_node),)
        left = self.node, self.tries, ""
        head = self.seq, self.epoch, self.at, self.id
        return everyday_body(*head, visit=self.visit, left=left, steps=steps, batch=self.batch)

    @property
    def kept(self) -> tuple[int, int, float, bytes]:
        """Epoch, last event id, time and body, as a write has them."""
        return self.epoch, self.id, self.at, self.body

    @property
    def write(self) -> Write:
        """The same as a write."""
        run_id, epoch = self.run_id, self.epoch
        return Write(run_id, epoch, epoch, self.seq, self.at, RunStatus.RUNNING, self.id, self.body, False, None)


def step_array(visit: int, place: str) -> tuple[Any, ...]:
    """The array that the `Step` of an everyday commit is encoded as."""
    return visit, place, -1, None, "", 0, 0


def everyday_body(
    seq: int,
    epoch: int,
    at: float,
    event: int,
    *,
    visit: int,
    left: tuple[str, int, str],
    steps: tuple[tuple[Any, ...], ...],
    batch: tuple[tuple[str, Raw], ...],
) -> bytes:
    """The encoded `Record` of an everyday commit; `left` is (place, attempt, path) of the visit that has ended.

    It is made of arrays, without the objects: making one takes longer than encoding it.
    """
    place, attempt, path = left
    return _encode((
        seq, _VISIT, epoch, at, _RUNNING, event, visit, place, _SUCCEEDED, attempt, steps, batch,
        None, path, False, None, None,
    ))  # fmt: skip
