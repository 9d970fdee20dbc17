"""Blobs: bytes that are too many for a state, named by their digest, and where a record names one.

A state holds the name, the store holds the bytes, once for all runs. A commit that names a blob makes its run keep
it; so whatever is encoded is searched for names, which look like nothing else.
"""

import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator
from types import TracebackType
from typing import Final, Protocol, Self, TypeAlias

from msgspec import Struct

from .errors import NotStorable
from .limits import BLOB_CHUNK

_DIGEST: Final = re.compile(r"blob:[0-9a-f]{64}")
MARK: Final = b"\xd9Eblob:"
"""How msgpack begins a text of 69 bytes that begins like a digest; inside of a text these bytes are not UTF-8."""
NAME_BYTES: Final = 71
"""What a digest takes at least wherever it is encoded."""
_NAMED: Final = re.compile(rb"\xd9E(blob:[0-9a-f]{64})")


class Blob(Struct, frozen=True):
    """The name of a blob: what a state, a mutation or a payload holds in its place.

    Two are equal when all four fields are; the bytes are the same where the digests are. Made by `ctx.blob` and
    `runtime.put_blob`.
    """

    digest: str
    """The BLAKE2b-256 of the bytes in hexadecimal, with ``blob:`` before it."""
    size: int
    """Bytes."""
    media_type: str = "application/octet-stream"
    name: str = ""
    """As people know it; nothing depends on it."""

    def __post_init__(self) -> None:
        if _DIGEST.fullmatch(self.digest) is None or self.size < 0:
            raise ValueError(f"no blob has the digest {self.digest!r} and {self.size} bytes")

    @property
    def plain(self) -> dict[str, str | int]:
        """The same as plain data: what a payload shows of it, and what `Modify` takes."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


BlobData: TypeAlias = bytes | bytearray | memoryview | Iterable[bytes] | AsyncIterable[bytes]
"""What a blob is made of: bytes, or pieces of them; a plain iterable is asked for each on the event loop."""


class BlobReader(Protocol):
    """The bytes of a blob, to be read once: `async with ctx.open_blob(blob) as reader: async for chunk in reader`.

    The last bytes are given only when the digest of them all is right: who has read to the end has read what was put.
    Nothing has to be closed, and a cancelled read loses no byte.
    """

    def receive_some(self, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Some more bytes, `max_bytes` at most; none at the end. A checkpoint.

        Raises:
            UnknownBlob: the store does not have it (any more).
            BlobDamaged: what the store has are other bytes.
        """
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Awaitable[None]: ...


class BlobKeeper(Protocol):
    """Who puts and reads blobs for the nodes of a run."""

    def put(self, data: BlobData, /, *, media_type: str = ..., name: str = ..., run_id: str = ...) -> Awaitable[Blob]:
        """Store a blob for a run, once."""
        ...

    def open(self, blob: Blob, /) -> BlobReader:
        """Read it chunk by chunk."""
        ...

    def read(self, blob: Blob, /, *, limit: int = ...) -> Awaitable[bytes]:
        """Read it whole."""
        ...


class Hasher:
    """Makes the name of bytes that come in pieces."""

    def __init__(self) -> None:
        self._hash: Final = hashlib.blake2b(digest_size=32)
        self.size = 0
        """Bytes so far."""

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        self._hash.update(data)
        self.size += len(data)

    @property
    def digest(self) -> str:
        """The digest of everything so far."""
        return f"blob:{self._hash.hexdigest()}"


class Chunker:
    """Cuts pieces of any size into chunks of `BLOB_CHUNK` bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def add(self, data: bytes) -> Iterator[bytes]:
        """The chunks that are full now."""
        self._rest += data
        while len(self._rest) >= BLOB_CHUNK:
            yield bytes(self._rest[:BLOB_CHUNK])
            del self._rest[:BLOB_CHUNK]

    def rest(self) -> bytes:
        """What is left for the last chunk."""
        return bytes(self._rest)


def check_size(size: int, limit: int) -> None:
    """Raise `NotStorable` for more bytes than a blob may have."""
    if size > limit:
        raise NotStorable("blob", f"it has more than {limit} bytes")


def named_in(data: bytes) -> tuple[str, ...]:
    """The digests of the blobs that something encoded names, once each."""
    if MARK not in data:
        return ()
    return tuple(dict.fromkeys(digest.decode() for digest in _NAMED.findall(data)))
