"""Processes that are killed while they forget: at every statement that the store makes of a prune, a delete or a clean.

Started by `test_crash_forgetting.py` in a process of its own, which forks one for each kill:
`forgetting_child.py TEMPLATE FOLDER WHAT STEP`. Each works on a copy of the template, FOLDER/NUMBER.db. It prints how
many were killed; the last one was not.
"""

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

import trio

import terzetto
from terzetto import _cleaner
from terzetto.stores import SqliteStore
from tests.test_crash_forgetting import GRAPH, RETENTION


class Killer:
    """Ends the process at its n-th statement."""

    def __init__(self, store: SqliteStore, number: int) -> None:
        self.left = number
        store._connection.exec_trace = self

    def __call__(self, cursor, statement, values) -> bool:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return True


async def forget(path: Path, what: str, number: int) -> None:
    with trio.fail_after(20):
        if what == "clean":
            await clean(path, number)
            return
        async with SqliteStore(path, synchronous="normal") as store:
            Killer(store, number)
            if what == "prune":
                await store.prune("r", 7, epoch=1, keep=(4,), closed_before=1e12)
            else:
                await store.delete("ended", epoch=1)


async def clean(path: Path, number: int) -> None:
    """A runtime that has nothing to do but to clean."""
    _cleaner.PRUNE_COMMITS = 2
    store = SqliteStore(path, synchronous="normal")
    async with terzetto.open_runtime(store, graphs=[GRAPH], retention=RETENTION) as runtime:
        Killer(store, number)
        assert runtime.cleaner is not None
        while not runtime.cleaner._surveyed:  # noqa: ASYNC110 - nobody else wants to know
            await trio.sleep(0.01)


def main(template: str, folder: str, what: str, step: str) -> None:
    for number in count(1, int(step)):
        path = Path(folder) / f"{number}.db"
        shutil.copy(template, path)
        if (child := os.fork()) == 0:
            trio.run(forget, path, what, number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            assert status == 0
            print(number)
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
