"""How a command ends: exit codes as one table, and the exception that carries one."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from terzetto_protocol.statuses import RunStatus


class Exit(IntEnum):
    """Exit codes of the command line."""

    FINE = 0
    FAILED = 1
    WRONG = 2
    WAITING = 3
    CANCELLED = 4
    STORE = 5
    INTERRUPTED = 130
    UNREAD = 141


MEANINGS: Final[Mapping[Exit, str]] = {
    Exit.FINE: "fine; the run SUCCEEDED; a command was taken, or recorded for the store's next owner",
    Exit.FAILED: "the run FAILED, or a replay finds that its log does not hold",
    Exit.WRONG: "wrong usage, module, graph, JSON, store URL or run id, or the command was refused: nothing changed",
    Exit.WAITING: "the run waits for a decision (AWAITING_INPUT) or is PAUSED, and nobody is here to decide",
    Exit.CANCELLED: "the run was CANCELLED",
    Exit.STORE: "the store is in use by another process, damaged, too new or unavailable",
    Exit.INTERRUPTED: "interrupted (Ctrl-C, SIGTERM): the run goes on with the same command",
    Exit.UNREAD: "whoever read the output went away, as in `terzetto runs | head -1`",
}
"""The documented table; `docs/cli.md` has the same, and a test compares them."""

_ENDS: Final[Mapping[RunStatus, Exit]] = {
    RunStatus.SUCCEEDED: Exit.FINE,
    RunStatus.FAILED: Exit.FAILED,
    RunStatus.CANCELLED: Exit.CANCELLED,
    RunStatus.AWAITING_INPUT: Exit.WAITING,
    RunStatus.PAUSED: Exit.WAITING,
}


class Stop(Exception):
    """Ends the command with a sentence for the person who typed it."""

    def __init__(self, sentence: str, code: Exit = Exit.WRONG) -> None:
        self.code = code
        super().__init__(sentence)


def exit_of(status: RunStatus) -> Exit:
    """The exit code for a run that came to rest in this status; INTERRUPTED for one that has not."""
    return _ENDS.get(status, Exit.INTERRUPTED)
