"""A client watches while the server's process is killed with -9 and started again, several times.

SEMANTICS 8.9: it goes on, with no event missing and none twice.
"""

import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import trio

import terzetto
from terzetto.console import connect
from terzetto.stores import open_store
from terzetto_protocol.events import DurableEvent, told_by
from terzetto_protocol.image import read_record
from terzetto_protocol.wire_asks import GetRun

from .consoles import until
from .lives import KILLED

CHILD = Path(__file__).with_name("console_child.py")
STEPS = 12
KILLS = (3, 8)
"""Steps after which the process dies."""
LIMIT = 60.0


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@asynccontextmanager
async def process(store, port):
    """The server, once it listens; killed when the block is left."""
    command = [sys.executable, str(CHILD), str(store), str(port), str(STEPS)]
    child = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        said = b""
        while b"ready" not in said:
            more = await child.stdout.receive_some()
            assert more, "the server did not start"
            said += more
        yield child
    finally:
        child.kill()
        with trio.CancelScope(shield=True), trio.move_on_after(10):
            await child.wait()
        if child.stdout is not None:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await child.stdout.aclose()


async def stored(store):
    """Every durable event of the run, as its log tells it."""
    async with open_store(f"sqlite:{store}", guest=True) as opened:
        return [event for body in await opened.records("r") for event in told_by("r", read_record(body))]


async def test_who_watches_goes_on_over_kills_with_nothing_missing_and_nothing_twice(tmp_path):
    store, port = tmp_path / "runs.db", free_port()
    told: list[object] = []
    finished, over = trio.Event(), trio.Event()
    steps = 0

    async def watch(console):
        nonlocal steps
        async with console.watch("r") as events:
            async for event in events:
                told.append(event)
                steps += isinstance(event, terzetto.NodeFinished)
        finished.set()

    async def walk(first, last):
        for number in range(first, last):
            (tmp_path / f"go-{number}").touch()
            await until(lambda: steps > number)  # noqa: B023 - it is waited for here

    with trio.fail_after(LIMIT):
        async with trio.open_nursery() as nursery:
            begin, codes = 0, []
            async with process(store, port) as child:
                console = await nursery.start(lives, f"ws://127.0.0.1:{port}/ws", over)
                nursery.start_soon(watch, console)
                await walk(begin, KILLS[0])
                child.send_signal(signal.SIGKILL)
                codes.append(await child.wait())
            for begin, end in zip(KILLS, [*KILLS[1:], None], strict=True):
                async with process(store, port) as child:
                    await walk(begin, STEPS if end is None else end)
                    if end is None:
                        await finished.wait()
                        shown = await console.ask(GetRun("r"))
                        over.set()
                    child.send_signal(signal.SIGKILL)
                    codes.append(await child.wait())

    events = [event for event in told if isinstance(event, terzetto.Event)]
    ids = [event.id for event in events]
    assert [KILLED] * 3 == codes
    assert ("SUCCEEDED", "") == (shown.run.status, shown.run.message)
    assert sorted(set(ids)) == ids
    assert await stored(store) == [event for event in events if isinstance(event, DurableEvent)]
    assert len(KILLS) < console.connections
    assert 1 == sum(isinstance(item, terzetto.Cursor) for item in told)


async def lives(url, over, *, task_status):
    """A client that is there until the end."""
    async with connect(url) as console:
        task_status.started(console)
        await over.wait()
