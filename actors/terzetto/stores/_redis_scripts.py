"""The scripts that a Redis store is made of: each is one transaction, which the server runs whole.

All keys of a store share one hash tag, and so a script may touch all of them: a commit can move its run, the lists that
the run is found by, a thread's head, barriers and blobs, or none of it, as the contract says. The price is that a store
lives on one node of a cluster; a second store, by another prefix, may live on another.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from hashlib import sha1
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from attrs import frozen

Argument: TypeAlias = str | bytes | int
Ask: TypeAlias = Callable[..., Awaitable[Any]]
"""Runs the script of a name with arguments, and returns its answer: bytes, whole numbers, None, and lists of those."""

_FOLDER: Final = Path(__file__).with_name("_lua")
_ALONE: Final = frozenset({"open"})
"""Scripts without the common part."""


@frozen
class Script:
    """A script, and the name by which a server knows it."""

    text: bytes
    sha: bytes


@cache
def scripts() -> Mapping[str, Script]:
    """All of them, by name."""
    common = (_FOLDER / "common.lua").read_bytes()
    files = {path.stem: path.read_bytes() for path in sorted(_FOLDER.glob("*.lua")) if path.stem != "common"}
    texts = {name: text if name in _ALONE else common + text for name, text in files.items()}
    digests = {name: sha1(text, usedforsecurity=False).hexdigest().encode() for name, text in texts.items()}
    return MappingProxyType({name: Script(text, digests[name]) for name, text in texts.items()})


def pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    """What a script gives of a hash: field, value, field, value."""
    return dict(zip(flat[::2], flat[1::2], strict=True))
