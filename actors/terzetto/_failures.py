"""What a body raised: which part of it is its own doing, and what is kept of that.

Somebody's exception may be odd in every way. Nothing of its own is called here but what `describe` asks for, so
there is a failure to store whatever it is.
"""

import traceback
from collections import deque
from collections.abc import Iterable
from math import inf
from types import CodeType
from typing import Any, Final

import trio

from terzetto_protocol.errors import describe, one_line
from terzetto_protocol.limits import ERROR_LEAVES
from terzetto_protocol.records import Failure
from terzetto_protocol.statuses import FailureCode
from terzetto_protocol.turn import Start

FRAMES: Final = 12
"""Innermost frames of a stack that are kept."""
FRAME_LENGTH: Final = 1024
"""Longest text that is kept of a frame, characters."""

_exceptions: Final[Any] = BaseExceptionGroup.__dict__["exceptions"]
_traceback: Final[Any] = BaseException.__dict__["__traceback__"]
"""Both read past whatever a class has put in their place."""


def own_part(error: BaseException) -> BaseException:
    """What somebody raised, if it is his own doing; raises what is not, alone. Not a checkpoint.

    KeyboardInterrupt is not, and `Cancelled` while this task is cancelled. One that was kept, and raised again when
    nobody cancels, is an error like any other.
    """
    is_cancelled = trio.current_effective_deadline() == -inf
    if is_cancelled and type(error) is trio.Cancelled:
        raise error  # as below; a cancel of many bodies is made of these
    foreign = (KeyboardInterrupt, trio.Cancelled) if is_cancelled else (KeyboardInterrupt,)
    theirs = [leaf for leaf in leaves_of(error) if issubclass(type(leaf), foreign)]
    if theirs:
        raise error if theirs[0] is error else BaseExceptionGroup("not the doing of who raised it", theirs)
    return error


def leaves_of(error: BaseException) -> list[BaseException]:
    """The exceptions in a group and its groups, in their order; the error itself if it is none. Not a checkpoint."""
    found: list[BaseException] = []
    to_see = [error]
    while to_see:  # no recursion: groups may be nested deeper than Python calls itself
        each = to_see.pop()
        if isinstance(each, BaseExceptionGroup):
            to_see += reversed(_exceptions.__get__(each))
        else:
            found.append(each)
    return found


def label_of(start: Start) -> str:
    """A node with its path, as its failures name it."""
    return f"{start.path}/{start.node}" if start.path else start.node


def failure_of(node: str, error: BaseException) -> Failure:
    """What is stored and shown of an exception: its leaves and where it came from; no values, no source."""
    leaves = leaves_of(error)
    leaves = [leaf for leaf in leaves if not isinstance(leaf, trio.Cancelled)] or leaves
    told = tuple(map(describe, leaves[:ERROR_LEAVES]))
    text = told[0] if len(leaves) == 1 else f"{len(leaves)} errors: {'; '.join(told)}"
    if len(leaves) > len(told):
        text += f"; and {len(leaves) - len(told)} more"
    frames = traceback.walk_tb(_traceback.__get__(error))
    return Failure(FailureCode.NODE_ERROR, f"node {node!r}: {text}", told, trace_of((f.f_code, at) for f, at in frames))


def trace_of(calls: Iterable[tuple[CodeType, int]]) -> tuple[str, ...]:
    """The innermost of these calls, each as `file:line in function`."""
    last = deque(calls, FRAMES)
    return tuple(one_line(f"{code.co_filename}:{line} in {code.co_name}", FRAME_LENGTH) for code, line in last)
