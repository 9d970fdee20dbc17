"""Plain functions as nodes: each in a thread of its own, or, where it is tiny, right on the event loop.

What a function in a thread says through its context is heard on the loop, which alone may touch a run, and
only as long as its visit lasts. A function that was abandoned goes on in a visit that is over: nobody hears
it, and the state that it reads is a copy.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NoReturn, TypeVar, cast

import trio
from attrs import define, field

from terzetto_protocol.context import AnyContext
from terzetto_protocol.errors import InvalidRequest, Refused
from terzetto_protocol.limits import THREADS
from terzetto_protocol.places import Node
from terzetto_protocol.port import Port, Visit, port_like

from ._node import call
from ._timeouts import timed

T = TypeVar("T")

_threads: Final = trio.lowlevel.RunVar[trio.CapacityLimiter]("threads of nodes")
"""Not Trio's own: however many nodes block, whoever else needs a thread gets one."""


async def run_in_thread(node: Node[Any, Any], ctx: AnyContext) -> None:
    """Run a node's plain function in a thread, within its timeouts, which begin when it has one. A checkpoint.

    Cancelled (or timed out) before that, the function never begins. Later the cancel waits for it to return, and
    what it returned or raised counts for nothing; or it is abandoned, if its node says so.
    """
    abandons = node.options.on_cancel == "abandon"
    with timed(node.options, ctx) as begin:
        line = _Line(ctx.visit, ctx.port, begin)
        ctx.port = line.port(abandons=abandons, beats=node.options.idle_timeout is not None)
        try:
            await trio.to_thread.run_sync(
                call,
                node.fn,
                ctx,
                thread_name=f"node {node.name}",
                abandon_on_cancel=abandons,
                limiter=cast("trio.CapacityLimiter", line),  # as much of one as Trio asks for
            )
        except KeyboardInterrupt:
            raise
        except BaseException:
            await trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC102, ASYNC120 - what a cancelled one raised counts for nothing
            raise
        finally:
            line.is_over = True
        await trio.lowlevel.checkpoint_if_cancelled()


def node_threads() -> trio.CapacityLimiter:
    """What bounds the threads of nodes in this `trio.run`. Not a checkpoint."""
    try:
        return _threads.get()
    except LookupError:
        _threads.set(made := trio.CapacityLimiter(THREADS))
        return made


@define(eq=False)
class _Line:
    """What a function in a thread speaks through. For Trio it is the limiter, so that it knows when it begins."""

    visit: Visit
    heard: Port
    """The loop's side."""
    begin: Callable[[], None]
    is_over: bool = False
    limiter: trio.CapacityLimiter = field(factory=node_threads)
    token: trio.lowlevel.TrioToken = field(factory=trio.lowlevel.current_trio_token)

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self.limiter.acquire_on_behalf_of(borrower)
        self.begin()

    def release_on_behalf_of(self, borrower: object) -> None:
        self.limiter.release_on_behalf_of(borrower)

    def port(self, *, abandons: bool, beats: bool) -> Port:
        """The function's side. Encoding needs no loop; moving a deadline does."""
        heard = self.heard
        return port_like(
            heard,
            pack=partial(self.say, heard.pack) if beats else heard.pack,
            emit=partial(self.say, heard.emit),
            beat=partial(self.say, heard.beat),
            is_cancelled=self.is_cancelled,
            decide=_no_answer if abandons else heard.decide,
            do=_no_answer if abandons else heard.do,
            run=_no_answer if abandons else heard.run,
            send=_no_answer if abandons else heard.send,
        )

    def say(self, fn: Callable[..., T], *args: Any) -> T:
        """Have it done on the loop, from whichever thread; raises `Refused` once the visit is over."""
        if self._is_on_loop():
            return self._hear(fn, *args)
        return trio.from_thread.run_sync(self._hear, fn, *args, trio_token=self.token)

    def _hear(self, fn: Callable[..., T], *args: Any) -> T:
        if self.is_over:
            visit = self.visit
            raise Refused(visit.run_id, f"visit {visit.visit} of node {visit.node!r} is over: nobody listens any more")
        return fn(*args)

    def _is_on_loop(self) -> bool:
        return trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is self.token

    def is_cancelled(self) -> bool:
        """Whether all that still comes counts for nothing; threads that the function made itself hear of it late."""
        try:
            trio.from_thread.check_cancelled()
        except trio.Cancelled:  # noqa: ASYNC103 - a thread only asks: what has to end is the task that waits for it
            return True  # noqa: ASYNC104 - as above
        except RuntimeError:  # not the function's own thread
            return self.is_over
        return False


def _no_answer(visit: int, question: object) -> NoReturn:
    raise InvalidRequest('a function that may be abandoned cannot wait for an answer: say on_cancel="wait"')
