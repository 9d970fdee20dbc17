"""The console beside bare trio-websocket: asking, watching, the memory of clients, and coming back."""

from functools import cache, partial
from math import ceil

import trio

from . import _consoles as console
from ._clients import BARE, CONSOLE
from ._contest import Bar, Contest, Limit, Opponent
from ._process import say
from ._setting import Setting
from ._sizes import Sizes
from .limits import _sockets as limits

_MILLISECONDS = 1e3
_RAW = "bare trio-websocket"


def contests(setting: Setting) -> list[Contest]:
    """`console_echo` (W1), `console_watch` (W2), `console_memory` (W3), `console_resume` (W4); two with our client."""
    sizes = setting.sizes
    return [*_asking(sizes), *_watching(sizes), _memory(sizes), _resuming(sizes)]


def _asking(sizes: Sizes) -> list[Contest]:
    times, work = sizes.asked, f"{sizes.asked:,} requests of `health` to a console, each after the answer to the last"

    def bare(bar: Bar | None) -> Opponent:
        return Opponent(_RAW, lambda: limits.echoed(times, *console.asked_bytes()), limits.ECHO, bar)

    return [
        Contest(
            goal="W1",
            name="console_echo",
            work=f"{work}, from a client that is bare trio-websocket",
            unit="round trips/s",
            ours=lambda: trio.run(console.ask_bare, times),
            opponents=[bare(Bar(0.6))],
        ),
        Contest(
            name="console_echo_client",
            work=f"{work}, by `connect` and `ask`",
            unit="round trips/s",
            ours=lambda: trio.run(console.ask, times),
            opponents=[bare(None)],
        ),
    ]


def _watching(sizes: Sizes) -> list[Contest]:
    clients, events = sizes.clients, sizes.watched
    work = f"{events:,} chunks of {console.EVENT} bytes of one run to {clients:,} clients of a console"

    def each(bar: Bar | None) -> Opponent:
        told = partial(limits.told, clients, sizes.framed, console.EVENT, 1)
        return Opponent("a frame for each", told, limits.EACH, bar)

    return [
        Contest(
            goal="W2",
            name="console_watch",
            work=f"{work} that are bare trio-websocket and count them",
            unit="events/s",
            ours=lambda: trio.run(console.watch, clients, events, console.bare),
            opponents=[each(Bar(6.0))],
            limit=Limit(partial(limits.told, clients, events, console.EVENT), limits.TOGETHER),
        ),
        Contest(
            name="console_watch_client",
            work=f"{work} by `connect` and `watch`",
            unit="events/s",
            ours=lambda: trio.run(console.watch, clients, events, console.ours),
            opponents=[each(None)],
        ),
    ]


def _memory(sizes: Sizes) -> Contest:
    count = sizes.crowd
    return Contest(
        goal="W3",
        name="console_memory",
        work=f"resident memory of a console with {count:,} clients that watch a run, per client",
        unit="bytes/client",
        ours=partial(_per_client, CONSOLE, count),
        opponents=[
            Opponent(
                _RAW, partial(_per_client, BARE, count), "a server of trio-websocket that waits for a text", Bar(3.0)
            )
        ],
        better="less",
        rounds=1,
    )


@cache
def _per_client(kind: str, count: int) -> float:
    return int(say("-m", "benchmarks._clients", kind, str(count))) / count


def _resuming(sizes: Sizes) -> Contest:
    times, missed = sizes.returns, sizes.missed

    def bare(together: int) -> float:
        return _slowest(limits.resumed(times, missed, console.missed_bytes(), together))

    return Contest(
        goal="W4",
        name="console_resume",
        work=f"from `watch` with a last event until {missed:,} durable events after it are here, on memory:, "
        f"99th percentile of {times:,} times",
        unit="ms",
        ours=lambda: _slowest(trio.run(console.resume, times, missed)),
        opponents=[Opponent("a frame for each", partial(bare, 1), limits.EACH, Bar(1.0, 0.5))],
        better="less",
        limit=Limit(partial(bare, limits.IN_A_FRAME), limits.TOGETHER),
    )


def _slowest(seconds: list[float]) -> float:
    """The 99th percentile, in milliseconds."""
    return sorted(seconds)[ceil(0.99 * len(seconds)) - 1] * _MILLISECONDS
