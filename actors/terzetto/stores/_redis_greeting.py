"""What is looked at on every new connection to a Redis server: how it keeps what it has, and whose store is there."""

from collections.abc import Mapping
from typing import Final
from uuid import uuid4

from attrs import frozen
from coredis.exceptions import AuthorizationError, ResponseError

from terzetto_protocol.errors import StoreError, StoreMissing, StoreTooNew, StoreUnavailable

from ._redis_errors import emptied
from ._redis_line import Send
from ._redis_place import RedisPlace
from ._redis_scripts import scripts

VERSION: Final = 1
"""Version of how a store stands in its keys; one with a higher one is refused."""
_UNKNOWN: Final = "unknown"
_DURABLE: Final = {"appendonly": "yes", "appendfsync": "always", "no-appendfsync-on-rewrite": "no"}
"""What a server has to be told for an answer to mean that the disk has it."""


@frozen
class Settings:
    """How a server is set up, as far as it tells."""

    said: dict[str, str]
    policy: str
    """What it does when its memory is full."""
    is_replica: bool
    server: str

    @property
    def durable(self) -> bool:
        """Whether what it has answered is on its disk."""
        return all(self.said.get(name) == value for name, value in _DURABLE.items())

    @property
    def note(self) -> str:
        """Why what it has answered may be lost, or nothing."""
        if self.durable:
            return ""
        if not self.said:
            return "nobody knows: CONFIG GET is not permitted"
        return "no: set " + ", ".join(f"{name} {value}" for name, value in _DURABLE.items() if self.said[name] != value)


class Greeting:
    """Looks at a new connection; remembers what was there the first time, and refuses anything else later.

    Args:
        place: where it is.
        guest: whether a store that is not there may be made.
    """

    def __init__(self, place: RedisPlace, *, guest: bool) -> None:
        self._place, self._guest = place, guest
        self.incarnation = ""
        self.version = VERSION
        self.settings: Settings | None = None

    async def __call__(self, send: Send) -> None:
        """Look.

        Raises:
            StoreError: it is no store, or no server, to keep runs on; after the first time `StoreUnavailable`.
            StoreTooNew: a newer Terzetto made it.
            StoreMissing: a guest found none.
        """
        settings = await _read_settings(send)
        self._check(settings)
        await self._find(send)
        self.settings = settings

    def _check(self, settings: Settings) -> None:
        if settings.is_replica:
            raise self._unfit("this server is a replica: name the primary")
        if settings.policy not in ("noeviction", _UNKNOWN):
            raise self._unfit(
                f"this server throws keys away when its memory is full (maxmemory-policy {settings.policy}), and runs "
                "with them: set maxmemory-policy to noeviction"
            )
        if self.settings is not None and self.settings.durable and not settings.durable:
            raise self._unfit(f"it was durable when it was opened, and is no more ({settings.note})")

    def _unfit(self, reason: str) -> StoreError:
        return (StoreUnavailable if self.settings else StoreError)(f"store {self._place.url}: {reason}")

    async def _find(self, send: Send) -> None:
        is_known = bool(self.incarnation)
        fresh, only_look = self.incarnation or uuid4().hex, int(self._guest or is_known)
        words = (self._place.base.encode(), fresh.encode(), VERSION, only_look)
        said = await send(b"EVAL", scripts()["open"].text, 1, *words)
        match said:
            case [b"there", incarnation, version]:
                if is_known and incarnation.decode() != self.incarnation:
                    raise StoreUnavailable(emptied(self._place))
                self._note(incarnation.decode(), int(version))
            case [b"missing"] | [b"lost"] if is_known:
                raise StoreUnavailable(emptied(self._place))
            case [b"missing"]:
                raise StoreMissing(
                    f"there is no store {self._place.url}: check server, database and prefix, or start its owner first"
                )
            case [b"lost"]:
                raise StoreError(
                    f"store {self._place.url}: the key {self._place.base!r} has vanished, and others are left: restore "
                    "a copy of the database, or choose another prefix; nothing was changed"
                )
            case _:
                raise StoreError(
                    f"store {self._place.url}: the key {self._place.base!r} is another program's: choose another prefix"
                )

    def _note(self, incarnation: str, version: int) -> None:
        if version > VERSION:
            raise StoreTooNew(
                f"store {self._place.url} was written by a newer Terzetto (schema {version}, this one knows "
                f"{VERSION}): update Terzetto"
            )
        self.incarnation, self.version = incarnation, version


async def _read_settings(send: Send) -> Settings:
    said, policy = dict[str, str](), _UNKNOWN
    try:
        for name in (*_DURABLE, "maxmemory-policy"):
            said |= _texts(await send(b"CONFIG GET", name.encode()))
        policy = said.pop("maxmemory-policy", _UNKNOWN)
    except (AuthorizationError, ResponseError):
        said.clear()
    info = await _info(send, b"memory") | await _info(send, b"replication") | await _info(send, b"server")
    if len(said) < len(_DURABLE):
        said.clear()
        policy = info.get("maxmemory_policy", policy)
    server = info.get("valkey_version") or info.get("redis_version", _UNKNOWN)
    return Settings(said, policy, info.get("role") == "slave", f"{info.get('server_name', 'redis')} {server}")


async def _info(send: Send, section: bytes) -> dict[str, str]:
    try:
        text = await send(b"INFO", section)
    except (AuthorizationError, ResponseError):
        return {}
    lines = [line.partition(":") for line in text.decode(errors="replace").splitlines()]
    return {name: value for name, colon, value in lines if colon}


def _texts(found: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in found.items()}
