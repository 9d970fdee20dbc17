"""The client of the console: it comes back by itself, and nothing that it tells is missing or there twice.

SEMANTICS 8.9 and 13.10.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import msgspec
import pytest
import trio
from trio_websocket import WebSocketConnection

import terzetto
from terzetto.console import Console, _client, _watch, connect, serve
from terzetto_protocol.events import Cursor, TextChunk
from terzetto_protocol.wire import Limits
from terzetto_protocol.wire_asks import GetRun, ListRuns, Subscribe
from terzetto_protocol.wire_errors import WireError

from .consoles import LIMIT, SECRET, place, until
from .runtimes import Held, Tally, chain, says, told as events_of


class Wire:
    """What lies between a client and a server, and can be cut."""

    def __init__(self) -> None:
        self.port = self.to = 0
        self.connections = 0
        self._scopes: list[trio.CancelScope] = []
        self.refuses = self.silent = False
        self.cut_after: int | None = None
        """Bytes of the server after which each connection is cut."""

    def cut(self) -> None:
        for scope in self._scopes:
            scope.cancel()

    async def run(self, *, task_status) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        await trio.serve_listeners(self._carry, listeners, task_status=task_status)

    async def _carry(self, near: trio.SocketStream) -> None:
        self.connections += 1
        if self.refuses:
            await trio.aclose_forcefully(near)
            return
        with trio.CancelScope() as scope:
            self._scopes.append(scope)
            async with near, await trio.open_tcp_stream("127.0.0.1", self.to) as far:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._pump, near, far, None, nursery.cancel_scope)
                    nursery.start_soon(self._pump, far, near, self.cut_after, nursery.cancel_scope)
        self._scopes.remove(scope)

    async def _pump(self, one, other, most, scope) -> None:
        passed = 0
        try:
            async for data in one:
                kept = data if most is None else data[: max(0, most - passed)]
                passed += len(data)
                await until(lambda: not self.silent)
                await other.send_all(kept)
                if most is not None and passed >= most:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


@asynccontextmanager
async def wired(*graphs, **options) -> AsyncIterator[tuple]:
    """A console, a wire to it, and the URL at the wire's near end."""
    async with trio.open_nursery() as nursery:
        wire = Wire()
        await nursery.start(wire.run)
        async with place(*graphs, hosts=[f"127.0.0.1:{wire.port}"], **options) as here:
            wire.to = here.port
            yield here, wire, f"ws://127.0.0.1:{wire.port}/ws"
        nursery.cancel_scope.cancel()


async def test_a_subscription_goes_on_after_every_cut(monkeypatch):
    """SEMANTICS 8.9: each event once, in order, over many connections."""
    monkeypatch.setattr(_client, "backoff", lambda failures: 0.0)
    graph = chain(*[says(f"n{number}") for number in range(60)])
    async with wired(graph, limits=Limits(piece=500)) as (here, wire, url):
        run = await here.runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        expected = await events_of(run)
        rng = random.Random(7)
        async with connect(url) as console:
            wire.cut_after = 3000
            wire.cut()
            told = []
            async with console.watch("r") as events:
                async for event in events:
                    told.append(event)
                    wire.cut_after = rng.randrange(2500, 6000)
        assert console.connections > 3

    assert expected == [event for event in told if isinstance(event, terzetto.Event)]
    assert not [event for event in told if isinstance(event, terzetto.Gap)]
    assert isinstance(told[0], terzetto.Cursor)


async def test_what_was_asked_is_asked_again_and_a_command_is_carried_out_once(monkeypatch):
    monkeypatch.setattr(_client, "backoff", lambda failures: 0.01)
    graph = chain(says("a"), "ok")
    async with wired(graph) as (_, wire, url):
        async with connect(url) as console:
            wire.refuses = True
            wire.cut()
            await trio.sleep(0.02)
            answers = []
            async with trio.open_nursery() as nursery:

                async def ask():
                    answers.append(await console.submit("chain", b"{}", run_id="r"))
                    answers.append(await console.ask(ListRuns()))

                nursery.start_soon(ask)
                await trio.sleep(0.05)
                assert [] == answers
                wire.refuses = False
            assert 2 == console.connections

    assert "r" == answers[0].run_id
    assert 1 == len(answers[1].runs)


async def test_what_is_asked_while_another_frame_is_sent_is_sent_too(monkeypatch):
    """SEMANTICS 13.8: this hung where a store answers from a thread."""
    send = WebSocketConnection.send_message

    async def slow(self, message):
        await send(self, message)
        if self.is_client:
            await trio.sleep(0.05)

    monkeypatch.setattr(WebSocketConnection, "send_message", slow)
    graph = chain(says("a"))
    async with place(graph) as here, connect(here.url) as console:
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(console.ask, ListRuns())
                    await trio.sleep(0.02)


async def test_who_follows_runs_is_told_to_list_them_after_a_cut(monkeypatch):
    monkeypatch.setattr(_client, "backoff", lambda failures: 0.01)
    graph = chain(says("a"))
    async with wired(graph) as (_, wire, url), connect(url) as console, console.follow() as runs:
        wire.cut()
        assert None is await anext(runs)
        await console.submit("chain", b"{}", run_id="r")
        assert "r" == (await anext(runs)).runs[0].run_id


async def test_who_shows_a_connection_is_told_when_it_comes_and_goes(monkeypatch):
    monkeypatch.setattr(_client, "backoff", lambda failures: 0.0)
    async with wired() as (_, wire, url):
        async with connect(url) as console:
            seen = [console.connected]
            for _ in range(2):
                wire.cut()
                await console.turned()
                seen.append(console.connected)
                await console.turned()
                seen.append(console.connected)
        with pytest.raises(terzetto.ActorStopped):
            await console.turned()

    assert [True, False, True, False, True] == seen
    assert not console.connected


async def test_a_server_that_is_not_there_is_waited_for_so_long_and_no_longer():
    with pytest.raises(WireError) as caught:
        async with connect("ws://127.0.0.1:9/ws", timeout=0.2):
            pass
    error = caught.value

    assert "unreachable" == error.code
    assert "9/ws" in str(error)


async def test_a_server_that_refuses_is_not_asked_again():
    graph = chain(says("a"))
    from terzetto.console import Token

    async with place(graph, tokens=[Token(SECRET)]) as here:
        with pytest.raises(WireError) as caught:
            async with connect(here.url, token="not-the-secret-of-it"):
                pass
        error = caught.value

    assert ("not_allowed", 401) == (error.code, error.data["status"])
    assert "a token is needed" in str(error)
    assert "not-the-secret" not in str(error)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1", "127.0.0.1", "ws://", "ws://a:b@127.0.0.1/ws", "ws://h/ws?token=x", "ws://h:x/"]
)
async def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(terzetto.InvalidRequest, match="URL of a console"):
        async with connect(url):
            pass


async def test_a_server_that_speaks_another_version_is_left(monkeypatch):
    graph = chain(says("a"))
    monkeypatch.setattr("terzetto_protocol.session.MAJOR", 2)
    async with place(graph) as here:
        with pytest.raises(WireError) as caught:
            async with connect(here.url):
                pass

    assert "other_version" == caught.value.code


async def test_a_silent_server_is_left_for_another_connection(monkeypatch):
    monkeypatch.setattr(_client, "CONSOLE_PING", 0.05)
    monkeypatch.setattr(_client, "CONSOLE_PONG", 0.05)
    monkeypatch.setattr(_client, "backoff", lambda failures: 0.01)
    graph = chain(says("a"))
    async with wired(graph) as (_, wire, url), connect(url) as console:
        wire.silent = True
        with trio.fail_after(10):
            await until(lambda: wire.connections >= 2)
            wire.silent = False
            assert () == (await console.ask(ListRuns())).runs


async def test_a_reader_who_does_not_read_is_told_no_more_and_goes_on_then(monkeypatch):
    """SEMANTICS 13.10: a client's memory is bounded, too."""
    monkeypatch.setattr(_watch, "WATCHED", 20)
    graph = chain(*[says(f"n{number}") for number in range(300)])
    async with place(graph) as here, connect(here.url) as console:
        run = await here.runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        expected = await events_of(run)
        most, told = 0, []
        async with console.watch("r") as events:
            async for event in events:
                told.append(event)
                most = max(most, len(events._items))

    assert expected == [event for event in told if isinstance(event, terzetto.Event)]
    assert most < len(expected)


async def test_a_reader_of_much_lets_others_go_on_and_notices_a_cancel():
    """13.10: what has come is given without a turn of the loop for each, but not all of it at once."""
    chunk = TextChunk(id=1, run_id="r", at=0.0, node="n", visit=1, text="")
    items = [Cursor("fresh"), *(msgspec.structs.replace(chunk, id=number) for number in range(1, 300))]
    watch, order = _watch.Watch(cast("Console", None), Subscribe("r")), list[int]()
    watch.give(items)

    async def others() -> None:
        while True:
            order.append(0)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        for number in range(1, 201):
            await anext(watch)
            order.append(number)
        nursery.cancel_scope.cancel()
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(watch)

    waits = [place for place, number in enumerate(order) if number == 0]
    assert 2 <= len(waits) <= 4
    assert [number for number in order if number] == list(range(1, 201))
    assert scope.cancelled_caught
    assert (await anext(watch)).id == 200


async def test_a_wait_that_is_cancelled_loses_no_event():
    held = Held()
    graph = chain(says("a"), held)
    async with place(graph) as here, connect(here.url) as console:
        run = await here.runtime.submit(graph, Tally(), run_id="r")
        told = []
        async with console.watch("r") as events:
            while not any(isinstance(event, terzetto.RunEnded) for event in told):
                with trio.move_on_after(0.005):
                    told.append(await anext(events))
                if len(told) > 3:
                    held.go.set()
        expected = await events_of(run)

    assert expected == [event for event in told if isinstance(event, terzetto.Event)]


async def test_closing_a_client_ends_all_who_wait_for_it():
    held = Held()
    graph = chain(held)
    outcomes = []
    async with place(graph) as here, trio.open_nursery() as nursery:
        await here.runtime.submit(graph, Tally(), run_id="r")

        async def watch(console):
            try:
                async with console.watch("r") as events:
                    async for _ in events:
                        pass
            except terzetto.ActorStopped as error:
                outcomes.append(str(error))

        async with connect(here.url) as console:
            nursery.start_soon(watch, console)
            await held.begun.wait()
            await trio.sleep(0.05)
        with trio.fail_after(5):
            await until(lambda: outcomes)
        with pytest.raises(terzetto.ActorStopped):
            await console.ask(GetRun("r"))
        held.go.set()

    assert "this client of the console" in outcomes[0]


async def test_nothing_of_a_console_is_left_when_it_was_cancelled(tmp_path):
    """Law 3: no task, no descriptor."""
    from terzetto.testing import assert_no_leaks

    graph = chain(says("a"))
    with trio.fail_after(LIMIT):
        with assert_no_leaks():
            async with terzetto.open_runtime("memory:", graphs=[graph]) as runtime, trio.open_nursery() as nursery:
                serving = await nursery.start(start, runtime)
                async with connect(serving.socket_url) as console, console.watch("none") as events:
                    with pytest.raises(terzetto.UnknownRun):
                        await anext(events)
                nursery.cancel_scope.cancel()


async def start(runtime, *, task_status):
    await serve(runtime, port=0, task_status=task_status)
