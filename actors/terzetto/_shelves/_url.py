"""The shelf that a URL names."""

from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from terzetto_protocol.errors import InvalidRequest

from ..stores._url import discreet
from ._contract import Shelf
from ._memory import MemoryShelf

_FORMS: Final = (
    "memory:, sqlite:FILE, sqlite:FILE?synchronous=normal, postgresql://HOST/DATABASE, "
    "postgresql://HOST/DATABASE?schema=NAME, redis://HOST, redis://HOST?prefix=TEXT"
)
_SCHEMES: Final = ("memory", "sqlite", "postgresql", "postgres", "redis", "rediss")
_LEVELS: Final = ("full", "normal")


def open_shelf(url: str) -> Shelf:
    """The shelf that a URL names, opened. Blocks until the file or the server has answered.

    Raises:
        InvalidRequest: the URL is none that a shelf has.
        ImportError: it takes an extra that is not installed; the text says which.
        StoreUnavailable: the file cannot be opened, or the server does not answer.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        close = get_close_matches(scheme, _SCHEMES, n=1)
        hint = f"did you mean {close[0]}:?" if close and colon else f"did you mean sqlite:{url}?" if not colon else ""
        raise _wrong(url, hint or f"there is no store {scheme!r}")
    match scheme:
        case "memory":
            return _memory(url, rest)
        case "sqlite":
            return _sqlite(url, rest)
        case "postgresql" | "postgres":
            place, schema = _taken(url, "schema")
            return _with_extra("postgres", "._postgres", "PostgresShelf", place, schema)
        case _:
            place, prefix = _taken(url, "prefix")
            return _with_extra("redis", "._redis", "RedisShelf", place, prefix or "terzetto:")


def _wrong(url: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{discreet(url)!r} is not a store URL: {reason} (known forms: {_FORMS})")


def _memory(url: str, rest: str) -> Shelf:
    if rest:
        raise _wrong(url, "nothing follows memory:")
    return MemoryShelf()


def _sqlite(url: str, rest: str) -> Shelf:
    path, _, query = rest.partition("?")
    if path.startswith("//"):
        if not path.startswith("///"):
            raise _wrong(url, f"it names the host {path[2:]!r}; did you mean sqlite:{path[2:]}?")
        path = path[2:]
    if not path or path == ":memory:":
        raise _wrong(url, "it names no file" if not path else "did you mean memory:?")
    normal = _synchronous(url, query) == "normal"
    from ._sqlite import SqliteShelf

    return SqliteShelf(unquote(path), synchronous="normal" if normal else "full")


def _synchronous(url: str, query: str) -> str:
    options = parse_qsl(query, keep_blank_values=True)
    if len(options) > 1 or any(name != "synchronous" for name, _ in options):
        raise _wrong(url, "its only option is synchronous")
    level = options[0][1] if options else "full"
    if level not in _LEVELS:
        raise _wrong(url, f"synchronous is full or normal, not {level!r}; less would lose acknowledged checkpoints")
    return level


def _taken(url: str, name: str) -> tuple[str, str]:
    """The URL without one of its options, which is ours, and what it says; the others are the driver's."""
    place, _, query = url.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    ours = [value for option, value in options if option == name]
    if len(ours) > 1:
        raise _wrong(place, f"{name} is given more than once")
    others = urlencode([it for it in options if it[0] != name], quote_via=quote)
    return f"{place}?{others}" if others else place, "".join(ours)


def _with_extra(extra: str, module: str, name: str, place: str, option: str) -> Shelf:
    try:
        kind: Any = getattr(import_module(module, __package__), name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("anyio", "coredis", "psycopg"):  # anyio comes with coredis
            raise
        text = f"a {place.partition(':')[0]}:// store needs {missing}: pip install 'terzetto[{extra}]'"
        raise ImportError(text, name=missing) from error
    shelf: Shelf = kind(place, option)
    return shelf
