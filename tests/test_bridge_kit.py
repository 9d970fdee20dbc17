"""The bridge kit, over the bridge in memory, and over bridges that break a promise each."""

from contextlib import suppress

import pytest
import trio

from terzetto import END_SENTINEL, HEARTBEAT_SENTINEL, TERMINAL_STATES, MemoryStreamBridge, StreamBridge, StreamStatus
from terzetto.testing import BRIDGE_LAWS, BridgeKit
from terzetto_protocol.errors import IllegalTransition, UnknownRun


@pytest.mark.parametrize("law", BRIDGE_LAWS, ids=BridgeKit.name)
async def test_law(autojump_clock, law):
    """SEMANTICS 8: a bridge keeps the whole contract."""
    await BridgeKit(MemoryStreamBridge).check(law)


class Borrowed(StreamBridge):
    """A bridge that does what another one does, and may do something of it worse."""

    def __init__(self) -> None:
        self.inner = MemoryStreamBridge()

    async def publish(self, run_id, event, data):
        return await self.inner.publish(run_id, event, data)

    async def publish_end(self, run_id):
        return await self.publish_terminal(run_id, StreamStatus.ENDED)

    async def publish_terminal(self, run_id, kind, data=None):
        return await self.inner.publish_terminal(run_id, kind, data)

    def subscribe(self, run_id, *, last_event_id=None, heartbeat_interval=15.0):
        return self.inner.subscribe(run_id, last_event_id=last_event_id, heartbeat_interval=heartbeat_interval)

    async def cleanup(self, run_id, *, delay=0):
        await self.inner.cleanup(run_id, delay=delay)

    async def close(self):
        await self.inner.close()


class Silent(Borrowed):
    """Says nothing about cursors."""

    async def subscribe(self, *words, **options):
        async for item in self.inner.subscribe(*words, **options):
            if item.event != "__resume__":
                yield item


class Jumping(Borrowed):
    """Does not say what is missing."""

    async def subscribe(self, *words, **options):
        async for item in self.inner.subscribe(*words, **options):
            if item.event != "__gap__":
                yield item


class Talking(Borrowed):
    """Says the end twice."""

    async def subscribe(self, *words, **options):
        async for item in self.inner.subscribe(*words, **options):
            yield item
            if item.event in {"end", "cancel", "error"}:
                yield END_SENTINEL


class Forgiving(Borrowed):
    """Takes what comes after the end."""

    async def publish(self, *words):
        with suppress(IllegalTransition):
            return await super().publish(*words)


class Lenient(Borrowed):
    """Lets anything end a stream."""

    async def publish_terminal(self, run_id, kind, data=None):
        return await super().publish_terminal(run_id, kind if kind in TERMINAL_STATES else StreamStatus.ENDED, data)


class Cancelling(Borrowed):
    """Takes its own end for that of its runs."""

    async def close(self):
        for run_id in list(self.inner._kept):
            await self.inner.cancel(run_id)
        await super().close()


class Inventing(Borrowed):
    """Makes a stream for whoever looks for one."""

    async def subscribe(self, run_id, **options):
        with suppress(IllegalTransition):
            await self.inner.publish(run_id, "made", None)
        async for item in self.inner.subscribe(run_id, **options):
            yield item


class Deaf(Borrowed):
    """Does not hear that a cleanup was called off."""

    async def cleanup(self, run_id, *, delay=0):
        with trio.CancelScope(shield=True):
            await super().cleanup(run_id, delay=delay)


class Restless(Borrowed):
    """Its heart beats as fast as it can."""

    def subscribe(self, run_id, *, last_event_id=None, heartbeat_interval=15.0):
        async def items():
            async for item in self.inner.subscribe(run_id, last_event_id=last_event_id):
                yield item
                if item.event != "__resume__":
                    yield HEARTBEAT_SENTINEL

        return items()


BROKEN = [
    (Silent, "the_first_item_says_how_the_cursor_was_resolved"),
    (Jumping, "a_reader_who_does_not_read_delays_nobody"),
    (Talking, "there_is_one_end_and_it_is_the_first"),
    (Forgiving, "nothing_comes_after_the_end"),
    (Lenient, "only_an_end_ends_a_stream"),
    (Cancelling, "closing_is_no_end_of_a_run"),
    (Inventing, "looking_for_an_unknown_run_makes_nothing"),
    (Deaf, "a_cleanup_can_be_called_off"),
    (Restless, "heartbeats_come_only_in_silence"),
]


@pytest.mark.parametrize("law", BRIDGE_LAWS, ids=BridgeKit.name)
async def test_a_bridge_that_only_hands_on_keeps_the_laws(autojump_clock, law):
    await BridgeKit(Borrowed).check(law)


@pytest.mark.parametrize("bridge, name", BROKEN)
async def test_a_broken_bridge_is_caught(autojump_clock, bridge, name):
    (law,) = [each for each in BRIDGE_LAWS if BridgeKit.name(each) == name]
    with pytest.raises((AssertionError, trio.TooSlowError, UnknownRun)):
        await BridgeKit(bridge).check(law)
