"""A child process: have runs wait as the limits do, and print what that takes of memory.

`python -m benchmarks.limits._resident parked|live COUNT` prints how many bytes its resident memory has grown, and how
many it has in all.
"""

import sys

import trio
import trio.testing

from .._pages import resident
from ._visit import Context
from ._waiting import Live, live, parked


def main(kind: str, count: str) -> None:
    """Wait and print."""
    print(*(trio.run(_live, int(count)) if kind == "live" else _parked(int(count))))


def _parked(count: int) -> tuple[int, int]:
    before = resident()
    runs = parked(count)
    now = resident()
    assert len(runs) == count
    return now - before, now


async def _live(count: int) -> tuple[int, int]:
    runs, before = dict[str, Live](), resident()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(live, runs, f"run-{number}", _sleep)
        await trio.testing.wait_all_tasks_blocked()
        now = resident()
        assert len(runs) == count
        nursery.cancel_scope.cancel()
    return now - before, now


async def _sleep(_: Context) -> None:
    await trio.sleep_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
