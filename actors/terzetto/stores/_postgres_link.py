"""How a Postgres server is connected to, what is settled for every connection, and what is said of its errors."""

from typing import Final

import psycopg
from psycopg import Connection, errors
from psycopg.rows import tuple_row
from psycopg.sql import Identifier

from terzetto_protocol.errors import StoreError, StoreUnavailable

from ._postgres_schema import Connected

APPLICATION: Final = "terzetto"
"""What the server lists our connections as."""
_LEAST_PATIENCE: Final = 2
"""Seconds that libpq waits for a connection at least, whatever it is told."""

REFUSED: Final = (
    psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded, errors.DatatypeMismatch, UnicodeEncodeError,
)  # fmt: skip
"""What the server never takes, nor psycopg: a NUL in a text, a lone surrogate, a number that is too large."""
PASSING: Final = (errors.DeadlockDetected, errors.SerializationFailure)
"""What somebody else's transaction did to ours; the same again may go well."""


def connect(conninfo: str, schema: str, limit: float) -> Connected:
    """A connection that commits by itself; whatever it waits for on the server ends after `limit` seconds."""
    connection = Connection.connect(
        conninfo, autocommit=True, row_factory=tuple_row, prepare_threshold=3, application_name=APPLICATION,
        client_encoding="UTF8", connect_timeout=max(_LEAST_PATIENCE, int(limit)),
        tcp_user_timeout=int(limit * 1000),
    )  # fmt: skip
    try:
        _settle(connection, schema, limit)
    except BaseException:
        connection.close()
        raise
    return connection


def _settle(connection: Connected, schema: str, limit: float) -> None:
    patience = f"{int(limit * 1000)}ms"
    settings = {
        "search_path": Identifier(schema).as_string(connection),
        "default_transaction_isolation": "read committed",
        "statement_timeout": patience,
        # A process that was frozen in a transaction holds rows that others wait for.
        "idle_in_transaction_session_timeout": patience,
        # Every question of ours is meant to be answered along an index. Plans that are kept were made when the tables
        # were small, and would read them whole for ever.
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
        "jit": "off",
    }
    names, values = list(settings), list(settings.values())
    connection.execute(
        "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as s (name, value)", (names, values)
    )


def sentence(url: str, what: str, error: Exception) -> StoreError:
    """What to tell a person about an error of the server or of the way to it."""
    said = " ".join(str(error).split()) or type(error).__name__
    advice = next((f" ({advice})" for kinds, advice in _ADVICE if isinstance(error, kinds)), "")
    return StoreUnavailable(f"store {url}: {what} failed: {said}{advice}")


_ADVICE: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    (errors.QueryCanceled, "it took too long, or waited too long for another transaction"),
    (errors.DiskFull, "the server's disk is full: free some space"),
    (errors.TooManyConnections, "the server takes no more connections: a store uses up to four"),
    (errors.InsufficientPrivilege, "this user may not do that: give it the schema, or a database of its own"),
    ((errors.UndefinedTable, errors.InvalidSchemaName), "its tables are gone: somebody has dropped them"),
)
