"""Store URLs: what they may say, and a sentence for those that say something else."""

from difflib import get_close_matches
from typing import Final
from urllib.parse import parse_qsl, unquote

from terzetto_protocol.errors import InvalidRequest

from ._contract import Store
from ._memory import MemoryStore

_FORMS: Final = "memory:, sqlite:FILE, sqlite:///ABSOLUTE/FILE, each sqlite form with ?synchronous=normal if you like"
_SCHEMES: Final = ("memory", "sqlite")
_LEVELS: Final = ("full", "normal")


def open_store(url: str, *, guest: bool = False) -> Store:
    """The store that a URL names, not opened yet: it is opened and closed by `async with`.

    Args:
        url: `memory:`, `sqlite:runs.db`, `sqlite:///abs/runs.db`, `sqlite:runs.db?synchronous=normal`.
            Percent signs escape what a file's name has in common with a URL: `%3F` is a question mark.
        guest: open beside the owner, to read and to post commands.

    Raises:
        InvalidRequest: the URL is none of these.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme not in _SCHEMES:
        close = get_close_matches(scheme, _SCHEMES, n=1)
        hint = f"did you mean {close[0]}:?" if close and colon else f"did you mean sqlite:{url}?" if not colon else ""
        raise _wrong(url, hint or f"there is no store {scheme!r}")
    return _memory(url, rest, guest) if scheme == "memory" else _sqlite(url, rest, guest)


def _wrong(url: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{url!r} is not a store URL: {reason} (known forms: {_FORMS})")


def _memory(url: str, rest: str, guest: bool) -> Store:  # noqa: FBT001 - passed on
    if rest:
        raise _wrong(url, "nothing follows memory:")
    if guest:
        raise _wrong(url, "a store in memory has no guests, because nobody else can reach it")
    return MemoryStore()


def _sqlite(url: str, rest: str, guest: bool) -> Store:  # noqa: FBT001 - passed on
    path, _, query = rest.partition("?")
    if path.startswith("//"):
        if not path.startswith("///"):
            raise _wrong(url, f"it names the host {path[2:]!r}; did you mean sqlite:{path[2:]}?")
        path = path[2:]
    if not path or path == ":memory:":
        raise _wrong(url, "it names no file" if not path else "did you mean memory:?")
    normal = _synchronous(url, query) == "normal"
    from ._sqlite import SqliteStore

    return SqliteStore(unquote(path), synchronous="normal" if normal else "full", guest=guest)


def _synchronous(url: str, query: str) -> str:
    options = parse_qsl(query, keep_blank_values=True)
    for name, value in options:
        if name != "synchronous":
            raise _wrong(url, f"there is no option {name!r}; did you mean synchronous?")
        if value not in _LEVELS:
            raise _wrong(url, f"synchronous is full or normal, not {value!r}; less would lose acknowledged commits")
    if len(options) > 1:
        raise _wrong(url, "synchronous is given more than once")
    return options[0][1] if options else "full"
