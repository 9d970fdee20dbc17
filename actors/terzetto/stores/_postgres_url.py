"""URLs of Postgres stores: what is ours in them, what is libpq's, and a sentence for the rest."""

from typing import Final
from urllib.parse import quote, urlencode

from terzetto_protocol.errors import InvalidRequest

from . import PostgresStore
from ._url import options_of, wrong

_OURS: Final = ("schema", "lease")
_LIBPQ: Final = ("host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "target_session_attrs")
"""Options that are passed on."""


def open_url(url: str, *, guest: bool) -> PostgresStore:
    """See `open_store`."""
    place, _, query = url.partition("?")
    place = place.partition(":")[2]
    if not place.startswith("//"):
        raise wrong(url, f"did you mean postgresql://{place.lstrip('/')}?")
    options = options_of(url, query, (*_OURS, *_LIBPQ))
    if not place[2:].rpartition("@")[2].partition("/")[2]:
        raise wrong(url, "it names no database")
    passed = urlencode({name: value for name, value in options.items() if name in _LIBPQ}, quote_via=quote)
    conninfo = f"postgresql:{place}{'?' if passed else ''}{passed}"
    lease = _seconds(url, options.get("lease", "15"))
    try:
        return PostgresStore(conninfo, schema=options.get("schema", "terzetto"), lease=lease, guest=guest)
    except InvalidRequest as error:
        raise wrong(url, str(error)) from error


def _seconds(url: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise wrong(url, f"lease is a number of seconds, not {text!r}") from None
