"""A Postgres store for one test: in a schema that nobody else has, of which nothing is left afterwards."""

from uuid import uuid4

import trio
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from ..stores import PostgresStore
from ..stores._postgres_url import read_url


class PostgresRoom(PostgresStore):
    """A store beside all others in a database; `dispose` removes it.

    Args:
        url: of any store in that database; its schema is what the test's own begins with.
    """

    def __init__(self, url: str) -> None:
        conninfo, schema, lease = read_url(url)
        super().__init__(conninfo, schema=f"{schema[:17]}_{uuid4().hex}", lease=lease)

    async def dispose(self) -> None:
        """Drop the schema of the store, which is closed. A checkpoint."""
        await trio.to_thread.run_sync(self._drop)

    def _drop(self) -> None:
        with Connection.connect(self._settings.conninfo, autocommit=True) as link:
            link.execute("set client_min_messages to warning")  # of all that it drops
            link.execute(SQL("drop schema if exists {} cascade").format(Identifier(self._settings.schema)))
