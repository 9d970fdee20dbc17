"""What clients of a console do while it is measured: ask, watch a run, and come back to one."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from time import perf_counter
from typing import Final

import trio
from trio_websocket import WebSocketConnection, open_websocket_url

import terzetto
from terzetto.console import Console, connect, serve
from terzetto_protocol.events import NodeFinished, TextChunk
from terzetto_protocol.limits import WIRE_ANSWER
from terzetto_protocol.wire import (
    CLIENT_FRAMES,
    MAJOR,
    SUBPROTOCOL,
    Greet,
    Limits,
    Reply,
    Request,
    write_event,
    write_frame,
)
from terzetto_protocol.wire_asks import GetHealth, Subscribe

from ._states import Nothing, Tally
from ._stream import Talk, talk_graph
from ._work import chain_graph

EVENT: Final = 200
"""Bytes of an event on its way."""
_NO_LIMIT: Final = 10**9
LIMITS: Final = Limits(rate=float(_NO_LIMIT), burst=_NO_LIMIT)
"""A client may ask as often as it can: how often it may is no question of speed."""
_ID: Final = (1 << 32) + 1000
_AT: Final = 1763769600.123456

Watching = Callable[[str, str, int, trio.MemorySendChannel[None]], Awaitable[None]]
"""A client that watches a run at a server until it has so many chunks, and notes its begin and its end."""


@asynccontextmanager
async def console_of(runtime: terzetto.Runtime, clients: int = 1) -> AsyncGenerator[str, None]:
    """The console of a runtime, and where it is."""
    most = clients + 1
    start = partial(serve, runtime, port=0, limits=LIMITS, max_connections=most, max_per_address=most)
    async with trio.open_nursery() as nursery:
        serving = await nursery.start(start)
        yield serving.socket_url
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _greeted(url: str) -> AsyncGenerator[WebSocketConnection, None]:
    """A client of trio-websocket."""
    async with open_websocket_url(url, subprotocols=[SUBPROTOCOL], max_message_size=WIRE_ANSWER) as socket:
        await socket.send_message(CLIENT_FRAMES.to_json(Greet(MAJOR)).decode())
        yield socket


# -- asking ------------------------------------------------------------------------------------------------------


async def ask_bare(times: int) -> float:
    """Round trips each second of a small query, from a client that reads no answer."""
    asking = [CLIENT_FRAMES.to_json(Request(number, GetHealth())).decode() for number in range(times)]
    async with terzetto.open_runtime("memory:", []) as runtime, console_of(runtime) as url, _greeted(url) as socket:
        await socket.get_message()
        began = perf_counter()
        for text in asking:
            await socket.send_message(text)
            await socket.get_message()
        return times / (perf_counter() - began)


async def ask(times: int) -> float:
    """The same from a client of ours, which reads the answers."""
    async with terzetto.open_runtime("memory:", []) as runtime, console_of(runtime) as url, connect(url) as console:
        began = perf_counter()
        for _ in range(times):
            await console.ask(GetHealth())
        return times / (perf_counter() - began)


@cache
def asked_bytes() -> tuple[int, int]:
    """How long a question and its answer are."""
    return trio.run(_asked_bytes)


async def _asked_bytes() -> tuple[int, int]:
    async with terzetto.open_runtime("memory:", []) as runtime, console_of(runtime) as url, connect(url) as console:
        answer = await console.ask(GetHealth())
    return len(CLIENT_FRAMES.to_json(Request(1000, GetHealth()))), len(write_frame(Reply(1000, answer)))


# -- watching ----------------------------------------------------------------------------------------------------


async def watch(clients: int, events: int, watching: Watching) -> float:
    """Events that clients of one run get each second, all together."""
    graph, talk = talk_graph(), Talk(events, trio.Event(), _word())
    note, notes = trio.open_memory_channel[None](clients)
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, talk)]) as runtime:
        run = await runtime.submit(graph, Nothing(), run_id="talk")
        async with console_of(runtime, clients) as url, trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(watching, url, run.run_id, events, note)
            await _all(notes, clients)
            talk.may_begin.set()
            began = perf_counter()
            await _all(notes, clients)
            took = perf_counter() - began
            assert runtime.hub.statistics().gaps == 0
    return clients * events / took


async def _all(notes: trio.MemoryReceiveChannel[None], count: int) -> None:
    for _ in range(count):
        await notes.receive()


async def bare(url: str, run_id: str, events: int, note: trio.MemorySendChannel[None]) -> None:
    """As `Watching`: trio-websocket, which counts the chunks in each text."""
    async with _greeted(url) as socket:
        await socket.send_message(CLIENT_FRAMES.to_json(Request(1, Subscribe(run_id))).decode())
        while "NodeStarted" not in await _text(socket):
            pass
        note.send_nowait(None)
        while events > 0:
            events -= (await _text(socket)).count('"TextChunk"')
        note.send_nowait(None)


async def _text(socket: WebSocketConnection) -> str:
    message = await socket.get_message()
    assert isinstance(message, str)
    return message


async def ours(url: str, run_id: str, events: int, note: trio.MemorySendChannel[None]) -> None:
    """As `Watching`: a client of ours, which reads what each event says."""
    async with connect(url) as console, console.watch(run_id) as watched:
        async for event in watched:
            if isinstance(event, terzetto.NodeStarted):
                note.send_nowait(None)
            elif isinstance(event, TextChunk):
                events -= 1
                if not events:
                    break
        note.send_nowait(None)


def _word() -> str:
    chunk = TextChunk(id=_ID, run_id="talk", at=_AT, node="talk", visit=1, text="")
    return "x" * (EVENT - len(write_event(chunk)))


# -- coming back -------------------------------------------------------------------------------------------------


async def resume(times: int, missed: int) -> list[float]:
    """Seconds until a client that comes back has what it has missed, each time."""
    graph, seconds = chain_graph(), list[float]()
    async with terzetto.open_runtime("memory:", [terzetto.bind(graph, missed)]) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="chain")
        await run.result()
        async with console_of(runtime) as url, connect(url) as console:
            _, seen = await _read(console, None)
            for _ in range(times):
                took, ids = await _read(console, seen[0])
                seconds.append(took)
                assert len(ids) == missed - 1, (len(ids), seen[:3])
    return seconds


async def _read(console: Console, last_event_id: int | None) -> tuple[float, list[int]]:
    began = perf_counter()
    async with console.watch("chain", last_event_id=last_event_id) as events:
        ids = [event.id async for event in events if isinstance(event, NodeFinished)]
        return perf_counter() - began, ids


def missed_bytes() -> int:
    """How long an event is that says that a step is committed."""
    event = NodeFinished(id=_ID, run_id="chain", at=_AT, node="step", visit=1000, seq=1000, mutations=1)
    return len(write_event(event))
