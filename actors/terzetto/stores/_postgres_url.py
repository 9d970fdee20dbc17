"""URLs of Postgres stores: what is ours in them, what is libpq's, and a sentence for the rest."""

from typing import Final
from urllib.parse import quote, urlencode

from terzetto_protocol.errors import InvalidRequest

from . import PostgresStore
from ._postgres_settings import LEASE, SCHEMA
from ._url import discreet, options_of, wrong

_OURS: Final = ("schema", "lease")
_LIBPQ: Final = ("host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "target_session_attrs")
"""Options that are passed on."""


def open_url(url: str, *, guest: bool) -> PostgresStore:
    """See `open_store`."""
    conninfo, schema, lease = read_url(url)
    try:
        return PostgresStore(conninfo, schema=schema, lease=lease, guest=guest)
    except InvalidRequest as error:
        raise wrong(url, str(error)) from error


def read_url(url: str) -> tuple[str, str, float]:
    """What libpq is told of it, the schema, and the lease; raises `InvalidRequest` for a wrong one."""
    place, _, query = url.partition("?")
    place = place.partition(":")[2]
    if not place.startswith("//"):
        meant = discreet("postgresql://" + place.lstrip("/"))
        raise wrong(url, f"did you mean {meant}?")
    options = options_of(url, query, (*_OURS, *_LIBPQ))
    if not place[2:].rpartition("@")[2].partition("/")[2]:
        raise wrong(url, "it names no database")
    passed = urlencode({name: value for name, value in options.items() if name in _LIBPQ}, quote_via=quote)
    conninfo = f"postgresql:{place}{'?' if passed else ''}{passed}"
    return conninfo, options.get("schema", SCHEMA), _seconds(url, options.get("lease", str(LEASE)))


def _seconds(url: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise wrong(url, f"lease is a number of seconds, not {text!r}") from None
