"""`Checkpointer`: what LangGraph asks of a saver, over whichever shelf a URL names."""

import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self, TypeVar, TypeVarTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    get_checkpoint_id,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from terzetto_protocol.errors import InvalidRequest

from .._shelves._contract import AFTER, Row, Shelf
from .._shelves._hops import Threads, check_may_block, off_the_loop
from .._shelves._url import open_shelf
from ._history import delta_history
from ._loading import PAGE, listed, load, places
from ._pruning import delete_runs, prune
from ._rows import Place, checkpoint_row, run_row, value_rows, write_rows
from ._serializer import check, serializer

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

THREADS: Final = 8
"""How many calls of tasks of asyncio may wait for the store at the same time."""


class Checkpointer(BaseCheckpointSaver[str]):
    """Keeps LangGraph's checkpoints: what a `put` has returned for is durable, and survives `kill -9`.

    `graph.compile(checkpointer=Checkpointer("sqlite:checkpoints.db"))` is all it takes. It is open at
    once, and closed by `close`, or at the end of a `with` or `async with` block; `open` and `open_sync`
    say the same in one word. Any number of processes may use the same file or server.

    The methods of LangGraph and their `a...` forms do the same. Those may be awaited under asyncio and
    under Trio. The plain ones may be called by any thread; inside asyncio they block its loop, as
    LangGraph's own do, and in a task of Trio they are refused, except in memory, where nothing blocks.

    Cancelled, a call that has begun still happens: under Trio it is awaited to its end, under asyncio
    for a few seconds. Values are encoded before a call waits for the first time, so that later changes
    to them are in the next checkpoint.

    Args:
        url: `memory:`, `sqlite:FILE`, `sqlite:FILE?synchronous=normal`, `postgresql://...` or `redis://...`.
            The file is one of its own: stores of runs have theirs.
        serde: a serializer of your own. By default LangGraph's: its own types, and classes of data in
            modules that your program has loaded.

    Raises:
        InvalidRequest: no such URL, or a serializer that falls back to pickle.
        StoreUnavailable: the file cannot be opened, or the server does not answer.
        ImportError: the store takes an extra that is not installed; the text says which.
    """

    def __init__(self, url: str = "memory:", *, serde: SerializerProtocol | None = None) -> None:
        super().__init__(serde=serializer() if serde is None else serde)
        check(self.serde)
        self._shelf = open_shelf(url)
        self._threads = Threads(THREADS, "terzetto checkpoints")

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, serde: SerializerProtocol | None = None) -> AsyncGenerator[Self]:
        """Open a checkpointer for the length of an `async with` block, without blocking the loop; see the class."""
        with ThreadPoolExecutor(1, "terzetto opens") as thread:
            opened = await off_the_loop(thread, partial(cls, url, serde=serde))
        with opened:
            yield opened

    @classmethod
    @contextmanager
    def open_sync(cls, url: str, *, serde: SerializerProtocol | None = None) -> Generator[Self]:
        """Open a checkpointer for the length of a `with` block; see the class."""
        with cls(url, serde=serde) as opened:
            yield opened

    def close(self) -> None:
        """Close it, and with it every copy that `with_allowlist` made. The second time it does nothing."""
        self._shelf.close()
        self._threads.shutdown(wait=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # Each method of LangGraph's is said once, in plain functions over the shelf; here it is called in two ways.

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and the values of the channels that have new versions."""
        place, puts, inserts = self._put(config, checkpoint, metadata, new_versions)
        self._call(self._shelf.apply, place.thread, puts, inserts)
        return place.config()

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, and the values of the channels that have new versions."""
        place, puts, inserts = self._put(config, checkpoint, metadata, new_versions)
        await self._await(self._shelf.apply, place.thread, puts, inserts)
        return place.config()

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> tuple[Place, list[Row], list[Row]]:
        thread, namespace, parent = _asked(config)
        body = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        its_metadata = get_serializable_checkpoint_metadata(config, metadata)
        run = its_metadata.get("run_id")
        run = run if isinstance(run, str) else ""
        place = Place(thread, namespace, checkpoint["id"])
        dump = self.serde.dumps_typed
        rows = value_rows(self.serde, namespace, checkpoint["channel_values"], new_versions)
        rows.append(checkpoint_row(place, parent, run, dump(body), dump(its_metadata)))
        return place, rows, [run_row(run)] if run else []

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote; what is there already stays, except errors, interrupts and the like."""
        place, special, ordinary = self._writes(config, writes, task_id, task_path)
        self._call(self._shelf.apply, place.thread, special, ordinary)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store what a task wrote; what is there already stays, except errors, interrupts and the like."""
        place, special, ordinary = self._writes(config, writes, task_id, task_path)
        await self._await(self._shelf.apply, place.thread, special, ordinary)

    def _writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> tuple[Place, list[Row], list[Row]]:
        thread, namespace, checkpoint = _asked(config)
        if checkpoint is None:
            raise InvalidRequest("put_writes: the config has no checkpoint_id")
        place = Place(thread, namespace, checkpoint)
        return place, *write_rows(self.serde, place, writes, task_id, task_path)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or the newest of its thread and namespace."""
        return self._call(load, self._shelf, self.serde, *_asked(config))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that the config names, or the newest of its thread and namespace."""
        return await self._await(load, self._shelf, self.serde, *_asked(config))

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first, of all threads without a config; those that are read are as they are then."""
        wanted = self._call(places, self._shelf, *_listed(config, before))
        found = listed(self._shelf, self.serde, wanted, filter, limit)
        return self._paged(found) if self._shelf.blocks else found

    def _paged(self, found: Iterator[CheckpointTuple]) -> Iterator[CheckpointTuple]:
        # Whoever goes on with it may be somebody else than who began: every step looks where it is.
        while page := self._call(_page, found):
            yield from page

    async def alist(  # noqa: ASYNC900 - LangGraph's contract; it holds nothing between its items
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first, of all threads without a config; those that are read are as they are then."""
        wanted = await self._await(places, self._shelf, *_listed(config, before))
        found = listed(self._shelf, self.serde, wanted, filter, limit)
        while page := await self._await(_page, found):
            for each in page:
                yield each

    def delete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints of a thread, and what was written for them."""
        self._call(self._shelf.clear, str(thread_id))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete all checkpoints of a thread, and what was written for them."""
        await self._await(self._shelf.clear, str(thread_id))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a whole thread, at once; what the other has already stays beside it."""
        self._call(_copy, self._shelf, str(source_thread_id), str(target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a whole thread, at once; what the other has already stays beside it."""
        await self._await(_copy, self._shelf, str(source_thread_id), str(target_thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs in all threads, one thread after the other, each at once.

        A later checkpoint keeps its values, but not what its delta channels took from a deleted one.
        """
        self._call(_delete_for_runs, self._shelf, self.serde, list(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints of these runs in all threads, one thread after the other, each at once.

        A later checkpoint keeps its values, but not what its delta channels took from a deleted one.
        """
        await self._await(_delete_for_runs, self._shelf, self.serde, list(run_ids))

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all checkpoints of these threads ("delete"), or all but the newest of each namespace ("keep_latest").

        With "keep_latest" the ancestors stay whose snapshots and writes make up a delta channel.
        """
        self._call(_prune, self._shelf, self.serde, list(thread_ids), strategy)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all checkpoints of these threads ("delete"), or all but the newest of each namespace ("keep_latest").

        With "keep_latest" the ancestors stay whose snapshots and writes make up a delta channel.
        """
        await self._await(_prune, self._shelf, self.serde, list(thread_ids), strategy)

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta channels are made of at a checkpoint: the last snapshot on its way, and what came after it."""
        return self._call(delta_history, self._shelf, self.serde, *_asked(config), channels)

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What delta channels are made of at a checkpoint: the last snapshot on its way, and what came after it."""
        return await self._await(delta_history, self._shelf, self.serde, *_asked(config), channels)

    def get_next_version(self, current: str | None, channel: None = None) -> str:
        """A version that sorts after the current one, and is no other's: two forks never share one."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.random():016}"  # noqa: S311 - it tells forks apart, and keeps no secret

    def _call(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        if self._shelf.blocks:
            check_may_block("a checkpointer's plain method", "the one with an `a` in front")
        return fn(*args)

    async def _await(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        if self._shelf.blocks:
            return await off_the_loop(self._threads, fn, *args)
        return fn(*args)


def _asked(config: RunnableConfig) -> tuple[str, str, str | None]:
    """The thread, the namespace and the id of the checkpoint that a config names."""
    named = config.get("configurable") or {}
    if named.get("thread_id") is None:  # a text of it would be a thread that all share who forgot theirs
        raise InvalidRequest('a checkpoint belongs to a thread: {"configurable": {"thread_id": ...}}')
    return str(named["thread_id"]), str(named.get("checkpoint_ns") or ""), get_checkpoint_id(config) or None


def _listed(
    config: RunnableConfig | None, before: RunnableConfig | None
) -> tuple[str | None, str | None, str | None, str | None]:
    end = get_checkpoint_id(before) or None if before else None
    if config is None:
        return None, None, None, end
    thread, namespace, checkpoint = _asked(config)
    is_named = config.get("configurable", {}).get("checkpoint_ns") is not None
    return thread, namespace if is_named else None, checkpoint, end


def _page(found: Iterator[CheckpointTuple]) -> Sequence[CheckpointTuple]:
    return tuple(islice(found, PAGE))


def _copy(shelf: Shelf, source: str, target: str) -> None:
    if source != target:
        shelf.apply(target, shelf.scan(source, b"", AFTER))


def _delete_for_runs(shelf: Shelf, serde: SerializerProtocol, runs: Sequence[str]) -> None:
    for room in shelf.rooms():
        delete_runs(shelf, serde, room, runs)


def _prune(shelf: Shelf, serde: SerializerProtocol, threads: Sequence[str], strategy: str) -> None:
    if strategy not in ("keep_latest", "delete"):
        raise InvalidRequest(f"there is no strategy {strategy!r}: say keep_latest or delete")
    for thread in threads:
        if strategy == "delete":
            shelf.clear(str(thread))
        else:
            prune(shelf, serde, str(thread))
