"""Events over HTTP: whole, in order, with their ids, and after a cut from where the reader was (SEMANTICS 8)."""

import pytest
import trio

from terzetto.http import HttpLimits

from .http_client import serving
from .runtimes import Say, chain, says

GRAPH = "/v1/graphs/chain"
EXECUTE = f"{GRAPH}/execute/1"
RUN = f"{GRAPH}/executions/r-1"
EVENTS = f"{RUN}/events"


def talking(gate, chunks=3):
    """A graph whose second node tells the rest when the gate is open."""

    async def talk(ctx):
        for number in range(chunks):
            ctx.emit_text(f"before {number}")
        await gate.wait()
        for number in range(chunks):
            ctx.emit_text(f"after {number}")
        ctx.record(Say("talked"))

    return chain(says("a"), talk)


def numbers(items):
    return [int(item.id) for item in items if item.id]


async def test_a_reader_that_comes_again_is_told_each_event_once():
    """8.1, 8.2: no duplicate and no gap, wherever it was cut."""
    gate = trio.Event()
    async with serving(talking(gate)) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        async with await served.connect() as client:
            await client.send("GET", EVENTS)
            answer = await client.begin()
            before = []
            async for item in client.items():
                before.append(item)
                if item.data.get("text") == "before 2":
                    break
        gate.set()
        after = await served.events(EVENTS, last_event_id=before[-1].id)
        whole = await served.events(EVENTS)

    assert ("text/event-stream", "no-store") == (
        answer.headers["content-type"].split(";")[0],
        answer.headers["cache-control"],
    )
    assert ("fresh", "resumed") == (before[0].data["how"], after[0].data["how"])
    assert numbers(whole) == numbers(before) + numbers(after)
    assert sorted(set(numbers(whole))) == numbers(whole)
    assert [*before[1:], *after[1:]] == whole[1:]
    assert "RunEnded" == whole[-1].event
    assert all(int(item.id) == item.data["id"] and item.event == item.data["type"] for item in whole if item.id)


async def test_any_cut_is_resumed():
    async with serving(talking(opened())) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        whole = await served.events(EVENTS)
        for number, item in enumerate(whole[1:-1], 2):
            rest = await served.events(EVENTS, last_event_id=item.id)
            assert whole[number:] == rest[1:], item


def opened():
    gate = trio.Event()
    gate.set()
    return gate


async def test_after_the_last_event_there_is_nothing_to_come_again_for():
    """An EventSource comes again until it is answered by 204."""
    async with serving(chain(says("a"))) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        whole = await served.events(EVENTS)
        done = await served.get(EVENTS, last_event_id=whole[-1].id)

    assert (204, b"") == (done.status, done.body)


@pytest.mark.parametrize("cursor, how", [("x", "invalid"), ("-1", "invalid"), ("99", "unknown"), ("", "fresh")])
async def test_a_cursor_that_means_nothing_is_said_to(cursor, how):
    async with serving(chain(says("a"))) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        whole = await served.events(EVENTS, last_event_id=cursor)

    assert (how, "RunEnded") == (whole[0].data["how"], whole[-1].event)


async def test_silence_has_comments_that_move_no_cursor():
    gate = trio.Event()
    async with serving(talking(gate), limits=HttpLimits(heartbeat=0.02)) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        async with await served.connect() as client:
            await client.send("GET", EVENTS)
            await client.begin()
            heard = [item async for item in client.items() if opens_when_silent(item, gate)]

    assert ["heartbeat"] == [item.comment for item in heard][:1]
    assert not any(item.id for item in heard)


def opens_when_silent(item, gate):
    if item.comment:
        gate.set()
    return bool(item.comment)


async def test_a_slow_reader_is_told_of_its_gap_and_delays_nobody():
    """8.1, 8.2: the run ends while the reader reads nothing; what it missed is counted."""
    begin, text = trio.Event(), "x" * 20_000

    async def floods(ctx):
        await begin.wait()
        for _ in range(60):
            for _ in range(20):
                ctx.emit_text(text)
            await trio.lowlevel.checkpoint()

    async with serving(chain(floods)) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        async with await served.connect(buffer=4096) as client:
            await client.send("GET", EVENTS)
            await client.begin()
            begin.set()
            await served.runtime.get("r-1").result()
            heard = [item async for item in client.items()]

    gaps = sum(item.data["missed"] for item in heard if item.event == "Gap")
    told = sum(item.event == "TextChunk" for item in heard)
    assert 0 < gaps
    assert 1200 == gaps + told
    assert "RunEnded" == heard[-1].event
    assert sorted(set(numbers(heard))) == numbers(heard)


def flooding(begin, flooded):
    """A graph that tells more than all buffers hold together, and then waits."""

    async def floods(ctx):
        await begin.wait()
        for _ in range(300):
            ctx.emit_text("x" * 100_000)
            await trio.lowlevel.checkpoint()
        flooded.set()
        await trio.sleep_forever()

    return chain(floods)


async def test_a_reader_who_takes_nothing_is_closed():
    begin, flooded = trio.Event(), trio.Event()
    async with serving(flooding(begin, flooded), limits=HttpLimits(slow=0.2)) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        async with await served.connect(buffer=4096) as client:
            await client.send("GET", EVENTS)
            await client.begin()
            assert 1 == served.runtime.hub.readers("r-1")
            begin.set()
            await flooded.wait()
            while served.runtime.hub.readers("r-1"):  # noqa: ASYNC110 - it goes in its own time
                await trio.sleep(0.01)
            assert "RUNNING" == (await served.get(RUN)).json["status"], "the run goes on, and so does the server"
        await served.post(f"{RUN}/stop")


async def test_a_reader_who_leaves_is_let_go():
    gate = trio.Event()
    async with serving(talking(gate)) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        await served.events(EVENTS, until="TextChunk")
        while served.runtime.hub.readers("r-1"):  # noqa: ASYNC110 - it goes in its own time
            await trio.sleep(0.01)
        gate.set()


async def test_leaving_the_server_is_not_put_off_by_readers():
    """9.6: neither who waits nor who takes nothing keeps it; the run is not touched."""
    begin, flooded = trio.Event(), trio.Event()
    async with serving(flooding(begin, flooded)) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        async with await served.connect(buffer=4096) as stuck, await served.connect() as idle:
            await stuck.send("GET", EVENTS)
            await stuck.begin()
            begin.set()
            await flooded.wait()
            with trio.fail_after(2):
                served.scope.cancel()
                await served.left.wait()
            assert b"" == await idle.stream.receive_some()
            assert "RUNNING" == await served.runtime.get("r-1").status()
            await served.runtime.cancel("r-1")


async def test_a_run_that_is_deleted_ends_its_streams():
    async with serving(chain(says("a"), "b")) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        async with await served.connect() as client:
            await client.send("GET", EVENTS)
            await client.begin()
            async for item in client.items():
                if item.event == "BarrierOpened":
                    await served.runtime.cancel("r-1")
                if item.event == "RunEnded":
                    break
        await served.runtime.delete("r-1")
        assert 404 == (await served.get(EVENTS)).status


async def test_a_head_says_what_it_would_be_and_ends():
    async with serving(chain(says("a"), "b")) as served:
        await served.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        answer = await served.ask("HEAD", EVENTS)

    assert (200, b"") == (answer.status, answer.body)
    assert answer.headers["content-type"].startswith("text/event-stream")
