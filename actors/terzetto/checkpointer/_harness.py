"""`HarnessCheckpointer`: checkpoints as records, by itself and in LangGraph."""

import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from secrets import token_hex
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, TypeVarTuple

from terzetto_protocol.errors import InvalidRequest

from .._shelves._hops import check_may_block
from ._config import CheckpointBackend, CheckpointerConfig
from ._contract import Backend
from ._injected import Injected
from ._own import OwnBackend
from ._records import CheckpointMetadata, CheckpointRecord, Written

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SPECIAL: Final[Mapping[str, int]] = {"__error__": -1, "__scheduled__": -2, "__interrupt__": -3, "__resume__": -4}
"""Indexes of writes that replace what a task wrote before; LangGraph numbers them so."""
_TICK: Final = 1e-6  # what a float of seconds since 1970 can tell apart


class HarnessCheckpointer:
    """Keeps checkpoints as JSON records: in memory, Redis, SQLite or Postgres, or in a backend of your own.

    It needs no LangGraph. Where there is one, `StateGraph.compile(checkpointer=...)` takes it as it is. It is open at
    once, and closed by `close`, or at the end of a `with` or `async with` block.

    The methods with an `a` may be awaited under Trio and under asyncio. The plain ones do the same for
    any other caller: in plain Python, in any thread, and inside asyncio, whose loop they block. In a
    task of Trio they raise `BlocksTheLoop`. Cancelled, a call that has begun still happens.

    A config is `{"configurable": {...}}` or what is in it: `thread_id`, and if you like `checkpoint_ns`
    and `checkpoint_id`. A checkpoint that is put again under its id replaces the first one. Newest is
    what has the highest `timestamp`.

    Args:
        config: which backend, and how it is set up; memory without one.
        backend: one of your own, or one that others share.

    Raises:
        ImportError: the backend takes an extra that is not installed; the text says which.
        StoreUnavailable: the file cannot be opened, or the server does not answer.
        StoreError: the Redis server throws keys away when its memory is full.
    """

    def __init__(self, config: CheckpointerConfig | None = None, *, backend: Backend | None = None) -> None:
        self._config = config or CheckpointerConfig()
        self._is_ours = backend is None
        self._backend: Backend = backend or _backend(self._config)
        self._injected = None if isinstance(self._backend, OwnBackend) else Injected(self._backend)
        self._clock_lock, self._last = Lock(), 0.0

    @property
    def config(self) -> CheckpointerConfig:
        """How it was set up."""
        return self._config

    @property
    def backend(self) -> Backend:
        """Where the records are."""
        return self._backend

    def close(self) -> None:
        """Let go of what it opened: not of a backend that was injected. The second time it does nothing."""
        if self._injected is not None:
            self._injected.portal.close()
        elif self._is_ours and isinstance(self._backend, OwnBackend):
            self._backend.close()

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

    def put(
        self,
        config: Mapping[str, Any],
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        new_versions: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Keep a checkpoint; returns the config that finds it. The config's `checkpoint_id` is its parent.

        Its id is the checkpoint's, or a new one. A record is whole, so that `new_versions` changes nothing.
        """
        record = self._record(config, checkpoint, metadata)
        match self._check():
            case OwnBackend() as backend:
                backend.put(record)
            case injected:
                injected.portal.run(injected.aput, record)
        return record.config

    async def aput(
        self,
        config: Mapping[str, Any],
        checkpoint: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        new_versions: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Keep a checkpoint; see `put`. A checkpoint of Trio's, except in memory."""
        record = self._record(config, checkpoint, metadata)
        await (self._injected or self._backend).aput(record)
        return record.config

    def get_tuple(self, config: Mapping[str, Any]) -> CheckpointRecord | None:
        """The record that the config names, or the newest of its thread and namespace."""
        thread, namespace, wanted, _ = _asked(config)
        match self._check():
            case OwnBackend() as backend:
                return backend.get(thread, wanted, checkpoint_ns=namespace)
            case injected:
                return injected.portal.run(injected.aget, thread, namespace, wanted)

    async def aget_tuple(self, config: Mapping[str, Any]) -> CheckpointRecord | None:
        """The record that the config names, or the newest of its thread and namespace."""
        thread, namespace, wanted, _ = _asked(config)
        match self._store():
            case OwnBackend() as backend:
                return await backend.hop(lambda: backend.get(thread, wanted, checkpoint_ns=namespace))
            case injected:
                return await injected.aget(thread, namespace, wanted)

    def list(
        self,
        config: Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointRecord]:
        """Records of a thread, newest first, of all namespaces unless the config names one.

        Args:
            config: which thread; with a `checkpoint_id` only that record.
            filter: what the metadata must have.
            before: a config; only records that are older than the one that it names.
            limit: how many at most.
        """
        thread, _, _, namespace = _asked(config)
        asked = limit if _is_plain(config, filter, before) else None
        match self._check():
            case OwnBackend() as backend:
                records: Sequence[CheckpointRecord] = backend.list(thread, limit=asked, checkpoint_ns=namespace)
            case injected:
                records = injected.portal.run(injected.alist, thread, namespace)
        return _chosen(records, config, filter, before, limit)

    async def alist(  # noqa: ASYNC900 - LangGraph's contract; it holds nothing between its items
        self,
        config: Mapping[str, Any],
        *,
        filter: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointRecord]:
        """Records of a thread, newest first; see `list`."""
        thread, _, _, namespace = _asked(config)
        asked = limit if _is_plain(config, filter, before) else None
        match self._store():
            case OwnBackend() as backend:
                records: Sequence[CheckpointRecord] = await backend.hop(
                    lambda: backend.list(thread, limit=asked, checkpoint_ns=namespace)
                )
            case injected:
                records = await injected.alist(thread, namespace)
        for record in _chosen(records, config, filter, before, limit):
            yield record

    def put_writes(
        self, config: Mapping[str, Any], writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote for a checkpoint; what is there already stays, except errors and interrupts."""
        place, written = _written(config, writes, task_id, task_path)
        match self._check():
            case OwnBackend() as backend:
                backend.put_writes(*place, written)
            case injected:
                injected.portal.run(injected.aput_writes, *place, written)

    async def aput_writes(
        self, config: Mapping[str, Any], writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote for a checkpoint; what is there already stays, except errors and interrupts."""
        place, written = _written(config, writes, task_id, task_path)
        match self._store():
            case OwnBackend() as backend:
                await backend.hop(backend.put_writes, *place, written)
            case injected:
                await injected.aput_writes(*place, written)

    def delete_thread(self, thread_id: str) -> int:
        """Delete all records of a thread; how many there were."""
        match self._check():
            case OwnBackend() as backend:
                return backend.delete(str(thread_id))
            case injected:
                return injected.portal.run(injected.adelete, str(thread_id))

    async def adelete_thread(self, thread_id: str) -> int:
        """Delete all records of a thread; how many there were."""
        return await (self._injected or self._backend).adelete(str(thread_id))

    def _store(self) -> OwnBackend | Injected:
        if self._injected is not None:
            return self._injected
        assert isinstance(self._backend, OwnBackend)
        return self._backend

    def _check(self) -> OwnBackend | Injected:
        check_may_block("a plain method of HarnessCheckpointer", "the one with an `a` in front")
        return self._store()

    def _record(
        self, config: Mapping[str, Any], checkpoint: Mapping[str, Any], metadata: Mapping[str, Any] | None
    ) -> CheckpointRecord:
        thread, namespace, parent, _ = _asked(config)
        known = {**self._metadata(config, metadata or {})}
        if "timestamp" not in known:
            known["timestamp"] = self._now()
        return CheckpointRecord(
            thread_id=thread,
            checkpoint_ns=namespace,
            checkpoint_id=str(checkpoint.get("id") or f"ckpt-{token_hex(8)}"),
            parent_checkpoint_id=parent,
            checkpoint=dict(checkpoint),
            metadata=CheckpointMetadata(**known),
        )

    def _metadata(self, config: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
        return metadata

    def _now(self) -> float:
        # Of two that are put in one tick of the clock the second is newer, too.
        with self._clock_lock:
            self._last = max(time.time(), self._last + _TICK)
            return self._last

    if not TYPE_CHECKING:  # type checkers do not know that an object may become another's

        @property
        def __class__(self) -> type:
            # LangGraph asks `isinstance(it, BaseCheckpointSaver)`. A program that has loaded it gets a real one: the
            # object changes its class for one that has both bases. Without LangGraph nothing of it is ever loaded.
            # Python asks for this only when the type itself is no answer, and looks at what it gets only if that is
            # another class than the type has become meanwhile: hence the base of it.
            kind = type(self)
            if "langgraph.checkpoint.base" in sys.modules and not _is_saver(kind):
                from ._saver import saver_of

                saver = saver_of(kind)
                vars(object)["__class__"].__set__(self, saver)
                return saver.__base__
            return kind


def _is_saver(kind: type) -> bool:
    return any(base.__name__ == "BaseCheckpointSaver" for base in kind.__mro__)


def _backend(config: CheckpointerConfig) -> Backend:
    from .. import checkpointer  # which loads what an extra is needed for, and says so where it is missing

    match config.backend:
        case CheckpointBackend.MEMORY:
            return checkpointer.MemoryBackend(config.ttl_seconds)
        case CheckpointBackend.REDIS:
            return checkpointer.RedisBackend(config)
        case CheckpointBackend.SQLITE:
            return checkpointer.SqliteBackend(config.url, config.ttl_seconds)
        case CheckpointBackend.POSTGRES:
            return checkpointer.PostgresBackend(config.url, config.ttl_seconds)


def _asked(config: Mapping[str, Any]) -> tuple[str, str, str | None, str | None]:
    """Thread, namespace and id that a config names, and the namespace once more, None where it names none."""
    named: Mapping[str, Any] = config.get("configurable", config) or {}
    if named.get("thread_id") is None:  # a text of it would be a thread that all share who forgot theirs
        raise InvalidRequest('a checkpoint belongs to a thread: {"configurable": {"thread_id": ...}}')
    namespace, wanted = named.get("checkpoint_ns"), named.get("checkpoint_id")
    return str(named["thread_id"]), namespace or "", str(wanted or "") or None, namespace


def _written(
    config: Mapping[str, Any], writes: Sequence[tuple[str, Any]], task: str, path: str
) -> tuple[tuple[str, str, str], Sequence[Written]]:
    thread, namespace, wanted, _ = _asked(config)
    if wanted is None:
        raise InvalidRequest("put_writes: the config has no checkpoint_id")
    return (thread, namespace, wanted), [
        (path, task, SPECIAL.get(channel, position), channel, value) for position, (channel, value) in enumerate(writes)
    ]


def _is_plain(config: Mapping[str, Any], filter: Mapping[str, Any] | None, before: Mapping[str, Any] | None) -> bool:
    return not filter and not before and _asked(config)[2] is None


def _chosen(
    records: Sequence[CheckpointRecord],
    config: Mapping[str, Any],
    filter: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None,
    limit: int | None,
) -> Iterator[CheckpointRecord]:
    wanted = _asked(config)[2]
    if before and (end := (before.get("configurable", before)).get("checkpoint_id")):
        records = _older(records, str(end))
    found = [
        record
        for record in records
        if wanted in (None, record.checkpoint_id)
        and all(record.metadata.get(name) == value for name, value in (filter or {}).items())
    ]
    return iter(found[: None if limit is None else max(limit, 0)])


def _older(records: Sequence[CheckpointRecord], id: str) -> Sequence[CheckpointRecord]:
    for position, record in enumerate(records):
        if record.checkpoint_id == id:
            return records[position + 1 :]
    return [record for record in records if record.checkpoint_id < id]
