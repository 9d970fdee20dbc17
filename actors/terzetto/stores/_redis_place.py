"""Where a Redis store is, and how: what its URL says. Nothing of the driver is loaded here."""

import math
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit

from attrs import field, frozen

from ._url import discreet, options_of, wrong

PREFIX: Final = "terzetto:"
"""What the keys of a store begin with, unless its URL says otherwise."""
LEASE: Final = 15.0
"""How long an owner that is not heard of keeps its runs, seconds, unless the URL says otherwise."""
_PORT: Final = 6379
_OPTIONS: Final = ("prefix", "ttl", "lease")


@frozen
class RedisPlace:
    """A server, a database, the prefix of all keys, and what the store does with them."""

    host: str
    port: int = _PORT
    db: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    prefix: str = PREFIX
    ttl: float | None = None
    """Seconds after which a run that has ended is forgotten; None: never."""
    lease: float = LEASE

    @property
    def base(self) -> str:
        """What every key begins with: the prefix, and the same as a hash tag, so that all are in one slot."""
        return f"{self.prefix}{{{self.prefix}}}"

    @property
    def url(self) -> str:
        """The URL without the password."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        said = {
            "prefix": quote(self.prefix, safe=":") if self.prefix != PREFIX else "",
            "ttl": f"{self.ttl:g}" if self.ttl is not None else "",
            "lease": f"{self.lease:g}" if self.lease != LEASE else "",
        }
        query = "&".join(f"{name}={value}" for name, value in said.items() if value)
        return f"redis{'s' * self.tls}://{user}{host}:{self.port}/{self.db}{'?' * bool(query)}{query}"


def read_place(url: str) -> RedisPlace:
    """What a URL says; raises `InvalidRequest` with a sentence for what is no URL of a Redis store."""
    scheme, _, rest = url.partition(":")
    if not rest.startswith("//"):
        meant = discreet(f"{scheme}://{rest.lstrip('/') or 'localhost'}")
        raise wrong(url, f"did you mean {meant}?")
    parts = urlsplit(url)
    if parts.fragment or "#" in url:
        raise wrong(url, "it has a #, which is written %23")
    if not parts.hostname:
        raise wrong(url, f"it names no host; did you mean {scheme}://localhost{parts.path}?")
    said = options_of(url, parts.query, _OPTIONS)
    return RedisPlace(
        host=parts.hostname,
        port=_port(url, parts),
        db=_db(url, parts.path),
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=scheme == "rediss",
        prefix=_prefix(url, said.get("prefix", PREFIX)),
        ttl=_seconds(url, "ttl", said["ttl"]) if "ttl" in said else None,
        lease=_seconds(url, "lease", said["lease"]) if "lease" in said else LEASE,
    )


def _port(url: str, parts: SplitResult) -> int:
    try:
        return parts.port or _PORT
    except ValueError as error:
        raise wrong(url, "its port is no number from 1 to 65535") from error


def _db(url: str, path: str) -> int:
    said = path.removeprefix("/")
    if not said:
        return 0
    if not (said.isascii() and said.isdigit()):
        raise wrong(url, f"a database has a number, as in /0, and not the name {said!r}")
    return int(said)


def _prefix(url: str, prefix: str) -> str:
    if not prefix or not prefix.isprintable() or not prefix.isascii() or set(prefix) & set("{} "):
        raise wrong(url, f"prefix is one or more letters, digits and signs without braces and spaces, not {prefix!r}")
    return prefix


def _seconds(url: str, name: str, said: str) -> float:
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise wrong(url, f"{name} is a number of seconds above 0, not {said!r}")
    return seconds
