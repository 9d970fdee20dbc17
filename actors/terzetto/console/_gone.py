"""What it looks like when the other side of a connection went away, however that is told."""

import ssl
from collections.abc import Iterator
from typing import Final, cast

import trio
from trio_websocket import ConnectionClosed, HandshakeError
from wsproto.utilities import ProtocolError

from terzetto_protocol.errors import describe

GONE: Final = (
    ConnectionClosed,
    HandshakeError,
    OSError,
    ProtocolError,
    ssl.SSLError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
)
"""Errors that say no more than this."""


def leaves_of(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, or the one error."""
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves_of(inner)
    else:
        yield error


def is_gone(error: BaseException) -> bool:
    """Whether this is one of them, or a group of nothing else."""
    return all(isinstance(leaf, GONE) for leaf in leaves_of(error))


def sentence_of(error: BaseException) -> str:
    """What was wrong, in a few words; of an error that only passes others on, those of the first."""
    return describe(error if error.__cause__ is None else next(leaves_of(error.__cause__)))
