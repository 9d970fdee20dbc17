"""Blobs in a Postgres store: one short transaction for each piece.

An upload gets its digest by an update of its name, so it is readable whole or not at all. What is swept loses its
name in the same way, at once, and its chunks piece by piece.
"""

from collections.abc import Collection
from typing import Any, Final

from psycopg import errors

from terzetto_protocol.limits import BLOB_SWEEP_CHUNKS

from ._postgres_owners import living
from ._postgres_runs import rows_of
from ._postgres_schema import Connected

_UPLOAD: Final = "insert into blobs (name, owner) values (%s, %s) on conflict (name) do nothing"
_CHUNK: Final = """
    insert into blob_chunks (blob, number, body) select n, %(number)s, %(body)s from blobs
    where name = %(name)s and not whole on conflict do nothing
"""
_IS_THERE: Final = "select n from blobs where name = %s and whole for update"
_FINISH: Final = "update blobs set name = %s, whole = true where name = %s and not whole returning n"
_RUN: Final = "select n from runs where id = %s for key share"
_KEEP: Final = """
    with kept as (insert into blob_runs (blob, run) values (%(blob)s, %(run)s) on conflict do nothing returning blob)
    update blobs set kept = blobs.kept + 1 from kept where n = kept.blob
"""
_HOLD: Final = "update blobs set held = greatest(held, %s) where n = %s"
_READ: Final = """
    select c.body from blobs b join blob_chunks c on c.blob = b.n
    where b.name = %(name)s and b.whole and c.number = %(number)s
"""
# An upload of nobody who lives goes on no more, and what was swept has no owner.
_FREE: Final = f"""
    select b.n, b.whole from blobs b {living("o", "b.owner")} where b.kept = 0 and (
        b.whole and b.held < %(before)s
        or not b.whole and case when o.name = %(me)s then b.name <> all(%(live)s)
            else o.name is null or b.began < %(before)s end
    ) limit 1 for update of b skip locked
"""  # noqa: S608 - our own words only
_UNNAME: Final = "update blobs set whole = false, owner = '', name = 'swept:' || n where n = %s and whole"
_EMPTY: Final = """
    delete from blob_chunks where blob = %(blob)s and number in (
        select number from blob_chunks where blob = %(blob)s order by number limit %(most)s
    )
"""
_DROP: Final = """
    delete from blobs where n = %(blob)s and not exists (select from blob_chunks where blob = %(blob)s)
"""


def put_chunk(connection: Connected, upload: str, number: int, data: bytes, owner: str) -> None:
    """See `BlobStore.put_chunk`."""
    with connection.pipeline():  # which is one transaction
        connection.execute(_UPLOAD, (upload, owner))
        connection.execute(_CHUNK, {"name": upload, "number": number, "body": data})


def keep(connection: Connected, digest: str, upload: str, run_id: str, at: float) -> bool:
    """See `BlobStore.keep_blob`."""
    with connection.transaction():
        blob = _number(connection, _IS_THERE, digest)
        if blob is None:
            try:
                blob = _number(connection, _FINISH, digest, upload)
            except errors.UniqueViolation as error:  # somebody was as quick, and the next look finds it
                raise errors.SerializationFailure(str(error)) from error
        if blob is None:
            return False
        run = _number(connection, _RUN, run_id)
        if run is None:
            connection.execute(_HOLD, (at, blob))
        else:
            connection.execute(_KEEP, {"blob": blob, "run": run})
    return True


def _number(connection: Connected, statement: Any, *values: str) -> int | None:
    row = connection.execute(statement, values).fetchone()
    return None if row is None else int(row[0])


def chunk(connection: Connected, digest: str, number: int) -> bytes | None:
    """See `BlobStore.blob_chunk`."""
    for (body,) in rows_of(connection, _READ, {"name": digest, "number": number}):
        return bytes(body)
    return None


def sweep(connection: Connected, before: float, live: Collection[str], me: str) -> bool:
    """See `BlobStore.sweep_blobs`."""
    with connection.transaction():
        found = connection.execute(_FREE, {"before": before, "live": sorted(live), "me": me}).fetchone()
        if found is None:
            return False
        values = {"blob": found[0], "most": BLOB_SWEEP_CHUNKS}
        connection.execute(_UNNAME, (found[0],))
        connection.execute(_EMPTY, values)
        connection.execute(_DROP, values)
    return True
