"""Store URLs: which schemes there are, and a sentence for what is not the URL of a store."""

import re
from collections.abc import Collection
from difflib import get_close_matches
from importlib import import_module
from typing import Final
from urllib.parse import parse_qsl

from terzetto_protocol.errors import InvalidRequest

from ._contract import Store

_SCHEMES: Final = {
    "memory": "._memory_url",
    "postgres": "._postgres_url",
    "postgresql": "._postgres_url",
    "redis": "._redis_url",
    "rediss": "._redis_url",
    "sqlite": "._sqlite_url",
}
"""Where the URLs of a scheme are read, by a function `open_url(url, guest=...)`; loaded when somebody asks for one."""
_FORMS: Final = (
    "memory:, sqlite:FILE, sqlite:///ABSOLUTE/FILE, each sqlite form with ?synchronous=normal if you like, "
    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME&lease=SECONDS, "
    "redis://USER:PASSWORD@HOST:PORT/DB?prefix=terzetto:&ttl=SECONDS&lease=15"
)

_PASSWORD: Final = re.compile("([?&]password=)[^&]*")
"""One that stands where none is read from."""


def open_store(url: str, *, guest: bool = False) -> Store:
    """The store that a URL names, not opened yet: it is opened and closed by `async with`.

    Args:
        url: `memory:`, `sqlite:runs.db`, `sqlite:///abs/runs.db`, `sqlite:runs.db?synchronous=normal`,
            `postgresql://user:password@host/database`, with `?schema=terzetto&lease=15` if you like,
            `redis://user:password@host:port/db`, with `?prefix=terzetto:&ttl=SECONDS&lease=15` if you like.
            Percent signs escape what a name has in common with a URL: `%3F` is a question mark.
        guest: open beside the owner, to read and to post commands.

    Raises:
        InvalidRequest: the URL is none of these.
        ImportError: what this kind of store needs is not installed; the error says how to.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        close = get_close_matches(scheme, _SCHEMES, n=1)
        hint = f"did you mean {close[0]}:?" if close and colon else f"did you mean sqlite:{url}?" if not colon else ""
        raise wrong(url, hint or f"there is no store {scheme!r}")
    store: Store = import_module(_SCHEMES[scheme], __package__).open_url(url, guest=guest)
    return store


def wrong(url: str, reason: str) -> InvalidRequest:
    """The error that says why this is not the URL of a store."""
    return InvalidRequest(f"{discreet(url)!r} is not a store URL: {reason} (known forms: {_FORMS})")


def discreet(url: str) -> str:
    """The URL without a password, to be shown."""
    scheme, colon, rest = url.partition(":")
    user, at, place = rest.rpartition("@")  # whatever the password looks like, it is in front of the last one
    shown = f"{scheme}:{user.partition(':')[0]}@{place}" if colon and at else url
    return _PASSWORD.sub(r"\1...", shown)


def options_of(url: str, query: str, known: Collection[str]) -> dict[str, str]:
    """What a query says; raises `InvalidRequest` for what is unknown or said twice."""
    found = dict[str, str]()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            close = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"
            raise wrong(url, f"there is no option {name!r}; {hint}")
        if name in found:
            raise wrong(url, f"{name} is given more than once")
        found[name] = value
    return found
