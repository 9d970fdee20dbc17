"""How a thread's checkpoints stand on a shelf: which rows there are, and what is in them.

A thread is a room. In it are, each under its namespace: a row for each checkpoint, without the values of its
channels; a row for each value that a channel ever had, by its version, which many checkpoints share; and
a row for each pending write. What a checkpoint's row says is made by LangGraph's serializer, and beside it
stands which of its kinds it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import WRITES_IDX_MAP, PendingWrite, writes_sort_key
from langgraph.checkpoint.serde.base import SerializerProtocol

from terzetto_protocol.errors import NotStorable

from .._shelves._contract import AFTER, Row, pack, unpack

Typed: TypeAlias = tuple[str, bytes]
"""Which of the serializer's kinds a value has, and its bytes."""

CHECKPOINT: Final = "c"
VALUE: Final = "b"
RUN: Final = "r"
WRITE: Final = "w"
EMPTY: Final = "empty"
"""The kind of a channel that has a version and no value."""


class Saved(msgspec.Struct, frozen=True, array_like=True):
    """A checkpoint, without the values of its channels."""

    parent: str | None
    run: str
    kind: str
    body: bytes
    metadata_kind: str
    metadata: bytes


class Value(msgspec.Struct, frozen=True, array_like=True):
    """What a channel has in one of its versions."""

    kind: str
    body: bytes


class Write(msgspec.Struct, frozen=True, array_like=True):
    """A pending write; its task and its index are in its key."""

    channel: str
    path: str
    kind: str
    body: bytes


class Place(NamedTuple):
    """Where a checkpoint is."""

    thread: str
    namespace: str
    id: str

    @property
    def key(self) -> bytes:
        """Of its row."""
        return pack(CHECKPOINT, self.namespace, self.id)

    def config(self) -> RunnableConfig:
        """What LangGraph calls it."""
        return {"configurable": {"thread_id": self.thread, "checkpoint_ns": self.namespace, "checkpoint_id": self.id}}


_encode: Final = msgspec.msgpack.Encoder().encode
decode_saved: Final = msgspec.msgpack.Decoder(Saved).decode
decode_value: Final = msgspec.msgpack.Decoder(Value).decode
decode_write: Final = msgspec.msgpack.Decoder(Write).decode


def checkpoint_row(place: Place, parent: str | None, run: str, body: Typed, metadata: Typed) -> Row:
    """The row of a checkpoint."""
    return place.key, _encode(Saved(parent, run, *body, *metadata))


def value_key(namespace: str, channel: str, version: object) -> bytes:
    """Where the value of a channel is."""
    return pack(VALUE, namespace, str(version), channel)


def value_rows(
    serde: SerializerProtocol, namespace: str, values: Mapping[str, Any], versions: Mapping[str, Any]
) -> list[Row]:
    """Rows of the channels that are new; one that has no value says so."""
    return [
        (
            value_key(namespace, channel, version),
            _encode(Value(*(_dumped(serde, channel, values[channel]) if channel in values else (EMPTY, b"")))),
        )
        for channel, version in versions.items()
    ]


def _dumped(serde: SerializerProtocol, channel: str, value: Any) -> Typed:
    try:
        return serde.dumps_typed(value)
    except (ormsgpack.MsgpackEncodeError, TypeError) as error:
        raise NotStorable(f"what is in channel {channel!r}", str(error)) from error


def run_row(run: str) -> Row:
    """Says that a run has been in this thread."""
    return pack(RUN, run), b""


def write_rows(
    serde: SerializerProtocol, place: Place, writes: Iterable[tuple[str, Any]], task: str, path: str
) -> tuple[list[Row], list[Row]]:
    """Rows of pending writes: those that replace what is there (errors, interrupts), and those that do not."""
    special, ordinary = dict[bytes, bytes](), dict[bytes, bytes]()
    for position, (channel, value) in enumerate(writes):
        index = WRITES_IDX_MAP.get(channel, position)
        key = pack(WRITE, place.namespace, place.id, task, str(index))
        # Of several special ones under one index, as the answers to several interrupts, the last counts.
        (special if index < 0 else ordinary)[key] = _encode(Write(channel, path, *_dumped(serde, channel, value)))
    return list(special.items()), list(ordinary.items())


def writes_of(namespace: str, first: str, last: str) -> tuple[bytes, bytes]:
    """The range of all pending writes from one checkpoint to another."""
    return pack(WRITE, namespace, first), pack(WRITE, namespace, last) + AFTER


def by_checkpoint(serde: SerializerProtocol, rows: Sequence[Row]) -> dict[str, list[PendingWrite]]:
    """Pending writes by the id of their checkpoint, each in the order in which they are applied."""
    found: dict[str, list[tuple[tuple[str, str, int], Write]]] = {}
    for key, row in rows:
        _, _, checkpoint, task, index = unpack(key)
        write = decode_write(row)
        found.setdefault(checkpoint, []).append((writes_sort_key(write.path, task, int(index)), write))
    return {checkpoint: _in_order(serde, writes) for checkpoint, writes in found.items()}


def _in_order(serde: SerializerProtocol, writes: list[tuple[tuple[str, str, int], Write]]) -> list[PendingWrite]:
    writes.sort(key=lambda each: each[0])
    return [(key[1], write.channel, serde.loads_typed((write.kind, write.body))) for key, write in writes]
