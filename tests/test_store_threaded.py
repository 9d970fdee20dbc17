"""Stores on a thread: opening, closing, and what a cancel leaves behind."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from terzetto.stores import SqliteStore
from terzetto.testing._store_laws import claim, first
from terzetto_protocol.errors import StoreError, StoreUnavailable

from .gates import LIMIT, Gate, store_threads


async def test_a_store_is_used_between_opening_and_closing(tmp_path) -> None:
    with trio.fail_after(LIMIT):
        store = SqliteStore(tmp_path / "runs.db")
        with pytest.raises(StoreError, match="is not open: use `async with`"):
            await store.runs()
        async with store:
            assert store_threads() == [f"store sqlite:{tmp_path}/runs.db"]
            with pytest.raises(StoreError, match="is open already"):
                await store.__aenter__()
        with pytest.raises(StoreError, match="is not open"):
            await store.commit([first()])
        assert store_threads() == []
        async with store:
            assert await store.runs() == []


async def test_a_store_that_does_not_open_leaves_nothing(tmp_path) -> None:
    with trio.fail_after(LIMIT):
        store = SqliteStore(tmp_path / "no" / "runs.db")
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="make the folder first"):
                await store.__aenter__()
            assert store_threads() == []
        with trio.CancelScope() as scope:
            scope.cancel()
            await SqliteStore(tmp_path / "runs.db").__aenter__()
        assert scope.cancelled_caught
        assert store_threads() == []
        assert list(tmp_path.iterdir()) == []


class SlowStore(SqliteStore):
    """Every commit waits for its gate, before and after it happens."""

    before: Gate
    after: Gate

    def do_commit(self, writes):
        self.before()
        outcomes = super().do_commit(writes)
        self.after()
        return outcomes


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_closing_under_a_cancel_lets_the_commit_end(tmp_path, moment) -> None:
    """SEMANTICS 3: a commit that has begun is there when the store is closed, although its caller was cancelled."""
    with trio.fail_after(LIMIT):
        store = SlowStore(tmp_path / "runs.db")
        store.before, store.after = Gate(), Gate()

        async def cancel() -> None:
            if moment == "after":
                store.before.open()
            await getattr(store, moment).begun.wait()
            scope.cancel()
            await wait_all_tasks_blocked()
            store.before.open()
            store.after.open()

        async def use() -> None:
            with scope:
                async with store:
                    await store.commit([first(), claim()])
                    await trio.lowlevel.checkpoint()

        scope = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(cancel)
        assert scope.cancelled_caught
        assert store_threads() == []
        async with SqliteStore(tmp_path / "runs.db") as again:
            assert await again.records("r") == [first().body, claim().body]
