"""The owners of a Postgres store: who lives, by the server's clock, and whose a run is."""

import os
import socket
from typing import Final, LiteralString
from uuid import uuid4

from ._postgres_schema import Connected

_RENEW: Final = """
    insert into owners (name, expires) values (%(name)s, clock_timestamp() + %(lease)s * interval '1 second')
    on conflict (name) do update set expires = excluded.expires
"""
_TIDY: Final = """
    with over as (delete from declined where until < clock_timestamp())
    delete from owners where expires < clock_timestamp()
"""
_LEAVE: Final = "delete from owners where name = %s"


def new_name() -> str:
    """The name of an owner: nobody else has it, and people see in which process it is."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:12]}"


def join(connection: Connected, name: str, lease: float) -> None:
    """Be one of the owners; those who are not heard of any more are forgotten."""
    connection.execute(_TIDY)
    renew(connection, name, lease)


def renew(connection: Connected, name: str, lease: float) -> None:
    """Live for another lease."""
    connection.execute(_RENEW, {"name": name, "lease": lease})


def leave(connection: Connected, name: str) -> None:
    """Be none of the owners any more: what belongs to this one is anybody's."""
    connection.execute(_LEAVE, (name,))


def living(alias: LiteralString, of: LiteralString) -> LiteralString:
    """The join that finds the owner of that name, if it lives."""
    return f"left join owners {alias} on {alias}.name = {of} and {alias}.expires > clock_timestamp()"
