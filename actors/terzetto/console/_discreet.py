"""What is left out of what clients are told: where on the server its code and its files are."""

import re
from typing import Any, Final, cast

from msgspec.structs import replace

from terzetto_protocol.views import CommitView

_FOLDERS: Final = re.compile(r"(?<![^\s'\":=(])(?:~|[A-Za-z]:)?(?:[/\\\\][^/\\\\\s\'\":]+)*[/\\\\](?=[^/\\\\\s])")
"""The folders of a path."""


def discreet_commit(view: CommitView) -> CommitView:
    """A commit without the frames of failures."""
    detail = None if view.detail is None else _without_trace(view.detail)
    return replace(view, detail=detail, events=tuple(map(_without_trace, view.events)))


def _without_trace(told: dict[str, Any]) -> dict[str, Any]:
    """The same without the frames of a failure that it is, or has in it."""
    inner = told.get("failure")
    if isinstance(inner, dict):
        return {**told, "failure": _without_trace(cast("dict[str, Any]", inner))}
    return {**told, "trace": []} if told.get("type") == "failure" else told


def discreet_text(text: str) -> str:
    """A text with the names of files, without the folders that lead to them."""
    return _FOLDERS.sub("", text)
