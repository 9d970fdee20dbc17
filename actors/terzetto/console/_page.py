"""The page: files of this package, by a table of names that is made once; nothing else can be asked for."""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from attrs import frozen

from ._http import Answer

_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
    "webmanifest": "application/manifest+json",
    "woff2": "font/woff2",
}
"""What is served at all."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "manifest-src 'self'; connect-src 'self' {socket}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@frozen
class File:
    """One file."""

    body: bytes
    media_type: str
    tag: str

    def answer(self, known: list[str], socket: str) -> Answer:
        """The file, or that it is the one which a client has.

        Args:
            known: the tags of what it has.
            socket: the address of the websocket, which the page may open.
        """
        headers = (
            ("cache-control", "no-cache"),
            ("content-security-policy", _POLICY.format(socket=socket)),
            ("etag", self.tag),
        )
        if self.tag in known:
            return Answer(304, b"", self.media_type, headers)
        return Answer(200, self.body, self.media_type, headers)


def load_page() -> dict[str, File]:
    """Every file of the page by its path; `/` is `index.html`."""
    found = dict(_files(files(__package__).joinpath("page"), "/"))
    return {**found, **({"/": found["/index.html"]} if "/index.html" in found else {})}


def _files(folder: Traversable, path: str) -> Iterator[tuple[str, File]]:
    for each in folder.iterdir() if folder.is_dir() else ():
        kind = _TYPES.get(each.name.rpartition(".")[2])
        if each.name.startswith((".", "_")):
            continue
        if each.is_dir():
            yield from _files(each, f"{path}{each.name}/")
        elif kind is not None:
            body = each.read_bytes()
            yield path + each.name, File(body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
