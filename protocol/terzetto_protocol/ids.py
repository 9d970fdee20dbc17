"""Identities: of runs, barriers, events and effects."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from .codec import pack_plain
from .errors import InvalidRequest
from .limits import ID_LENGTH

T = TypeVar("T")

_RUN_ID: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{ID_LENGTH - 1}}}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_METADATA_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_COUNTER_BITS: Final = 32
_COUNTER_MASK: Final = (1 << _COUNTER_BITS) - 1
LAST_EVENT_ID: Final = (1 << 53) - 1
"""Largest event id: what JavaScript still counts exactly."""
_LAST_EPOCH: Final = LAST_EVENT_ID >> _COUNTER_BITS


def check_run_id(run_id: str, what: str = "run id") -> str:
    """Return the id of a run or thread, or raise `InvalidRequest` naming it and the allowed form."""
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise InvalidRequest(
            f"{run_id!r} is not a {what}: use 1 to {ID_LENGTH} of A-Z a-z 0-9 . _ - and begin with a letter or digit"
        )
    return run_id


def check_name(name: str) -> str:
    """Return the name, or raise `InvalidRequest` for what could not stand in a path."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(f"{name!r} is not a name: use 1 to 64 letters, digits, _ and -, no digit first")
    return name


def check_metadata(metadata: Mapping[str, object]) -> None:
    """Raise `InvalidRequest` (or its sibling `NotStorable`) naming the first key or value that is not acceptable."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not _METADATA_KEY.fullmatch(key):
            raise InvalidRequest(f"{key!r:.80} is no key of metadata: use 1 to 64 of A-Z a-z 0-9 _, no digit first")
        if type(value) not in (str, int, float, bool):
            raise InvalidRequest(f"metadata {key}: {value!r:.80} is neither a text nor a number nor a bool")
        pack_plain(value, f"metadata {key}")


def check_choice(value: T, choices: Sequence[T], what: str) -> T:
    """Return the value, or raise `InvalidRequest` for one that is none of the choices."""
    if value not in choices:
        raise InvalidRequest(f"{what}: {value!r:.80} is none of {', '.join(map(str, choices))}")
    return value


def is_time(seconds: object) -> bool:
    """Whether this is a number of seconds that one can wait."""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < math.inf


def check_seconds(seconds: float | None, what: str) -> float | None:
    """Return the number of seconds, or raise `InvalidRequest` for one that is no time to wait."""
    if seconds is not None and not is_time(seconds):
        raise InvalidRequest(f"{what}: {seconds!r} is not a number of seconds above 0")
    return seconds


def event_id(epoch: int, counter: int) -> int:
    """One integer for (epoch, counter): rises with both, stays below 2**53, and is never made of two pairs."""
    if not (0 <= counter <= _COUNTER_MASK and 0 <= epoch <= _LAST_EPOCH):
        raise InvalidRequest(f"there is no event id for epoch {epoch} and counter {counter}: one of them is used up")
    return epoch << _COUNTER_BITS | counter


def split_event_id(number: int) -> tuple[int, int]:
    """The (epoch, counter) that `event_id` was made of."""
    return number >> _COUNTER_BITS, number & _COUNTER_MASK


def barrier_id(path: str, name: str, visit: int, k: int = 0) -> str:
    """The barrier's id inside its run, the same after every restart: `name@visit`, with `.k` from the second on."""
    place = f"{path}/{name}" if path else name
    return f"{place}@{visit}.{k}" if k else f"{place}@{visit}"


def barrier_name(barrier: str) -> str:
    """The name under which a barrier was declared (or asked about), from its id."""
    return barrier.rpartition("@")[0].rpartition("/")[2]


def effect_key(run_id: str, path: str, visit: int, part: str = "") -> str:
    """The idempotency key of a visit, or of a part of it: the same for every attempt, epoch and process."""
    known = f"{run_id}\0{path}\0{visit}\0{part}" if part else f"{run_id}\0{path}\0{visit}"
    return hashlib.sha256(known.encode()).hexdigest()[:32]


def input_digest(graph: str, version: str, state: bytes, parent: str = "") -> str:
    """What makes two submits of one id the same: graph, version, input, and what it goes on from."""
    parts = [graph.encode(), version.encode(), state] + ([parent.encode()] if parent else [])
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
