"""`terzetto._bridge_sink`, `open_runtime(stream_bridge=)`: a bridge of the user's own hears what runs tell (8.8)."""

import pytest
import trio

import terzetto
from terzetto import MemoryStreamBridge, RuntimeStreamBridge, StreamBridge, resume_of
from terzetto.stores import MemoryStore
from terzetto_protocol.bridged import data_of, name_of
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.events import BarrierOpened, RunEnded, RunPaused
from terzetto_protocol.limits import EVENT_WINDOW, SINK_DEADLINE, SINK_GRACE

from .runtimes import Held, Tally, both, chain, function, opened, parked, says, settled, stores, told


class Own(StreamBridge):
    """A bridge that notes what it is told, and may be slow or fail."""

    def __init__(self, *, delay=0.0, failures=(), broken=False) -> None:
        self.calls, self.delay, self.failures, self.broken = [], delay, list(failures), broken

    async def note(self, *call):
        await trio.sleep(self.delay)
        if self.broken or (self.failures and self.failures.pop(0)):
            raise OSError("the broker is gone")
        self.calls.append(call)
        return str(len(self.calls))

    async def publish(self, run_id, event, data):
        return await self.note(run_id, event, data)

    async def publish_end(self, run_id):
        raise AssertionError("runs end as what they are")

    async def publish_terminal(self, run_id, kind, data=None):
        return await self.note(run_id, kind, data)

    async def mark_awaiting_input(self, run_id):
        await self.note(run_id, "awaiting", None)

    async def start(self):
        raise AssertionError("who opened it starts it")

    async def close(self):
        raise AssertionError("who opened it closes it")

    def subscribe(self, run_id, **options):
        raise AssertionError("nobody reads it here")

    async def cleanup(self, run_id, *, delay=0):
        raise AssertionError("nobody cleans it here")


def sinks(runtime):
    (found,) = runtime.statistics().sinks
    return found.name, found.dropped, found.failed, found.error


@both
@stores
async def test_everything_that_runs_tell_is_published(autojump_clock, dispatch, store):
    """8.8: in order, and the end as what it is; what waits for people is marked."""
    own = Own()
    graph = chain(says("a"), "ask", says("b"))
    async with opened(store(), graph, dispatch=dispatch, stream_bridge=own) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await told(run, until=BarrierOpened)
        await run.decide("ask", terzetto.Approve())
        events = await told(run)
        await settled()
        assert ("BridgeSink", 0, 0, "") == sinks(runtime)
    marked = [call for call in own.calls if call[1] == "awaiting"]
    assert [("r", "awaiting", None)] == marked
    assert "BarrierOpened" == own.calls[own.calls.index(marked[0]) - 1][1]
    published = [call for call in own.calls if call not in marked]
    names = [*map(name_of, events[:-1]), terzetto.StreamStatus.ENDED]
    assert [("r", name, data_of(event)) for name, event in zip(names, events, strict=True)] == published


async def test_a_run_that_is_paused_is_not_dead(autojump_clock):
    """8.6, 8.8: it waits for whoever resumes it."""
    own, held = Own(), Held()
    graph = chain(says("a"), held, says("b"))
    async with opened(MemoryStore(), graph, stream_bridge=own) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        await run.pause()
        held.go.set()
        await told(run, until=RunPaused)
        await settled()
        assert ["RunPaused", "awaiting"] == [event for _, event, _ in own.calls][-2:]


async def test_readers_of_the_own_bridge_see_what_readers_of_the_runtime_see(autojump_clock):
    """8.2, 8.8: the same names and data under ids of its own."""
    graph = chain(says("a"))
    async with MemoryStreamBridge() as own, opened(MemoryStore(), graph, stream_bridge=own) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        await settled()
        ours, theirs = [
            [(item.event, item.data) async for item in bridge.subscribe("r") if resume_of(item) is None]
            for bridge in (RuntimeStreamBridge(runtime), own)
        ]
    assert ours == theirs
    assert "end" == ours[-1][0]


async def test_a_run_does_not_wait_for_a_bridge_that_hangs(autojump_clock):
    """8.8, 8.1: a call has five seconds; what leaves the window meanwhile is counted, and the end comes."""
    own = Own(delay=1e9)

    async def floods(ctx):
        for number in range(2 * EVENT_WINDOW):
            ctx.emit_text(str(number))

    graph = chain(function(floods))
    async with opened(MemoryStore(), graph, stream_bridge=own, limit=1e6) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert terzetto.RunStatus.SUCCEEDED is (await run.result()).status
        assert 0 == trio.current_time()
        await trio.sleep(SINK_DEADLINE * 1000)
        name, dropped, failed, error = sinks(runtime)
        assert ("BridgeSink", "it took longer than 5 s") == (name, error)
        assert 2 * EVENT_WINDOW + 5 == dropped + failed
    assert [] == own.calls


async def test_a_runtime_is_left_though_its_bridge_hangs(autojump_clock):
    """8.8: it has `SINK_GRACE` to hear the rest."""
    own, graph = Own(delay=1e9), chain(says("a"))
    async with opened(MemoryStore(), graph, stream_bridge=own) as runtime:
        await (await runtime.submit(graph, Tally(), run_id="r")).result()
    assert SINK_GRACE == trio.current_time()


async def test_a_bridge_that_fails_is_counted_and_tried_again_for_the_end(autojump_clock):
    """8.8: what it does not take is gone, but for the end, which may come twice."""
    own, graph = Own(failures=[0, 1, 0, 0, 1, 1, 0]), chain(says("a"))
    async with opened(MemoryStore(), graph, stream_bridge=own) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        await settled()
        await trio.sleep(1)
        assert ("BridgeSink", 0, 1, "OSError: the broker is gone") == sinks(runtime)
    assert ["RunQueued", "NodeStarted", "NodeFinished", "ENDED"] == [event for _, event, _ in own.calls]


async def test_a_bridge_that_is_gone_harms_nobody(autojump_clock):
    own, graph = Own(broken=True), chain(says("a"))
    heard = []

    class Ear:
        async def emit(self, event, /):
            heard.append(type(event))

    async with opened(MemoryStore(), graph, stream_bridge=own, sinks=[Ear()]) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        assert terzetto.RunStatus.SUCCEEDED is (await run.result()).status
        await settled()
    assert RunEnded is heard[-1]
    assert [] == own.calls


async def test_sinks_that_cannot_be_made_are_not_the_bridges_fault(autojump_clock):
    own, graph = Own(), chain(says("a"))

    def broken(run_id):
        raise RuntimeError("no sinks today")

    async with opened(MemoryStore(), graph, stream_bridge=own, sinks=broken) as runtime:
        await (await runtime.submit(graph, Tally(), run_id="r")).result()
        await settled()
    assert terzetto.StreamStatus.ENDED is own.calls[-1][1]


async def test_a_run_that_goes_on_elsewhere_goes_on_there(autojump_clock):
    """8.8: recovered runs too, from where they go on."""
    store, graph, own, next_own = MemoryStore(), chain(says("a"), "ask", says("b")), Own(), Own()
    async with opened(store, graph, stream_bridge=own) as runtime:
        await parked(runtime, graph, "r")
        await settled()
    async with opened(store, graph, stream_bridge=next_own) as runtime:
        await runtime.get("r").decide("ask", terzetto.Approve())
        await runtime.get("r").result()
        await settled()
        events = await told(runtime.get("r"))
    durable = [name_of(event) for event in events if event.durable][:-1]
    published = [name for _, name, _ in own.calls + next_own.calls if name not in {"awaiting", "NodeStarted"}]
    assert [*durable, terzetto.StreamStatus.ENDED] == published


async def test_what_is_no_bridge_is_refused():
    for wrong in (object(), MemoryStreamBridge, "memory:"):
        with pytest.raises(InvalidRequest, match="stream_bridge"):
            async with terzetto.open_runtime("memory:", graphs=[], stream_bridge=wrong):
                raise AssertionError("it was taken")


async def test_a_runtime_without_one_pays_nothing(autojump_clock):
    held = Held()
    graph = chain(held)
    async with opened(MemoryStore(), graph) as runtime:
        await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        assert () == runtime.statistics().sinks
        held.go.set()
