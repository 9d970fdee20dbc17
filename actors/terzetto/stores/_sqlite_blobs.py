"""Blobs in a SQLite file: one short transaction for each piece.

An upload gets its digest by an update of its name, so it is readable whole or not at all. What is swept loses its
name in the same way, at once, and its chunks piece by piece.
"""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Final

import apsw
import msgspec

from terzetto_protocol.limits import BLOB_SWEEP_CHUNKS

_UPLOAD: Final = "insert or ignore into blobs (name, whole) values (?, 0)"
_CHUNK: Final = "insert or ignore into blob_chunks (blob, number, body) select n, ?2, ?3 from blobs where name = ?1"
_IS_THERE: Final = "select n from blobs where name = ? and whole"
_FINISH: Final = "update blobs set name = ?2, whole = 1 where name = ?1 and not whole returning n"
_KEEP: Final = "insert or ignore into blob_runs (blob, run) values (?, ?)"
_RUN: Final = "select n from runs where id = ?"
_HOLD: Final = "update blobs set held = max(held, ?2) where n = ?1"
_READ: Final = """
    select c.body from blobs b join blob_chunks c on c.blob = b.n where b.name = ?1 and b.whole and c.number = ?2
"""
_FREE: Final = """
    select n, whole from blobs where kept = 0 and whole = 1 and held < ?1
    union all
    select n, whole from blobs where kept = 0 and whole = 0 and name not in (select value from json_each(?2))
    limit 1
"""
_UNNAME: Final = "update blobs set whole = 0, name = 'swept:' || n where n = ?"
_EMPTY: Final = """
    delete from blob_chunks where n in (select n from blob_chunks where blob = ? order by number limit ?)
"""
_DROP: Final = "delete from blobs where n = ?1 and not exists (select * from blob_chunks where blob = ?1)"


class BlobTable:
    """Blobs on one connection; each call is whole, or has changed nothing.

    Args:
        transaction: begins one, and ends it by a commit or a rollback.
    """

    def __init__(self, connection: apsw.Connection, transaction: Callable[[], AbstractContextManager[None]]) -> None:
        self._execute = connection.execute
        self._transaction = transaction

    def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """See `BlobStore.put_chunk`."""
        with self._transaction():
            self._execute(_UPLOAD, (upload,))
            self._execute(_CHUNK, (upload, number, data))

    def keep(self, digest: str, upload: str, run_id: str, at: float) -> bool:
        """See `BlobStore.keep_blob`."""
        with self._transaction():
            blob = self._number(_IS_THERE, digest) or self._number(_FINISH, upload, digest)
            if blob is None:
                return False
            run = self._number(_RUN, run_id)
            self._execute(*((_HOLD, (blob, at)) if run is None else (_KEEP, (blob, run))))
        return True

    def _number(self, statement: str, *values: str) -> int | None:
        row: tuple[int] | None = self._execute(statement, values).fetchone()
        return None if row is None else row[0]

    def chunk(self, digest: str, number: int) -> bytes | None:
        """See `BlobStore.blob_chunk`."""
        row: tuple[bytes] | None = self._execute(_READ, (digest, number)).fetchone()
        return None if row is None else row[0]

    def sweep(self, before: float, live: Collection[str]) -> bool:
        """See `BlobStore.sweep_blobs`."""
        found = self._execute(_FREE, (before, msgspec.json.encode(sorted(live)).decode())).fetchone()
        if found is None:
            return False
        with self._transaction():
            if found[1]:
                self._execute(_UNNAME, found[:1])
            self._execute(_EMPTY, (found[0], BLOB_SWEEP_CHUNKS))
            self._execute(_DROP, found[:1])
        return True
