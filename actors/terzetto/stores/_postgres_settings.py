"""Where a Postgres store is, and what it is called."""

import math
import re
from typing import Final, Self
from urllib.parse import quote

from attrs import field, frozen
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from terzetto_protocol.errors import InvalidRequest

SCHEMA: Final = "terzetto"
"""The schema of a store that names none."""
LEASE: Final = 15.0
"""How long an owner that is not heard of keeps its runs, seconds."""
_SCHEMA_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")


@frozen
class Settings:
    """What a store was told."""

    conninfo: str = field(repr=False)
    schema: str
    url: str
    """Where it is, without secrets."""

    @classmethod
    def check(cls, conninfo: str, schema: str, lease: float) -> Self:
        """Take what can be a store; raises `InvalidRequest`."""
        if not _SCHEMA_NAME.fullmatch(schema) or schema.lower().startswith("pg_"):
            raise InvalidRequest(f"schema: {schema!r} is no name for one: use 1 to 50 of A-Z a-z 0-9 _, no digit first")
        if not 0 < lease < math.inf:
            raise InvalidRequest(f"lease is a positive number of seconds, not {lease!r}")
        return cls(conninfo, schema, _url(conninfo, schema, lease))


def _url(conninfo: str, schema: str, lease: float) -> str:
    try:
        said = conninfo_to_dict(conninfo)
    except ProgrammingError:  # its words may have the password in them
        text = "this does not say where a Postgres server is (a percent sign in it escapes two hexadecimal digits)"
        raise InvalidRequest(text) from None
    user, name = said.get("user"), quote(str(said.get("dbname", "")), safe="")
    hosts, ports = (str(said.get(key, "")).split(",") for key in ("host", "port"))
    places = [f"{host}{f':{ports[n]}' if n < len(ports) and ports[n] else ''}" for n, host in enumerate(hosts)]
    options = [f"schema={schema}"] * (schema != SCHEMA) + [f"lease={lease:g}"] * (lease != LEASE)
    place = f"{quote(str(user), safe='')}@" if user else ""
    return f"postgresql://{place}{','.join(places)}/{name}{'?' if options else ''}{'&'.join(options)}"
