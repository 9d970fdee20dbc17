"""Typed mailboxes: the door through which actors are spoken to.

A message of another type is a type error for mypy and pyright, and a `TypeError` at the door. A mailbox
is bounded; when it is full `tell` waits and `tell_nowait` raises `trio.WouldBlock`. A mailbox that closes
answers every asker with `ActorStopped`: nobody waits for the dead.
"""

from collections import deque
from types import TracebackType
from typing import Any, Final, Generic, TypeVar, cast, overload

import trio
from attrs import define, field, frozen

from terzetto_protocol.errors import ActorStopped
from terzetto_protocol.limits import MAILBOX

from . import _faults

M = TypeVar("M")
N = TypeVar("N")
P = TypeVar("P")
R = TypeVar("R")


@frozen
class MailboxStatistics:
    """What a mailbox says of itself."""

    waiting: int
    """Messages that were sent and not yet taken."""
    capacity: int
    unanswered: int
    """Askers that have no answer yet."""


class Slot(Generic[R]):
    """Where one answer goes; reserved before the question is sent, so that answering never waits."""

    __slots__ = ("_done", "_error", "_value")

    def __init__(self) -> None:
        self._done = trio.Event()
        self._value: R | None = None
        self._error: Exception | None = None

    @property
    def answered(self) -> bool:
        """Whether an answer or an error is there."""
        return self._done.is_set()

    def answer(self, value: R) -> None:
        """Give the answer; only the first counts."""
        if not self._done.is_set():
            self._value = value
            self._done.set()

    def fail(self, error: Exception) -> None:
        """Give an error instead, which `wait` raises; only the first counts."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    async def wait(self) -> R:
        """The answer. A checkpoint; a cancelled wait loses nothing but the answer."""
        await self._done.wait()
        if self._error is not None:
            raise self._error
        return cast("R", self._value)


@define(eq=False)
class Envelope(Generic[M, R]):
    """A message and the slot for its answer; `tell` has nobody listening to the slot."""

    message: M
    slot: Slot[R] = field(factory=Slot[R])


class _Shared(Generic[M, R]):
    """What both ends know: who still waits for an answer, and what may be sent."""

    def __init__(self, name: str, types: tuple[type, ...], capacity: int) -> None:
        self.name: Final = name
        self.types: Final = types
        self.capacity: Final = capacity
        self.unanswered: Final[set[Slot[Any]]] = set()
        self.closed = False


class Address(Generic[M, R]):
    """The only handle that others have on an actor."""

    def __init__(self, shared: "_Shared[M, R]", channel: "trio.MemorySendChannel[Envelope[M, R]]") -> None:
        self._shared = shared
        self._channel = channel

    async def tell(self, message: M, /) -> None:
        """Send, waiting for room. A checkpoint; a cancelled `tell` has sent nothing.

        Raises:
            ActorStopped: the mailbox is closed.
            TypeError: the mailbox does not take this type.
        """
        await self._send(Envelope(self._checked(message)))

    def tell_nowait(self, message: M, /) -> None:
        """Send, or raise `trio.WouldBlock` when the mailbox is full. Not a checkpoint."""
        try:
            self._channel.send_nowait(Envelope(self._checked(message)))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ActorStopped(self._shared.name) from error

    async def ask(self, message: M, /) -> R:
        """Send and wait for the typed answer. A checkpoint; a cancelled `ask` may have been heard all the same."""
        envelope: Envelope[M, R] = Envelope(self._checked(message))
        self._shared.unanswered.add(envelope.slot)
        try:
            await self._send(envelope)
            return await envelope.slot.wait()
        finally:
            self._shared.unanswered.discard(envelope.slot)

    async def _send(self, envelope: Envelope[M, R]) -> None:
        try:
            await self._channel.send(envelope)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ActorStopped(self._shared.name) from error

    def _checked(self, message: M) -> M:
        if self._shared.closed:
            raise ActorStopped(self._shared.name)
        if type(message) not in self._shared.types:
            names = ", ".join(kind.__name__ for kind in self._shared.types)
            raise TypeError(f"the mailbox of {self._shared.name} takes {names}, not {type(message).__name__}")
        return message


class Mailbox(Generic[M, R]):
    """The actor's end: iterate over it; leaving its `with` block closes it and answers whoever still waits."""

    def __init__(self, shared: "_Shared[M, R]", channel: "trio.MemoryReceiveChannel[Envelope[M, R]]") -> None:
        self._shared = shared
        self._channel = channel
        self._meddled: Final[deque[Envelope[M, R]]] = deque()
        """What a test has this actor take before anything else."""

    def __enter__(self) -> "Mailbox[M, R]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> "Mailbox[M, R]":
        return self

    async def __anext__(self) -> Envelope[M, R]:
        """The next message; a checkpoint."""
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> Envelope[M, R]:
        """The next message. A checkpoint; a cancelled `receive` has taken nothing."""
        if self._meddled:
            await trio.lowlevel.checkpoint()
            return self._meddled.popleft()
        envelope = await self._channel.receive()
        if _faults.hook is None:
            return envelope
        try:
            self._meddled.extend(await _faults.hook.letters(self._shared.name, envelope, self._receive_nowait))
        except trio.Cancelled:
            self._meddled.append(envelope)
            raise
        return await self.receive()

    def _receive_nowait(self) -> Envelope[M, R] | None:
        try:
            return self._channel.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            return None

    def close(self) -> None:
        """Take nothing more, and answer every asker with `ActorStopped`. Not a checkpoint; twice is once."""
        self._shared.closed = True
        self._channel.close()
        for slot in list(self._shared.unanswered):
            slot.fail(ActorStopped(self._shared.name))

    def statistics(self) -> MailboxStatistics:
        """How full it is."""
        stats = self._channel.statistics()
        return MailboxStatistics(stats.current_buffer_used, self._shared.capacity, len(self._shared.unanswered))


@overload
def open_mailbox(name: str, first: type[M], /, *, capacity: int = ...) -> tuple[Address[M, Any], Mailbox[M, Any]]: ...
@overload
def open_mailbox(
    name: str, first: type[M], second: type[N], /, *more: type[P], capacity: int = ...
) -> tuple[Address[M | N | P, Any], Mailbox[M | N | P, Any]]: ...
def open_mailbox(
    name: str, /, *types: type[Any], capacity: int = MAILBOX
) -> tuple[Address[Any, Any], Mailbox[Any, Any]]:
    """An address and its mailbox.

    Args:
        name: the actor's, for messages of errors.
        types: every class of message that it takes; a subclass is another class.
        capacity: messages that wait before `tell` waits too; 0 hands over directly.
    """
    shared: _Shared[Any, Any] = _Shared(name, types, capacity)
    send, receive = trio.open_memory_channel[Envelope[Any, Any]](capacity)
    return Address(shared, send), Mailbox(shared, receive)
