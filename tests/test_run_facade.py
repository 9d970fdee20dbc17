"""`terzetto._run_facade`, `runtime.runs`: the names that users of other systems know."""

import pytest
import trio

import terzetto
from terzetto import BridgeReader, Run, resume_of
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import InvalidRequest, Refused, UnknownRun
from terzetto_protocol.limits import FINISHED_GRACE, RECONNECT_GRACE

from .runtimes import (
    AWAITING,
    CANCELLED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    Held,
    Say,
    Tally,
    chain,
    opened,
    parked,
    says,
    settled,
    told,
)


async def breaks(ctx):
    raise RuntimeError("broken")


async def read(reader):
    return [item async for item in reader]


async def test_create_in_the_background_and_join_later(autojump_clock):
    held = Held()
    graph = chain(says("a"), held)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.runs.create_background(graph, Tally(), run_id="r", metadata={"who": "ann"})
        assert isinstance(run, Run)
        await held.begun.wait()
        assert RUNNING is (await runtime.runs.get("r")).status
        held.go.set()
        result = await runtime.runs.join_wait("r")
        assert (SUCCEEDED, ["a", "held"]) == (result.status, result.state.trail)
        items = await read(runtime.runs.join_stream("r"))
        assert "end" == items[-1].event
        rest = await read(runtime.runs.join_stream("r", last_event_id=items[2].id))
        assert ("resumed", items[3:]) == (resume_of(rest[0]).status, rest[1:])


async def test_create_and_stream(autojump_clock):
    """8.2: from its beginning, with the cursor first."""
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        run, events = await runtime.runs.create_and_stream(graph, Tally(), run_id="r", heartbeat_interval=1.0)
        assert isinstance(events, BridgeReader)
        items = await read(events)
        assert [str(event.id) for event in await told(run)] == [item.id for item in items[1:]]


@pytest.mark.parametrize("body, status", [(says("a"), SUCCEEDED), (breaks, FAILED)])
async def test_create_and_wait_never_raises_for_an_outcome(autojump_clock, body, status):
    """9.3: a run's end is a result."""
    graph = chain(body)
    async with opened(MemoryStore(), graph) as runtime:
        assert status is (await runtime.runs.create_and_wait(graph, Tally(), run_id="r")).status
        again = await runtime.runs.create_and_wait(graph, Tally(), run_id="r")
        assert (status, 1) == (again.status, len(await runtime.runs.list()))


async def test_a_run_on_a_thread_needs_no_state(autojump_clock):
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        await runtime.runs.create_and_wait(graph, Tally(), thread="t")
        result = await runtime.runs.create_and_wait(graph, thread="t", record=[Say("more")])
        assert ["a", "more", "a"] == result.state.trail
        _, events = await runtime.runs.create_and_stream(graph, thread="t")
        await read(events)
        await (await runtime.runs.create_background(graph, thread="t")).result()
        assert 4 == len(await runtime.runs.list(thread="t"))


@pytest.mark.parametrize("on_disconnect, status", [("continue", RUNNING), ("cancel", CANCELLED)])
async def test_who_waits_may_take_the_run_along(autojump_clock, on_disconnect, status):
    """8.4: `on_disconnect`: continue (default) or cancel, after a grace."""
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        with trio.move_on_after(1):
            await runtime.runs.create_and_wait(graph, Tally(), run_id="r", on_disconnect=on_disconnect)
        await trio.sleep(RECONNECT_GRACE + 1)
        assert status is (await runtime.runs.get("r")).status
        with trio.move_on_after(1):
            await runtime.runs.join_wait("r", on_disconnect=on_disconnect)
        held.go.set()


async def test_who_never_reads_may_take_it_along_too(autojump_clock):
    """8.4: a stream that nobody ever began to read."""
    graph = chain(Held())
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        _, events = await runtime.runs.create_and_stream(graph, Tally(), run_id="r", on_disconnect="cancel", grace=3)
        assert CANCELLED is (await runtime.runs.join_wait("r")).status
        assert 3 == trio.current_time()
        events.close()
        for call in (runtime.runs.create_and_stream, runtime.runs.create_and_wait):
            with pytest.raises(InvalidRequest):
                await call(graph, Tally(), on_disconnect="explode")
        with pytest.raises(InvalidRequest):
            await runtime.runs.join_wait("r", on_disconnect="explode")
        assert 1 == len(await runtime.runs.list())


async def test_a_reader_who_comes_in_time_keeps_it(autojump_clock):
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        _, events = await runtime.runs.create_and_stream(graph, Tally(), run_id="r", on_disconnect="cancel", grace=3)
        await anext(events)
        await trio.sleep(10)
        held.go.set()
        assert SUCCEEDED is (await runtime.runs.join_wait("r")).status
        events.close()


async def test_nobody_is_found_where_nobody_is(autojump_clock):
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        for call in (
            runtime.runs.get("nobody"),
            runtime.runs.join_wait("nobody"),
            runtime.runs.delete("nobody"),
            anext(runtime.runs.join_stream("nobody")),
        ):
            with pytest.raises(UnknownRun):
                await call
        assert "unknown" == (await runtime.runs.cancel("nobody")).outcome


async def test_lists_are_filtered_by_whatever_a_run_says_of_itself(autojump_clock):
    """12: `limit=0` means none, `None` means all."""
    one, two = chain(says("a")), chain(breaks, name="two")
    async with opened(MemoryStore(), one, two) as runtime:
        for number in range(6):
            graph = (one, two)[number % 2]
            await runtime.runs.create_and_wait(
                graph, Tally(), run_id=f"r{number}", metadata={"n": number // 2, "x": True}
            )

        async def listed(**options):
            rows = await runtime.runs.list(**options)
            if not {"graph", "metadata"} & set(options):
                assert rows == await runtime.runs(**options)
            return [row.run_id for row in rows]

        assert ["r5", "r4", "r3", "r2", "r1", "r0"] == await listed()
        assert ["r4", "r2", "r0"] == await listed(graph="chain")
        assert ["r4", "r2"] == await listed(graph="chain", limit=2)
        assert ["r2"] == await listed(graph="chain", limit=1, before="r3")
        assert ["r3", "r2"] == await listed(metadata={"n": 1})
        assert ["r3"] == await listed(metadata={"n": 1, "x": True}, statuses=[FAILED])
        assert [] == await listed(metadata={"n": True})
        assert [] == await listed(metadata={"other": 1})
        assert [] == await listed(graph="nobody", limit=None)
        assert [] == await listed(limit=0)
        assert [] == await listed(graph="chain", limit=0)
        assert ["r5", "r3", "r1"] == await listed(statuses=[FAILED], limit=None)
        with pytest.raises(UnknownRun):
            await listed(before="nobody", graph="chain")


async def test_a_filter_looks_at_every_page(autojump_clock, monkeypatch):
    monkeypatch.setattr("terzetto._run_facade._PAGE", 2)
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph) as runtime:
        for number in range(7):
            await runtime.runs.create_and_wait(graph, Tally(), run_id=f"r{number}", metadata={"odd": number % 2})
        assert ["r5", "r3", "r1"] == [row.run_id for row in await runtime.runs.list(metadata={"odd": 1}, limit=None)]
        assert ["r6", "r4"] == [row.run_id for row in await runtime.runs.list(metadata={"odd": 0}, limit=2)]


async def test_only_what_has_ended_and_nobody_needs_is_deleted(autojump_clock):
    """10.4: the count is exact; refused while a fork needs it, and nothing changed then."""
    held = Held()
    graph = chain(says("a"), "ask", held)
    async with opened(MemoryStore(), graph) as runtime:
        run = await parked(runtime, graph, "r")
        with pytest.raises(Refused, match="AWAITING_INPUT"):
            await runtime.runs.delete("r")
        await run.decide("ask", terzetto.Approve())
        await held.begun.wait()
        fork = await run.fork(at=3, new_id="fork")
        await runtime.runs.cancel("r", "enough")
        assert CANCELLED is (await runtime.runs.join_wait("r")).status
        with pytest.raises(Refused, match="run 'fork' went on from it"):
            await runtime.runs.delete("r")
        await fork.cancel()
        assert AWAITING is not (await fork.status())
        commits = len(await run.history(limit=None))
        assert commits == await runtime.runs.delete("r")
        assert ["fork"] == [row.run_id for row in await runtime.runs.list()]


async def test_what_is_not_to_be_kept_is_waited_for_and_then_gone(autojump_clock):
    """`on_completion`: the result is there, the run soon is not."""
    graph = chain(says("a"))
    async with opened(MemoryStore(), graph, limit=100) as runtime:
        result = await runtime.runs.create_and_wait(graph, Tally(), run_id="r", on_completion="delete")
        assert ["a"] == result.state.trail
        _, events = await runtime.runs.create_and_stream(graph, Tally(), run_id="s", on_completion="delete")
        assert "end" == (await read(events))[-1].event
        await settled()
        await trio.sleep(3 * FINISHED_GRACE)
        assert [] == await runtime.runs.list()
