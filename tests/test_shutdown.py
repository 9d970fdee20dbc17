"""Leaving a runtime: in good order, at once, by signal, and with nothing left (SEMANTICS 9.6, law 3)."""

import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

import terzetto
from terzetto.stores import MemoryStore, open_store
from terzetto_protocol.errors import ActorStopped
from terzetto_protocol.events import Heartbeat
from terzetto_protocol.statuses import RunStatus

from .runtimes import Held, Say, Tally, alive, both, chain, counts, once, opened, parked, says, settled, told
from .stores import FaultyStore, trail

AWAITING, INTERRUPTED, QUEUED = RunStatus.AWAITING_INPUT, RunStatus.INTERRUPTED, RunStatus.QUEUED
SUCCEEDED = RunStatus.SUCCEEDED
CHILD = Path(__file__).with_name("shutdown_child.py")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def lasting(seconds: float, name: str = "lasting"):
    """A body that takes its time."""

    async def body(ctx):
        await trio.sleep(seconds)
        ctx.record(Say(name))

    body.__name__ = name
    return body


@both
async def test_running_work_reaches_its_commit(autojump_clock, dispatch):
    """9.6: Shutdown(deadline): let running work reach its commits until the deadline, then INTERRUPTED (resumable)."""
    store, graph = FaultyStore(), chain(lasting(4), says("after"))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    assert 4 == trio.current_time()
    assert ["visit lasting@1 SUCCEEDED -> RUNNING", "interrupt -> INTERRUPTED"] == (await trail(store, "r"))[2:]
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert ["lasting", "after"] == (await runtime.get("r").result()).state.trail
    assert 4 == trio.current_time()


@both
async def test_work_that_ends_is_not_interrupted(autojump_clock, dispatch):
    store, graph = MemoryStore(), chain(lasting(4))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    assert SUCCEEDED is (await store.run("r")).status


@both
async def test_what_is_left_at_the_deadline_is_cancelled(autojump_clock, dispatch):
    store, held = MemoryStore(), Held()
    graph = chain(says("before"), held)
    async with opened(store, graph, dispatch=dispatch, shutdown_deadline=3) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
    assert 3 == trio.current_time()
    assert ["cancelled"] == held.ends
    assert INTERRUPTED is (await store.run("r")).status


@both
async def test_a_once_body_reaches_its_commit(autojump_clock, dispatch):
    """7: a shutdown in time leaves no effect unknown."""
    store, graph = FaultyStore(), chain(once(lasting(4, "pay")), says("after"))
    async with opened(store, graph, dispatch=dispatch) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await settled()
    async with opened(store, graph, dispatch=dispatch) as runtime:
        assert ["pay", "after"] == (await runtime.get("r").result()).state.trail
        assert [] == await runtime.get("r").barriers()


@both
async def test_an_error_in_the_block_interrupts_at_once(autojump_clock, dispatch):
    """`open_runtime`: an error or a cancel that leaves the block interrupts at once, with the same promises."""
    store, graph = MemoryStore(), chain(lasting(4))
    with pytest.RaisesGroup(KeyError):
        async with opened(store, graph, dispatch=dispatch) as runtime:
            await runtime.submit(graph, Tally(), run_id="r")
            await settled()
            raise KeyError("mine")
    assert (0, INTERRUPTED) == (trio.current_time(), (await store.run("r")).status)
    with trio.move_on_after(1) as scope:
        async with terzetto.open_runtime(store, graphs=[graph], dispatch=dispatch):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert (1, INTERRUPTED) == (trio.current_time(), (await store.run("r")).status)


@both
async def test_keyboard_interrupt_in_a_node_leaves_the_runtime(autojump_clock, dispatch):
    """9.4: KeyboardInterrupt is re-raised and the run INTERRUPTED; so are the others."""
    store, held = MemoryStore(), Held()

    async def interrupt(ctx):
        await held.begun.wait()
        raise KeyboardInterrupt

    graph, other = chain(interrupt), chain(held, name="other")
    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        async with opened(store, graph, other, dispatch=dispatch) as runtime:
            await runtime.submit(other, Tally(), run_id="other")
            await runtime.submit(graph, Tally(), run_id="r")
            await trio.sleep_forever()
    assert [INTERRUPTED, INTERRUPTED] == [row.status for row in await store.runs()]
    assert ["cancelled"] == held.ends


async def test_parked_and_queued_runs_are_untouched(autojump_clock):
    """9.6: parked runs untouched; 2: a restart leaves AWAITING_INPUT untouched."""
    store, held = MemoryStore(), Held()
    graph, busy = chain("sign-off", says("done")), chain(held, name="busy")
    async with opened(store, graph, busy, pool_size=1, shutdown_deadline=0) as runtime:
        await parked(runtime, graph, "parked")
        await runtime.submit(busy, Tally())
        await runtime.submit(graph, Tally(), run_id="queued")
        await held.begun.wait()
        before = [await store.run("parked"), await store.run("queued")]
    assert before == [await store.run("parked"), await store.run("queued")]
    assert [AWAITING, QUEUED] == [row.status for row in before]


async def test_new_work_is_refused_meanwhile(autojump_clock):
    """9.6: refuse new work; whoever waits is answered when the streams and actors end."""
    store, held, heard = MemoryStore(), Held(), []
    graph = chain(held)

    async def later() -> None:
        await trio.sleep(1)
        with pytest.raises(ActorStopped):
            await runtime.submit(graph, Tally())
        heard.append("submit refused")

    async def wait() -> None:
        with pytest.raises(ActorStopped):
            await run.result()
        heard.append(("result", trio.current_time()))

    async def read() -> None:
        with pytest.raises(ActorStopped):
            await told(run)
        heard.append("stream ended")

    async with trio.open_nursery() as nursery:
        async with opened(store, graph, shutdown_deadline=5) as runtime:
            run = await runtime.submit(graph, Tally())
            for task in (later, wait, read):
                nursery.start_soon(task)
            await held.begun.wait()
            await settled()
    assert {"submit refused", "stream ended", ("result", 5)} == set(heard)


async def test_heartbeats_go_on_until_the_end(autojump_clock):
    store, held, seen = MemoryStore(), Held(), []
    graph, note = chain(held), seen.append

    async def read() -> None:
        with contextlib.suppress(ActorStopped):
            async with run.events(heartbeat=2) as events:
                async for event in events:
                    note(type(event))

    async with trio.open_nursery() as nursery:
        async with opened(store, graph, shutdown_deadline=5) as runtime:
            run = await runtime.submit(graph, Tally())
            nursery.start_soon(read)
            await held.begun.wait()
    assert 2 == seen.count(Heartbeat)


@pytest.mark.parametrize("after", range(12))
async def test_a_cancel_while_it_is_being_opened(autojump_clock, after):
    """Law 3, law 5: also when the caller is cancelled before the runtime is open."""
    graph = chain("ask")
    tasks = trio.lowlevel.current_statistics().tasks_living

    async def cancel() -> None:
        for _ in range(after):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                if after:
                    nursery.start_soon(cancel)
                else:
                    scope.cancel()
                async with terzetto.open_runtime(FaultyStore(), graphs=[graph]):
                    await trio.sleep_forever()
            assert scope.cancelled_caught
    assert (0, tasks) == (trio.current_time(), trio.lowlevel.current_statistics().tasks_living)


@both
async def test_nothing_is_left(autojump_clock, dispatch):
    """Law 3: after `open_runtime` exits there is no task, thread, process, descriptor or timer left."""
    tasks, threads = trio.lowlevel.current_statistics().tasks_living, threading.active_count()
    files, known = descriptors(), alive()
    held = Held()
    graph = chain(says("one"), held, name="held")
    asking = chain("ask", name="asking")
    for leave in (None, KeyError):
        with pytest.RaisesGroup(leave) if leave else contextlib.nullcontext():
            async with opened(FaultyStore(), graph, asking, dispatch=dispatch, shutdown_deadline=1) as runtime:
                for number in range(5):
                    await runtime.submit(graph, Tally(), run_id=f"r{number}")
                await parked(runtime, asking, "p")
                if leave:
                    raise leave
    await trio.lowlevel.checkpoint()
    assert tasks == trio.lowlevel.current_statistics().tasks_living
    assert threading.active_count() <= threads, "idle ones of an earlier test may have left meanwhile"
    assert files == descriptors()
    assert float("inf") == trio.lowlevel.current_statistics().seconds_to_next_deadline
    del runtime
    assert known == alive()


async def test_nothing_of_a_file_is_left(tmp_path):
    """Law 3, with a store that has a thread and a file."""
    tasks, threads = trio.lowlevel.current_statistics().tasks_living, threading.active_count()
    files = descriptors()
    graph = chain(says("one"), counts(), "sign-off")
    for _ in range(2):
        with trio.fail_after(20):
            async with terzetto.open_runtime(f"sqlite:{tmp_path / 'runs.db'}", graphs=[graph]) as runtime:
                run = await runtime.submit(graph, Tally(), run_id="r")
                await told(run, until=terzetto.BarrierOpened)
    await trio.lowlevel.checkpoint()
    assert tasks == trio.lowlevel.current_statistics().tasks_living
    assert threading.active_count() <= threads, "idle ones of an earlier test may have left meanwhile"
    assert files == descriptors()


# -- signals -------------------------------------------------------------------------------------------------


class Child:
    """A program in a process of its own."""

    def __init__(self, store: Path, *options: str) -> None:
        command = [sys.executable, str(CHILD), str(store), *options]
        self.store = store
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def heard(self, word: str) -> None:
        assert self.process.stdout is not None
        assert word == self.process.stdout.readline().strip()

    def ended(self) -> tuple[int, list[str]]:
        out, err = self.process.communicate(timeout=20)
        assert "" == err
        return self.process.returncode, out.split()

    def status(self) -> tuple[RunStatus, list[str]]:
        async def read() -> tuple[RunStatus, list[str]]:
            async with open_store(f"sqlite:{self.store}", guest=True) as store:
                row = await store.run("r")
                assert row is not None
                return row.status, await trail(store, "r")

        return trio.run(read)


@pytest.fixture
def child(tmp_path):
    children: list[Child] = []

    def start(*options: str) -> Child:
        children.append(Child(tmp_path / "runs.db", *options))
        return children[-1]

    yield start
    for each in children:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_in_good_order(child, sent):
    """9.6: SIGTERM does this: running work reaches its commit."""
    program = child()
    program.heard("begun")
    program.process.send_signal(sent)
    program.heard("leaving")
    assert (0, ["left"]) == program.ended()
    status, log = program.status()
    assert (INTERRUPTED, "visit slow@1 SUCCEEDED -> RUNNING") == (status, log[2])


def test_a_second_signal_leaves_at_once(child):
    """9.6: a second signal is at once, with the same durability."""
    program = child("stays")
    program.heard("begun")
    program.process.send_signal(signal.SIGTERM)
    program.heard("leaving")
    program.process.send_signal(signal.SIGTERM)
    assert (0, ["left"]) == program.ended()
    status, log = program.status()
    assert (INTERRUPTED, 3) == (status, len(log))
