"""A lane to a Postgres server: one thread with one connection, on which calls go one after the other.

A call that does not end in time is cut off: its connection is shut down under it, so that the thread comes back, and
the next call connects anew.
"""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Concatenate, Final, ParamSpec, TypeVar, final

import psycopg
from psycopg.pq import TransactionStatus

from terzetto_protocol.errors import StoreDamaged, StoreRejected, StoreUnavailable, describe

from ._checksums import UNREADABLE, Damaged
from ._postgres_link import PASSING, REFUSED, sentence
from ._postgres_schema import Connected
from ._worker import WorkerThread

P = ParamSpec("P")
T = TypeVar("T")

_TRIES: Final = 8
"""How often a transaction is begun that another one is in the way of."""
_PAUSE: Final = 0.005
"""Seconds before it is begun again; twice as long each time."""


@final
class Lane:
    """Runs functions of a connection in a thread.

    Args:
        url: what the store is called in errors.
        connect: makes a connection.
        limit: how long a call may take, seconds.
    """

    def __init__(self, url: str, connect: Callable[[], Connected], limit: float) -> None:
        self._url, self._connect = url, connect
        self._worker = WorkerThread(f"store {url}", limit)
        self._connection: Connected | None = None
        self._is_cut = False
        """Whether the connection was shut down because of a call that did not end."""
        self.waiting = 0
        """Calls that are under way."""

    def start(self) -> None:
        """Start the thread; it connects with the first call."""
        self._worker.start()

    async def call(self, what: str, fn: Callable[Concatenate[Connected, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """What `fn(connection, ...)` returns; a whole transaction, which is begun again where another's was in its way.

        A checkpoint; see `WorkerThread.call`.

        Raises:
            StoreUnavailable: the connection was lost, or the call did not end in time.
            StoreRejected: it is about something that no Postgres can hold.
            StoreDamaged: what was read is not what was stored.
        """
        self.waiting += 1
        try:
            return await self._worker.call(what, self._perform, what, _given(fn, *args, **kw))
        except StoreUnavailable:
            if self._worker.stuck:
                self._cut_off()
            raise
        finally:
            self.waiting -= 1

    async def read(self, what: str, fn: Callable[Concatenate[Connected, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """As `call`, of something that changes nothing: asked again where the connection turns out to be lost."""
        return await self.call(what, self._again, _given(fn, *args, **kw))

    def _again(self, link: Connected, fn: Callable[[Connected], T]) -> T:
        try:
            return fn(link)
        except psycopg.OperationalError:
            if not link.closed or self._is_cut:
                raise
            self._close()
            return fn(self._linked())

    async def drop(self) -> None:
        """Have the next call connect anew. A checkpoint."""
        await self._worker.call("reopen", self._close)

    async def close(self, last: Callable[[Connected], object] | None = None) -> None:
        """Let the running call end, call `last` if there is a connection, and end the thread. A checkpoint, shielded.

        Raises:
            StoreUnavailable: the thread is still busy; it ends by itself.
        """
        try:
            await self._worker.close(lambda: self._leave(last))
        except StoreUnavailable:
            self._cut_off()
            raise

    def _perform(self, what: str, fn: Callable[[Connected], T]) -> T:
        try:
            return self._try(fn)
        except Damaged as damage:
            raise StoreDamaged(self._url, damage.run_id, damage.place, damage.reason) from damage
        except REFUSED as error:
            raise StoreRejected(f"store {self._url} will never take this: {describe(error)}") from error
        except (psycopg.Error, OSError, *UNREADABLE) as error:
            raise sentence(self._url, what, error) from error
        finally:
            self._look()

    def _try(self, fn: Callable[[Connected], T]) -> T:
        for number in range(_TRIES - 1):
            try:
                return fn(self._linked())
            except PASSING:
                time.sleep(_PAUSE * 2**number)
        return fn(self._linked())

    def _linked(self) -> Connected:
        if self._connection is None:
            self._connection, self._is_cut = self._connect(), False
        return self._connection

    def _look(self) -> None:
        # What is left of a connection that was lost, or that is in the middle of something, is not used again.
        link = self._connection
        if link is not None and (link.closed or link.info.transaction_status != TransactionStatus.IDLE):
            self._close()

    def _close(self) -> None:
        link, self._connection = self._connection, None
        if link is not None:
            link.close()

    def _leave(self, last: Callable[[Connected], object] | None) -> None:
        try:
            if last is not None and self._connection is not None:
                last(self._connection)
        except psycopg.Error:
            pass  # what it would have said, the end of the lease says
        finally:
            self._close()

    def _cut_off(self) -> None:
        # Called by the loop while the thread may be waiting for the server: only the operating system's part of the
        # connection is touched, which the thread then hears of.
        link = self._connection
        if link is not None:
            self._is_cut = True
            with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(link.fileno())) as end:
                end.shutdown(socket.SHUT_RDWR)


def _given(fn: Callable[Concatenate[Connected, P], T], *args: P.args, **kw: P.kwargs) -> Callable[[Connected], T]:
    """The function that waits for nothing but its connection."""

    def asked(link: Connected) -> T:
        return fn(link, *args, **kw)

    return asked
