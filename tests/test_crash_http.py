"""A server that is killed while it is read, and what its clients are told by the next one (SEMANTICS 8)."""

import os
import signal
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE

import trio

from .http_client import Served

CHILD = Path(__file__).with_name("http_child.py")
RUNS = "/v1/graphs/talk/executions"
CHUNKS = ("TextChunk", "NodeStarted")


@asynccontextmanager
async def living(store, port=0):
    """A process with a server."""
    command = [sys.executable, str(CHILD), str(store), str(port)]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(partial(trio.run_process, command, stdout=PIPE, check=False))
        url = b""
        while not url.endswith(b"\n"):
            url += await process.stdout.receive_some()
        yield Served(None, urls=[url.decode().strip()]), process  # type: ignore[arg-type]  # its runtime is elsewhere
        await process.wait()
        await process.stdout.aclose()


async def test_a_client_goes_on_after_a_kill(tmp_path: Path) -> None:
    """D4: the same id means the same bytes. 8.1, 8.2: no durable event twice, and none left out; D5: what was
    acknowledged holds."""
    store = tmp_path / "runs.db"
    with trio.fail_after(60):
        async with living(store) as (served, process):
            begun = await served.post("/v1/graphs/talk/execute/1", {"state": {}, "run_id": "r-1"})
            assert (201, True) == (begun.status, begun.json["durable"])
            before = await served.events(f"{RUNS}/r-1/events", until="BarrierOpened")
            os.kill(process.pid, signal.SIGKILL)
        async with living(store, served.port) as (served, process):
            again = await served.post("/v1/graphs/talk/execute/1", {"state": {}, "run_id": "r-1"})
            shown = await served.get(f"{RUNS}/r-1")
            async with await served.connect() as client:
                await client.send("GET", f"{RUNS}/r-1/events", last_event_id=before[-1].id)
                assert 200 == (await client.begin()).status
                decided = await served.post(f"{RUNS}/r-1/decide", {"decision": {"type": "approve"}})
                after = [item async for item in client.items()]
            os.kill(process.pid, signal.SIGKILL)
        async with living(store) as (served, process):
            whole = await served.events(f"{RUNS}/r-1/events")
            os.kill(process.pid, signal.SIGTERM)
        assert 0 == process.returncode

    assert (200, True) == (again.status, again.json["reused"])
    assert "AWAITING_INPUT" == shown.json["status"]
    assert (200, True) == (decided.status, decided.json["durable"])
    assert "RunEnded" == after[-1].event
    durable = [item for item in (*before[1:], *after[1:]) if item.event not in CHUNKS]
    assert durable == whole[1:]
    numbers = [int(item.id) for item in (*before, *after) if item.id]
    assert sorted(set(numbers)) == numbers
