"""What a checkpointer keeps: records, and their JSON.

A record's JSON is plain where its values are plain. A value that JSON does not have (bytes, a message, a
class of LangGraph's) stands as `{"__langgraph__": [kind, base64]}`, made by LangGraph's serializer; without
LangGraph it is refused.
"""

import base64
import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard, cast

from attrs import Factory, define

from terzetto_protocol.errors import InvalidRequest, Malformed, NotStorable

PendingWrite: TypeAlias = tuple[str, str, Any]
"""Task, channel, value."""
Written: TypeAlias = tuple[str, str, int, str, Any]
"""Path of a task, task, index, channel, value: sorted, they are in the order in which they are applied."""
Dump: TypeAlias = Callable[[Any], tuple[str, bytes]]
Load: TypeAlias = Callable[[tuple[str, bytes]], Any]

TYPED: Final = "__langgraph__"
"""The only key of an object that stands for a value that JSON does not have."""


class CheckpointMetadata(dict[str, Any]):
    """What is known about a checkpoint besides its state: a mapping, whose usual entries are attributes, too.

    Any other entries may be in it. A `step` below -1 is refused.
    """

    def __init__(
        self,
        /,
        *,
        source_layer: str = "unified",
        step: int = 0,
        timestamp: float | None = None,
        writes: Mapping[str, Any] | None = None,
        parents: Mapping[str, str] | None = None,
        **others: Any,
    ) -> None:
        if step < -1:
            raise InvalidRequest(f"the step of a checkpoint is -1 (its input) or more, and not {step!r}")
        super().__init__(
            others,
            source_layer=source_layer,
            step=step,
            timestamp=time.time() if timestamp is None else timestamp,
            writes=dict(writes or {}),
            parents=dict(parents or {}),
        )

    @property
    def source_layer(self) -> str:
        """Which part of a program made it."""
        return cast("str", self["source_layer"])

    @property
    def step(self) -> int:
        """How many steps there were before it."""
        return cast("int", self["step"])

    @property
    def timestamp(self) -> float:
        """When it was made, seconds since 1970."""
        return cast("float", self["timestamp"])

    @property
    def writes(self) -> dict[str, Any]:
        """What was written to make it."""
        return cast("dict[str, Any]", self["writes"])

    @property
    def parents(self) -> dict[str, str]:
        """Its parents, by their namespaces."""
        return cast("dict[str, str]", self["parents"])


@define(kw_only=True)
class CheckpointRecord:
    """A checkpoint as it is kept. LangGraph takes it for one of its own tuples."""

    thread_id: str
    checkpoint_id: str
    checkpoint: dict[str, Any]
    metadata: CheckpointMetadata
    checkpoint_ns: str = ""
    parent_checkpoint_id: str | None = None
    written: list[Written] = Factory(list[Written])
    """What tasks wrote that has not become a checkpoint yet."""

    @property
    def pending_writes(self) -> list[PendingWrite]:
        """What tasks wrote, in the order in which it will be applied."""
        return [(task, channel, value) for _, task, _, channel, value in sorted(self.written, key=_order)]

    @property
    def config(self) -> dict[str, Any]:
        """What finds this record."""
        return configurable(self.thread_id, self.checkpoint_ns, self.checkpoint_id)

    @property
    def parent_config(self) -> dict[str, Any] | None:
        """What finds its parent."""
        if self.parent_checkpoint_id is None:
            return None
        return configurable(self.thread_id, self.checkpoint_ns, self.parent_checkpoint_id)


def age(record: CheckpointRecord) -> tuple[float, str]:
    """Sorts records from the oldest to the newest."""
    return record.metadata.timestamp, record.checkpoint_id


def _order(written: Written) -> tuple[str, str, int]:
    return written[:3]


def configurable(thread: str, namespace: str, id: str) -> dict[str, Any]:
    """A config that names a checkpoint."""
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": id}}


def to_json(record: CheckpointRecord, dump: Dump) -> bytes:
    """A record as JSON, without its pending writes."""
    return value_to_json(
        {
            "thread_id": record.thread_id,
            "checkpoint_ns": record.checkpoint_ns,
            "checkpoint_id": record.checkpoint_id,
            "parent_checkpoint_id": record.parent_checkpoint_id,
            "checkpoint": record.checkpoint,
            "metadata": dict(record.metadata),
        },
        dump,
    )


def from_json(text: bytes, load: Load) -> CheckpointRecord:
    """The record that `to_json` made it of; raises `Malformed` for anything else."""
    fields = value_from_json(text, load)
    try:
        metadata = CheckpointMetadata(**fields.pop("metadata"))
        return CheckpointRecord(metadata=metadata, **fields)
    except (AttributeError, KeyError, TypeError, InvalidRequest) as error:
        raise Malformed("a checkpoint record", str(error)) from error


def value_to_json(value: Any, dump: Dump) -> bytes:
    """A value as JSON; raises `NotStorable` for one that would not come back."""
    text = json.dumps(_plain(value, dump), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def value_from_json(text: bytes, load: Load) -> Any:
    """The value that `value_to_json` made it of; raises `Malformed` where it is no JSON."""
    try:
        return _value(json.loads(text.decode("utf-8", "surrogatepass")), load)
    except ValueError as error:
        raise Malformed("a checkpoint record", str(error)) from error


def _plain(value: Any, dump: Dump) -> Any:
    # Only what has exactly a type of JSON's: an enum of texts is no text, and would not come back as what it was.
    kind: type[Any] = value.__class__
    if value is None or kind in (bool, int, str) or (kind is float and math.isfinite(value)):
        return value
    if kind in (list, tuple):
        return [_plain(each, dump) for each in value]
    if kind in (dict, CheckpointMetadata):
        return _plain_mapping(value, dump)
    return _typed(value, dump)


def _plain_mapping(value: dict[Any, Any], dump: Dump) -> Any:
    if TYPED in value or not all(type(key) is str for key in value):
        return _typed(value, dump)
    return {key: _plain(each, dump) for key, each in value.items()}


def _typed(value: Any, dump: Dump) -> dict[str, list[str]]:
    kind, body = dump(value)
    return {TYPED: [kind, base64.b64encode(body).decode("ascii")]}


def _value(plain: Any, load: Load) -> Any:
    if _is_list(plain):
        return [_value(each, load) for each in plain]
    if not _is_dict(plain):
        return plain
    if TYPED in plain:
        kind, body = plain[TYPED]
        return load((kind, base64.b64decode(body)))
    return {key: _value(each, load) for key, each in plain.items()}


def _is_list(plain: object) -> TypeGuard[list[Any]]:
    return isinstance(plain, list)


def _is_dict(plain: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(plain, dict)


def dump_nothing(value: Any) -> tuple[str, bytes]:
    """What there is without LangGraph."""
    raise NotStorable(
        f"a {type(value).__qualname__} in a checkpoint",
        "JSON has no such value, and LangGraph, whose serializer knows more of them, is not loaded",
    )


def load_nothing(typed: tuple[str, bytes]) -> Any:
    """What there is without LangGraph."""
    raise Malformed("a checkpoint record", f"it has a value of kind {typed[0]!r}: import langgraph first")
