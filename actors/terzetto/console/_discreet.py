"""What is left out of what clients are told: where on the server its code and its files are."""

import re
from typing import Any, Final, cast

from msgspec.structs import replace

from terzetto_protocol.views import CommitView, RunView

_FOLDERS: Final = re.compile(r"(?<![^\s'\":=(])(?:~|[A-Za-z]:)?(?:[/\\\\][^/\\\\\s\'\":]+)*[/\\\\](?=[^/\\\\\s])")
"""The folders of a path."""


def discreet_run(view: RunView) -> RunView:
    """A run without the frames of its failure."""
    return view if view.failure is None else replace(view, failure=replace(view.failure, trace=()))


def discreet_commit(view: CommitView) -> CommitView:
    """A commit without the frames of a failure."""
    return view if view.detail is None else replace(view, detail=_without_trace(view.detail))


def _without_trace(detail: dict[str, Any]) -> dict[str, Any]:
    told = {
        key: _without_trace(cast("dict[str, Any]", value)) if isinstance(value, dict) else value
        for key, value in detail.items()
    }
    return {**told, "trace": []} if told.get("type") == "failure" and "trace" in told else told


def discreet_text(text: str) -> str:
    """A text with the names of files, without the folders that lead to them."""
    return _FOLDERS.sub("", text)
