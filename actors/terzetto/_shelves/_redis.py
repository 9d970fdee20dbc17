"""A shelf in Redis: a hash and a sorted set for each room, which any number of processes may use at the same time."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, TypeAlias, TypeVar, TypeVarTuple, Unpack, final
from weakref import finalize

import coredis
import trio
from coredis.exceptions import RedisError, ResponseError

from terzetto_protocol.errors import StoreError, StoreRejected, StoreUnavailable

from ._contract import Row

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Client: TypeAlias = "coredis.Redis[bytes]"

PATIENCE: Final = 10.0
"""How long the server may take to answer, seconds."""
CHUNK: Final = 1000
"""How many keys one SCAN asks for."""

# KEYS: the rows, their order. ARGV: how many puts, how many inserts, then both as key and value, then what is deleted.
_APPLY: Final = b"""
local at = 3
for i = 1, tonumber(ARGV[1]) do
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
    redis.call('ZADD', KEYS[2], 0, ARGV[at])
    at = at + 2
end
for i = 1, tonumber(ARGV[2]) do
    if redis.call('HSETNX', KEYS[1], ARGV[at], ARGV[at + 1]) == 1 then redis.call('ZADD', KEYS[2], 0, ARGV[at]) end
    at = at + 2
end
for i = at, #ARGV do
    redis.call('HDEL', KEYS[1], ARGV[i])
    redis.call('ZREM', KEYS[2], ARGV[i])
end
"""
# ARGV: forwards or backwards, first, end, limit. Keys and values in turn.
_SCAN: Final = b"""
local keys
if ARGV[1] == 'back' then
    keys = redis.call('ZREVRANGEBYLEX', KEYS[2], '(' .. ARGV[3], '[' .. ARGV[2], 'LIMIT', 0, ARGV[4])
else
    keys = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[2], '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])
end
local found = {}
for i, key in ipairs(keys) do
    found[2 * i - 1] = key
    found[2 * i] = redis.call('HGET', KEYS[1], key)
end
return found
"""


@final
class RedisShelf:
    """Keeps rows in Redis, durable as its `appendfsync` says: with `always` when a call returns, with `everysec`
    a second later.

    The client lives in a thread of its own, with a loop of its own; callers wait for its answers.
    """

    blocks = True

    def __init__(self, url: str, *, prefix: str = "terzetto:checkpoints:") -> None:
        self._prefix = prefix
        self._closing = Lock()
        self._closed = False
        self._loop = ClientThread(url)
        self._finalizer = finalize(self, self._loop.stop)
        try:
            self._loop.start()
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        policy = self._ask(_policy)
        if policy != "noeviction":
            raise StoreRejected(
                f"the Redis server may throw checkpoints away (maxmemory-policy {policy}): set it to noeviction"
            )

    def apply(
        self, room: str, puts: Sequence[Row], inserts: Sequence[Row] = (), deletes: Sequence[bytes] = ()
    ) -> None:
        """Write, insert and delete, in one call of a script."""
        rows = [part for row in (*puts, *inserts) for part in row]
        self._run(_APPLY, room, b"%d" % len(puts), b"%d" % len(inserts), *rows, *deletes)

    def read(self, room: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of these keys, all as of one moment."""
        where = self._key(room, "rows")
        return list(self._ask(lambda client: client.hmget(where, list(keys)))) if keys else []

    def scan(
        self, room: str, first: bytes, end: bytes, *, reverse: bool = False, limit: int | None = None
    ) -> list[Row]:
        """Rows of a range."""
        way = b"back" if reverse else b"on"
        found = self._run(_SCAN, room, way, first, end, b"%d" % (-1 if limit is None else limit))
        return list(zip(found[::2], found[1::2], strict=True))

    def keys(self, room: str, first: bytes, end: bytes) -> list[bytes]:
        """Keys of a range."""
        where = self._key(room, "order")
        return list(self._ask(lambda client: client.zrangebylex(where, b"[" + first, b"(" + end)))

    def rooms(self) -> list[str]:
        """All rooms: every key of the database is looked at."""
        before, after = f"{self._prefix}{{".encode(), b"}:rows"
        pattern = _literally(before) + b"*" + _literally(after)
        found, cursor = set[bytes](), 0
        while True:
            cursor, keys = self._ask(_scan_keys, cursor, pattern)
            found.update(keys)
            if cursor == 0:
                return sorted(key[len(before) : -len(after)].decode("utf-8", "surrogatepass") for key in found)

    def clear(self, room: str) -> None:
        """Delete a room."""
        keys = self._key(room, "rows"), self._key(room, "order")
        self._ask(lambda client: client.delete(keys))

    def close(self) -> None:
        """End the client and its thread, when the calls that run have ended."""
        with self._closing:
            self._closed = True
            self._finalizer()

    def _key(self, room: str, what: str) -> bytes:
        # In braces is what a cluster looks at: both keys of a room are on one server.
        return f"{self._prefix}{{{room}}}:{what}".encode("utf-8", "surrogatepass")

    def _run(self, script: bytes, room: str, *args: bytes) -> Any:
        keys = self._key(room, "rows"), self._key(room, "order")
        return self._ask(lambda client: client.eval(script, keys, args))

    def _ask(self, fn: Callable[[Unpack[tuple[Client, *Ts]]], Awaitable[T]], *args: *Ts) -> T:
        if self._closed:
            raise StoreError("the store in Redis is closed")
        return self._loop.ask(fn, *args)


async def _policy(client: Client) -> str:
    info = await client.info("memory")
    return str(info.get("maxmemory_policy", "noeviction"))


async def _scan_keys(client: Client, cursor: int, pattern: bytes) -> tuple[int, tuple[bytes, ...]]:
    return await client.scan(cursor, match=pattern, count=CHUNK)


@final
class ClientThread:
    """A client of Redis in a thread and a loop of its own. It holds nothing of the shelf, which may be collected."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = Thread(target=self._live, name="redis of terzetto", daemon=True)
        self._started = SimpleQueue[BaseException | None]()
        self._token: trio.lowlevel.TrioToken | None = None
        self._client: coredis.Redis[bytes]

    def start(self) -> None:
        """Start the thread; returns when it answers."""
        self._thread.start()
        if (error := self._started.get()) is not None:
            raise StoreUnavailable(f"the store in Redis: {error}") from error

    def stop(self) -> None:
        """End it, and wait for the end; nothing the second time."""
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._over.set)
            self._thread.join(PATIENCE)

    def ask(self, fn: Callable[[Unpack[tuple[Client, *Ts]]], Awaitable[T]], *args: *Ts) -> T:
        """The server's answer; blocks."""
        try:
            return trio.from_thread.run(self._ask, fn, args, trio_token=self._token)
        except trio.RunFinishedError as error:
            raise StoreError("the store in Redis is closed") from error

    async def _ask(self, fn: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
        try:
            with trio.fail_after(PATIENCE):
                return await fn(self._client, *args)
        except trio.TooSlowError:
            raise StoreUnavailable(f"the store in Redis did not answer within {PATIENCE:g} s") from None
        except ResponseError as error:
            raise StoreRejected(f"the store in Redis: {error}") from error
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the store in Redis: {error}") from error

    def _live(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:  # noqa: BLE001 - whoever starts it hears of it
            self._started.put(error)

    async def _serve(self) -> None:
        async with coredis.Redis.from_url(self._url, decode_responses=False) as self._client:
            self._over = trio.Event()
            self._token = trio.lowlevel.current_trio_token()
            self._started.put(None)
            await self._over.wait()


def _literally(text: bytes) -> bytes:
    for special in (b"\\", b"*", b"?", b"["):
        text = text.replace(special, b"\\" + special)
    return text
