"""What a fault plan does where something passes: at once, by waiting, or to what passes."""

import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal, NoReturn, TypeAlias

import trio
from attrs import field, frozen

from ._virtual_time import settled

Error: TypeAlias = BaseException | Callable[[], BaseException]
"""An error, or what makes one each time, such as its class."""
TwistKind: TypeAlias = Literal["drops", "duplicates", "reorders", "corrupts", "loses_answer", "rejects", "tears"]


@frozen
class Strike:
    """Happens in an instant, and may be the end of whoever passes."""

    text: str
    strike: Callable[[], object] = field(repr=False)


@frozen
class Wait:
    """Takes time."""

    text: str
    wait: Callable[[], Awaitable[None]] = field(repr=False)


@frozen
class Twist:
    """Is done to what passes, by whoever knows what that is."""

    text: TwistKind
    detail: Any = field(default=None, repr=False)


Action: TypeAlias = Strike | Wait | Twist


async def act(action: Action) -> None:
    """Do what needs no knowledge of what passes; nothing for a `Twist`. A checkpoint if it takes time."""
    if isinstance(action, Strike):
        action.strike()
    elif isinstance(action, Wait):
        await action.wait()


def kill() -> Strike:
    """The process ends as by `kill -9`."""
    return Strike("kills", lambda: os.kill(os.getpid(), signal.SIGKILL))


def fail(error: Error) -> Strike:
    """An error is raised."""
    return Strike(f"raises {name_of(error)}", partial(_raise, error))


def _raise(error: Error) -> NoReturn:
    raise error.with_traceback(None) if isinstance(error, BaseException) else error()


def delay(seconds: float) -> Wait:
    """Time passes."""
    return Wait(f"delays {seconds:g} s", partial(trio.sleep, seconds))


def hang() -> Wait:
    """Nothing happens any more, until cancelled."""
    return Wait("hangs", trio.sleep_forever)


def wait_for(event: trio.Event) -> Wait:
    """Something else has to happen first."""
    return Wait("waits", event.wait)


def come_last() -> Wait:
    """Everything else goes first, as far as it goes."""
    return Wait("reorders", settled)


def name_of(thing: object) -> str:
    """A class, a function or a value, in short."""
    return getattr(thing, "__name__", None) or f"{thing!r:.80}"
