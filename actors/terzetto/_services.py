"""The system actors and their order: rest-for-one, with a limit on how often.

It owns one cancel scope per service. Services are started in order and stopped in reverse; when one
fails, it and all that were started after it are started again, unless that happened too often: then
everything stops in good order and the failure is let out.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import trio
from attrs import define, field, frozen

from terzetto_protocol.restart import judge

STOP_DEADLINE: Final = 10.0
"""Seconds that the services have to stop, the store's last transactions included."""


class Body(Protocol):
    """What a service runs."""

    def __call__(self, *, task_status: trio.TaskStatus[None]) -> Awaitable[None]:
        """Run until stopped; says `started()` when others may count on it."""
        ...


@frozen
class Service:
    """A system actor."""

    name: str
    body: Body
    stop: Callable[[float], None] | None = None
    """Asks it to end by a Trio time; without one, its scope is cancelled."""


@define(eq=False)
class _Child:
    service: Service
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    done: trio.Event = field(factory=trio.Event)


class ServiceTree:
    """Runs services in order."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services: Final = tuple(services)
        self._children: dict[str, _Child] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._failed = trio.Event()
        self.restarts = 0
        """How many services were started again."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the services until cancelled, and stop them in reverse order within `STOP_DEADLINE`. A checkpoint."""
        async with trio.open_nursery() as nursery:
            try:
                await self._start(nursery, [service.name for service in self._services])
                if self._failures:
                    raise self._failures[0][1]
                task_status.started()
                await self._watch(nursery)
            finally:
                await self._stop([service.name for service in self._services])  # noqa: ASYNC102 - shielded inside

    async def _watch(self, nursery: trio.Nursery) -> None:
        history: tuple[float, ...] = ()
        order = [service.name for service in self._services]
        while True:
            await self._failed.wait()
            self._failed = trio.Event()
            failures, self._failures = self._failures, []
            name, error = min(failures, key=lambda failure: order.index(failure[0]))
            verdict = judge(order, name, history, trio.current_time())
            if not verdict.restart:
                raise error
            history = verdict.history
            self.restarts += len(verdict.restart)
            await self._stop(verdict.restart)
            await self._start(nursery, verdict.restart)

    async def _start(self, nursery: trio.Nursery, names: Sequence[str]) -> None:
        for service in self._services:
            if service.name in names:
                self._children[service.name] = child = _Child(service)
                try:
                    with trio.CancelScope(shield=service.stop is not None):  # such a one does not end by a cancel
                        await nursery.start(self._run_child, child, name=service.name)
                except RuntimeError:
                    if not self._failures:
                        raise
                    return  # it died before it had begun, and that is judged like any other death
                child.scope.shield = True  # from here on only `_stop` ends it, in order

    async def _run_child(  # noqa: ASYNC128 - the service's own body says that it has started
        self, child: _Child, *, task_status: trio.TaskStatus[None]
    ) -> None:
        try:
            with child.scope:
                await child.service.body(task_status=task_status)
        except Exception as error:  # noqa: BLE001 - whatever a service dies of, the tree decides what follows
            self._failures.append((child.service.name, error))
            self._failed.set()
        finally:
            child.done.set()

    async def _stop(self, names: Sequence[str]) -> None:
        deadline = trio.current_time() + STOP_DEADLINE
        for service in reversed(self._services):
            child = self._children.get(service.name)
            if child is None or service.name not in names:
                continue
            if service.stop is not None:
                service.stop(deadline)
            else:
                child.scope.cancel(reason="the runtime stops")
            with trio.CancelScope(shield=True, deadline=deadline):  # a late one does not keep others from stopping
                await child.done.wait()
