"""How long one attempt of a node may take: in all, and between two signs of life."""

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from math import inf
from typing import Any, TypeVar

import trio
from attrs import define

from terzetto_protocol.context import AnyContext
from terzetto_protocol.decisions import Answering
from terzetto_protocol.errors import NodeTimeout
from terzetto_protocol.places import NodeOptions
from terzetto_protocol.port import Emission, Port, port_like
from terzetto_protocol.questions import AskDecision, Inner, Sending
from terzetto_protocol.state import Entry

T = TypeVar("T")


@define(eq=False)
class _Pulse:
    """Moves the deadlines of an attempt: with every sign of life, and by the time for which it waits for people."""

    port: Port
    visit: int
    outer: trio.CancelScope
    inner: trio.CancelScope
    whole: float
    idle: float
    left: float = inf
    """Seconds of the attempt that were left when it began to wait for people."""
    asked: int = 0
    """Decisions that it waits for."""
    waiting: int = 0
    """What it waits for that others have to do: values that it has sent, until they are durable, and graphs."""
    missed: float = inf
    """The first deadline that a sign of life came after: too late, unless the loop was blocked meanwhile."""

    def begin(self) -> None:
        self.outer.deadline = trio.current_time() + self.whole
        self.beat()
        self.port.limit(self.visit, self.limit)

    def beat(self) -> None:
        """A record, a chunk, a heartbeat, a value sent."""
        if not (self.asked or self.waiting):
            self._note_missed()
            self.inner.deadline = trio.current_time() + self.idle

    async def decide(self, visit: int, question: AskDecision) -> Answering:
        """Wait for a decision, with both deadlines stopped until the last of several has come."""
        if not self.asked:
            self._note_missed()
            self.left = self.outer.deadline - trio.current_time()
        self.asked += 1
        self.outer.deadline = self.inner.deadline = inf
        try:
            return await self.port.decide(visit, question)
        finally:
            self.asked -= 1
            if not self.asked:
                self.outer.deadline = trio.current_time() + self.left
                self.beat()
                self.port.limit(self.visit, self.limit)

    def _note_missed(self) -> None:
        if trio.current_time() >= self.inner.deadline:
            self.missed = min(self.missed, self.inner.deadline)

    def limit(self) -> tuple[float, str]:
        """When its time is over, and which timeout that is; signs of life of a body that was cut off change nothing."""
        idle = min(self.missed, self.inner.deadline) if self.inner.cancel_called else self.inner.deadline
        if idle < self.outer.deadline:
            return idle, str(NodeTimeout("idle_timeout", self.idle))
        return self.outer.deadline, str(NodeTimeout("run_timeout", self.whole))

    def pack(self, mutation: Any) -> Entry:
        self.beat()
        return self.port.pack(mutation)

    def emit(self, visit: int, emission: Emission) -> None:
        self.beat()
        self.port.emit(visit, emission)

    async def send(self, visit: int, sending: Sending) -> None:
        """Send a value; the wait for the store is not the body's."""
        await self._wait(self.port.send(visit, sending))

    async def run(self, visit: int, inner: Inner) -> Any:
        """Run a graph; while that is at work, the body is not idle."""
        return await self._wait(self.port.run(visit, inner))

    async def _wait(self, done: Awaitable[T]) -> T:
        """Wait with the idle deadline stopped."""
        self.beat()
        self.waiting += 1
        self.inner.deadline = inf
        try:
            return await done
        finally:
            self.waiting -= 1
            self.beat()
            self.port.limit(self.visit, self.limit)


async def run_timed(fn: Callable[[Any], Awaitable[object]], options: NodeOptions[Any, Any], ctx: AnyContext) -> object:
    """Run a body within its `run_timeout` and `idle_timeout`, and return what it did. A checkpoint if the body is one.

    Raises `NodeTimeout` when a timeout has cut it off; the body has had its cleanup by then.
    """
    with timed(options, ctx) as begin:
        begin()
        return await fn(ctx)


@contextmanager
def timed(options: NodeOptions[Any, Any], ctx: AnyContext) -> Generator[Callable[[], None]]:
    """Hold an attempt to its timeouts, which begin when what this gives is called; raises `NodeTimeout` for them.

    While its body waits for a decision, neither of them passes.
    """
    whole, idle = options.run_timeout, options.idle_timeout
    with trio.CancelScope() as outer:
        with trio.CancelScope() as inner:
            limits = (inf if whole is None else whole, inf if idle is None else idle)
            pulse = _Pulse(ctx.port, ctx.visit.visit, outer, inner, *limits)
            if options.is_timed:
                ctx.port = port_like(ctx.port, decide=pulse.decide)
            if idle is not None:
                ctx.port = port_like(
                    ctx.port, pack=pulse.pack, emit=pulse.emit, beat=pulse.beat, send=pulse.send, run=pulse.run
                )
            try:
                yield pulse.begin
            finally:
                pulse.port.limit(pulse.visit, None)
        if inner.cancelled_caught and idle is not None:
            raise NodeTimeout("idle_timeout", idle)
    if outer.cancelled_caught and whole is not None:
        raise NodeTimeout("run_timeout", whole)
