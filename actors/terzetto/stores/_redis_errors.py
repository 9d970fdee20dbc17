"""What to tell a person about an error of a Redis server or of the connection to it."""

import re
from typing import Final

from coredis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ReadOnlyError,
    RedisError,
    WrongTypeError,
)

from terzetto_protocol.errors import StoreUnavailable, describe

from ._checksums import Damaged
from ._redis_place import RedisPlace

_SAID: Final = re.compile(r"TERZETTO_(GONE|LOST|DAMAGED) ?(\S*)")
"""What our scripts say, somewhere in what the server makes of it."""
_KINDS: Final[tuple[tuple[type[RedisError], str], ...]] = (
    (AuthenticationError, "check the user and the password in its URL"),
    (AuthorizationError, "the user in its URL needs all keys of its prefix, scripts and INFO"),
    (BusyLoadingError, "the server is starting"),
    (ReadOnlyError, "this server is a replica: name the primary"),
)
_WORDS: Final = (
    ("OOM", "the server's memory is full: raise its maxmemory"),
    ("MISCONF", "the server cannot write to its disk: look into its log"),
    ("BUSY", "another program's script keeps the server busy"),
    ("MOVED", "this node of the cluster does not have the keys of this prefix: name the one that has them"),
    ("CLUSTERDOWN", "the cluster is down"),
)


def sentence(place: RedisPlace, error: RedisError) -> StoreUnavailable | Damaged:
    """The error that a caller gets for one of the driver's."""
    text = str(error)
    said = _SAID.search(text)
    if isinstance(error, WrongTypeError):
        return Damaged("", "what is stored", "another program has written over it (WRONGTYPE)")
    if said is None:
        return StoreUnavailable(f"store {place.url}: {_reason(error)}{_advice(error, text)}")
    what, name = said.groups()
    if what == "DAMAGED":
        return Damaged(name, "what is stored of it", "its keys have vanished, or a part of them")
    if what == "LOST":
        return StoreUnavailable(
            f"store {place.url}: its list {name!r} is not what was stored: keys have vanished from the server. Restore "
            "a copy of the database; `terzetto doctor` tells what else is missing"
        )
    return StoreUnavailable(emptied(place))


def emptied(place: RedisPlace) -> str:
    """That the store that was opened is there no more."""
    return (
        f"store {place.url}: the database was emptied, or holds another store now, since this one was opened: restore "
        "a copy of it, or start anew with what is there"
    )


def _reason(error: RedisError) -> str:
    cause = error.__cause__ or error.__context__
    return describe(error) if cause is None else f"{describe(error)} ({describe(cause)})"


def _advice(error: RedisError, text: str) -> str:
    advice = next((advice for kind, advice in _KINDS if isinstance(error, kind)), None)
    advice = advice or next((advice for word, advice in _WORDS if re.search(rf"\b{word}\b", text)), None)
    return f" ({advice})" if advice else ""
