"""Runtimes on a Postgres server: it dies, they die, and what they carry goes on (SEMANTICS 3, 11)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import trio

import terzetto
from terzetto.stores import open_store
from terzetto_protocol.decisions import Approve
from terzetto_protocol.statuses import RunStatus

from .postgres_child import walk
from .postgres_servers import server
from .runtimes import Held, Tally, chain, opened, says, told
from .sqlite_stores import in_time
from .stores import records

CHILD = str(Path(__file__).with_name("postgres_child.py"))
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def holding(url: str) -> "subprocess.Popen[bytes]":
    """A process with a runtime on this store, which soon holds in a run."""
    return subprocess.Popen([sys.executable, CHILD, url], stdout=subprocess.PIPE, env=ENV)


@in_time
async def test_a_server_that_is_killed_under_a_run() -> None:
    """Issue 6: the run waits for the server, ends right, and nothing of it happens twice."""
    bodies: list[str] = []

    async def late(ctx) -> None:
        bodies.append("late")

    held = Held()
    graph = chain(says("one"), held, says("two"), late)
    with server() as own:
        async with opened(open_store(own.url()), graph) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            await held.begun.wait()
            own.stop()
            held.go.set()
            await trio.sleep(0.3)
            assert bodies == [], "nothing goes on before what it builds on is stored"
            await trio.to_thread.run_sync(own.start)
            assert ["one", "held", "two"] == (await run.result()).state.trail
            stored = await records(runtime.store, "r")
            assert [*range(1, len(stored) + 1)] == [record.seq for record in stored]
        assert (["late"], ["finished"]) == (bodies, held.ends)


@in_time
async def test_an_owner_that_is_killed(postgres) -> None:
    """Issue 6: what it carried goes on elsewhere when its lease is over, and what it had finished is not done again."""
    url = postgres.url(lease=1)
    with holding(url) as child:
        try:
            assert await trio.to_thread.run_sync(child.stdout.readline) == b"holds\n"
            graph = walk(hold=False)
            async with terzetto.open_runtime(url, graphs=[graph]) as runtime:
                await trio.sleep(1.5)
                assert (await runtime.row("r")).status is RunStatus.RUNNING
                assert (await runtime.row("r")).epoch == 1, "it is carried where it was"
                child.send_signal(signal.SIGKILL)
                assert ["out", "back"] == (await runtime.get("r").result()).state.steps
                assert (await runtime.row("r")).epoch == 2
        finally:
            child.kill()


@in_time
async def test_a_frozen_owner_is_fenced(postgres) -> None:
    """SEMANTICS 3, D8: one that wakes up late writes nothing, and ends with what the other has made of its run."""
    url = postgres.url(lease=1)
    with holding(url) as child:
        try:
            assert await trio.to_thread.run_sync(child.stdout.readline) == b"holds\n"
            child.send_signal(signal.SIGSTOP)
            graph = walk(hold=False)
            async with terzetto.open_runtime(url, graphs=[graph]) as runtime:
                assert ["out", "back"] == (await runtime.get("r").result()).state.steps
                child.send_signal(signal.SIGCONT)
                assert await trio.to_thread.run_sync(child.wait) == 0, "its run has ended, for it too"
                assert (await runtime.row("r")).epoch == 2
        finally:
            child.kill()


@in_time
async def test_a_decision_goes_to_whoever_carries_the_run(postgres) -> None:
    """SEMANTICS 11.3: through the store, which tells the other of it."""
    url, graph = postgres.url(), chain(says("one"), "gate", says("two"))
    async with opened(open_store(url), graph) as mine, opened(open_store(url), graph) as other:
        run = await mine.submit(graph, Tally(), run_id="r")
        await told(run, until=terzetto.BarrierOpened)
        receipt = await other.decide("r", "gate", Approve())
        assert ("r", True) == (receipt.run_id, receipt.durable)
        assert ["one", "two"] == (await other.get("r").result()).state.trail
        assert (await mine.row("r")).status is RunStatus.SUCCEEDED


@in_time
async def test_a_thread_of_two_owners(postgres) -> None:
    """SEMANTICS 11.3: threads keep their promises across all of them."""
    url, graph = postgres.url(lease=1), chain(says("one"))
    async with opened(open_store(url), graph) as mine, opened(open_store(url), graph) as other:
        async with trio.open_nursery() as nursery:

            async def speak(runtime, run_id: str) -> None:
                run = await runtime.submit(graph, Tally(), run_id=run_id, thread="t", busy="enqueue")
                assert (await run.result()).status is RunStatus.SUCCEEDED

            for number, runtime in enumerate((mine, other, mine, other)):
                nursery.start_soon(speak, runtime, f"run-{number}")
        async with trio.open_nursery() as nursery:

            async def goes_on(runtime, run_id: str) -> None:
                run = await runtime.submit(graph, run_id=run_id, thread="t", busy="enqueue")
                assert (await run.result()).status is RunStatus.SUCCEEDED

            for number, runtime in enumerate((mine, other, mine, other)):
                nursery.start_soon(goes_on, runtime, f"more-{number}")
        assert (await mine.thread("t").state()).trail == ["one"] * 5
