"""URLs of SQLite stores."""

from typing import Final
from urllib.parse import unquote

from ._sqlite import SqliteStore
from ._url import options_of, wrong

_LEVELS: Final = ("full", "normal")


def open_url(url: str, *, guest: bool) -> SqliteStore:
    """See `open_store`."""
    path, _, query = url.partition(":")[2].partition("?")
    if path.startswith("//"):
        if not path.startswith("///"):
            raise wrong(url, f"it names the host {path[2:]!r}; did you mean sqlite:{path[2:]}?")
        path = path[2:]
    if not path or path == ":memory:":
        raise wrong(url, "it names no file" if not path else "did you mean memory:?")
    level = options_of(url, query, ("synchronous",)).get("synchronous", "full")
    if level not in _LEVELS:
        raise wrong(url, f"synchronous is full or normal, not {level!r}; less would lose acknowledged commits")
    return SqliteStore(unquote(path), synchronous="normal" if level == "normal" else "full", guest=guest)
