"""Raw SQLite as the limit of a durable store: rows of a given size, committed one by one or in groups."""

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import apsw

INSERT = "insert into log values (?, ?, ?)"
HOW = "apsw on one thread, WAL, synchronous=FULL"


def raw_rows(folder: str | None, rows: int, size: int, group: int = 1) -> float:
    """Rows per second.

    Args:
        folder: on the disk to be measured.
        rows: how many.
        size: of each, bytes.
        group: rows in one transaction.
    """
    todo = (("run", seq, bytes(size)) for seq in range(rows))
    with TemporaryDirectory(dir=folder) as place:
        connection = open_raw(Path(place) / "raw.db")
        began = perf_counter()
        while batch := list(islice(todo, group)):
            connection.execute("begin immediate")
            connection.executemany(INSERT, batch)
            connection.execute("commit")
        took = perf_counter() - began
        connection.close()
    return rows / took


def open_raw(path: Path) -> apsw.Connection:
    """A file with the table that `INSERT` fills, as durable as ours."""
    connection = apsw.Connection(str(path))
    assert connection.execute("pragma journal_mode=wal").fetchall() == [("wal",)]
    connection.execute("pragma synchronous=full")
    connection.execute("create table log (run text, seq integer, body blob, primary key (run, seq)) without rowid")
    return connection


def relaxed(place: str) -> str:
    """A store in this folder that syncs nothing, for where only the size counts."""
    return f"sqlite://{place}/runs.db?synchronous=normal"
