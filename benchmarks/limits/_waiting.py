"""The limits of runs that wait: what has to stay of them in memory, and how one goes on.

- A parked run is a row (6.6): its header, its commits, each of which can be addressed (3.1), and a snapshot, for its
  last commit is a checkpoint (3.1). In memory all of that is one `bytes` in a dict by the run's id.
- A live run in a runtime has a task, in a scope by which `run.cancel()` ends it and nobody else (9.1); its state and
  its context; and its row, with two commits and a snapshot (D1).
- A decision is a commit that closes the barrier (6.1, D5). The run is read from its row, and its node needs a task,
  since it may wait.
"""

from statistics import median
from time import perf_counter, time
from typing import Final

import msgspec
import trio
from attrs import frozen
from msgspec import Struct

from .._states import Counted, Tally
from ._visit import Context, Node, encode, packed

PARKED: Final = (
    "a dict in which a run is one bytes object by its id: header, the commits of its submit and of its barrier, and a "
    "snapshot, packed"
)
LIVE: Final = (
    "a task in a scope of its own for each run, in sleep_forever with a context and a state; its row (header, two "
    "commits, a snapshot, packed)"
)
RESUME: Final = (
    "runs as packed rows in a dict: read one, keep the decision as a commit, start a task that reads it again, and in "
    "it the node; its end is a commit with a snapshot"
)
_BARRIER: Final = "sign-off@1"


class Row(Struct, frozen=True, array_like=True, gc=False):
    """All that is kept of a run."""

    header: tuple[str, str, str, str, float, int]
    """Graph, version, fingerprint and digest of what was submitted, time, and steps at most."""
    commits: list[bytes]
    snapshot: bytes


_read: Final = msgspec.msgpack.Decoder(Row).decode
_state: Final = msgspec.msgpack.Decoder(Tally).decode


def row_of(tally: Tally, second: str) -> bytes:
    """The row of a run that was submitted, and for which a second commit was made."""
    at = time()
    commits = [packed((1, 0, 1, at, 0, "submit")), packed((2, 1, 2, at, 1, second))]
    return encode(Row(("parked", "1", "0123456789abcdef", "0123456789abcdef", at, 10_000), commits, encode(tally)))


def parked(count: int) -> dict[str, bytes]:
    """As many runs that wait for a person."""
    return {f"run-{number}": row_of(Tally(), _BARRIER) for number in range(count)}


@frozen
class Live:
    """A run that waits in its node."""

    row: bytes
    state: Tally
    scope: trio.CancelScope


async def live(runs: dict[str, Live], run_id: str, sleep: Node) -> None:
    """Run a node that sleeps."""
    row = row_of(Tally(), "claim")
    tally = _state(_read(row).snapshot)
    with trio.CancelScope() as scope:
        runs[run_id] = Live(row, tally, scope)
        await sleep(Context(tally, 0))


def until_begun(count: int) -> float:
    """Median of the seconds from a decision until the node behind the barrier begins."""
    return median(delay for delay, _ in trio.run(_resumed, count))


def until_ended(count: int) -> float:
    """Median of the seconds from a decision until the result is there."""
    return median(delay for _, delay in trio.run(_resumed, count))


async def _resumed(count: int) -> list[tuple[float, float]]:
    runs, delays = parked(count), list[tuple[float, float]]()
    async with trio.open_nursery() as nursery:
        for run_id in list(runs):
            begun, ended = list[float](), trio.Event()
            began = perf_counter()
            _decide(runs, run_id)
            nursery.start_soon(_carry, runs, run_id, begun, ended)
            await ended.wait()
            assert _state(_read(runs[run_id]).snapshot).count == 1
            delays.append((begun.pop() - began, perf_counter() - began))
    return delays


def _decide(runs: dict[str, bytes], run_id: str) -> None:
    """Close the barrier for good."""
    row, at = _read(runs[run_id]), time()
    seq = len(row.commits) + 1
    row.commits.append(packed((seq, 2, 3, at, 1, "decide", _BARRIER, "approve", (2, "after"))))
    runs[run_id] = encode(row)


async def _carry(runs: dict[str, bytes], run_id: str, begun: list[float], ended: trio.Event) -> None:
    row = _read(runs[run_id])
    tally = _state(row.snapshot)
    ctx = Context(tally, 0)
    await _after(ctx, begun)
    for _, mutation in ctx.batch:
        mutation.apply(tally)
    commits = [*row.commits, packed((len(row.commits) + 1, 2, 5, time(), 2, "end", ctx.batch))]
    runs[run_id] = encode(Row(row.header, commits, encode(tally)))
    ended.set()


async def _after(ctx: Context, begun: list[float]) -> None:
    begun.append(perf_counter())
    ctx.record(Counted("signed off"))
