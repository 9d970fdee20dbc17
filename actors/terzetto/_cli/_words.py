"""How the command line says things: colours of statuses, times of day, and what to type next."""

import os
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from terzetto_protocol.statuses import RunStatus

STYLES: Final[Mapping[str, str]] = {
    RunStatus.QUEUED: "cyan",
    RunStatus.RUNNING: "blue",
    RunStatus.AWAITING_INPUT: "yellow",
    RunStatus.PAUSED: "yellow",
    RunStatus.CANCELLING: "magenta",
    RunStatus.INTERRUPTED: "magenta",
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.CANCELLED: "magenta",
}
"""Colours of statuses."""


def clock(at: float) -> str:
    """The time of day; with the date, when it is another day."""
    moment, today = time.localtime(at), time.localtime()
    same = moment[:3] == today[:3]
    return time.strftime("%H:%M:%S" if same else "%Y-%m-%d %H:%M:%S", moment)


def program() -> str:
    """How this command line was called, as a person would call it again."""
    name = "terzetto"
    if Path(sys.argv[0]).name == "__main__.py":
        name = f"{shlex.quote(Path(sys.executable).name)} -m terzetto"
    return f"uv run {name}" if "UV_RUN_RECURSION_DEPTH" in os.environ else name


def typed(*words: str) -> str:
    """A command line to copy; the password of a store is left to whoever types it, or to `TERZETTO_STORE`."""
    from ..stores._url import discreet

    known = os.environ.get("TERZETTO_STORE")
    if known in words and discreet(str(known)) != known:
        # Said without its password it would go before the variable that has it.
        at = words.index(known)
        words = (*words[: at - 1], *words[at + 1 :])
    return f"{program()} {shlex.join(map(discreet, words))}"
