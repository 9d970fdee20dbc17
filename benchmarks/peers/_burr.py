# pyright: basic, reportMissingImports=false
"""Burr: actions and conditions of its documentation. A run that waits is an Application that its caller holds."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from importlib.metadata import version
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from burr.core import ApplicationBuilder, State, action, default, expr
from burr.core.action import streaming_action
from burr.core.parallelism import MapStates
from burr.core.persistence import AsyncInMemoryPersister
from burr.integrations.persisters.b_aiosqlite import AsyncSQLitePersister

from .._cancel import DEPTH, MILLISECONDS
from .._import import figure
from .._many import STEPS
from .._resume import MICROSECONDS
from .._setting import Peer, Setting, Way
from .._states import LINES
from ._asyncio import cancelled, gathered, rate_of

_IMPORT = "import burr.core"
_FIRST_RUN = """
import asyncio
from burr.core import ApplicationBuilder, State, action

@action(reads=[], writes=["count"])
async def node(state: State) -> State:
    return state.update(count=1)

async def main():
    app = await ApplicationBuilder().with_actions(node=node).with_state(count=0).with_entrypoint("node").abuild()
    await app.arun(halt_after=["node"])

asyncio.run(main())
"""

logging.getLogger("burr").setLevel(logging.CRITICAL)


@action(reads=["count", "log"], writes=["count", "log"])
async def step(state: State) -> State:
    count = state["count"] + 1
    return state.update(count=count, log=[*state["log"][1:], f"step {count}"])


@action(reads=["count", "log"], writes=["count", "log"])
async def yielding_step(state: State) -> State:
    await asyncio.sleep(0)
    count = state["count"] + 1
    return state.update(count=count, log=[*state["log"][1:], f"step {count}"])


@action(reads=[], writes=[])
async def end(state: State) -> State:
    return state


@action(reads=["log"], writes=["log"])
async def human(state: State, decision: str) -> State:
    return state.update(log=[decision])


def _loop(steps: int, node: Any = step) -> Any:
    builder = ApplicationBuilder().with_actions(step=node, end=end)
    builder = builder.with_transitions(("step", "step", expr(f"count < {steps}")), ("step", "end", default))
    return builder.with_state(count=0, log=["x"] * LINES).with_entrypoint("step")


async def _chain(steps: int, persister: Any = None) -> float:
    builder = _loop(steps)
    if persister is not None:
        builder = builder.with_state_persister(persister).with_identifiers(app_id="one", partition_key="one")
    app = await builder.abuild()
    began = perf_counter()
    _, _, state = await app.arun(halt_after=["end"])
    took = perf_counter() - began
    assert state["count"] == steps
    return steps / took


async def _stored(path: str, steps: int) -> float:
    persister = await AsyncSQLitePersister.from_values(db_path=path, table_name="states")
    await persister.initialize()
    try:
        return await _chain(steps, persister)
    finally:
        await persister.cleanup()


def _on_disk(setting: Setting) -> float:
    with TemporaryDirectory(dir=setting.folder) as place:
        return asyncio.run(_stored(f"{place}/runs.db", setting.sizes.peer_rows))


class Fan(MapStates):
    """As many branches as it is told, each of which awaits what it is told."""

    def __init__(self, width: int, body: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._width, self._body = width, body

    def action(self, state: State, inputs: dict[str, Any]) -> Any:
        body = self._body

        @action(reads=["item"], writes=["out"])
        async def branch(state: State) -> State:
            await body()
            return state.update(out=state["item"])

        return branch

    def states(self, state: State, context: Any, inputs: dict[str, Any]) -> Any:
        for item in range(self._width):
            yield state.update(item=item)

    async def reduce(self, state: State, states: AsyncGenerator[State, None]) -> State:
        return state.update(out=[branch["out"] async for branch in states])

    def is_async(self) -> bool:
        return True

    @property
    def reads(self) -> list[str]:
        return ["item"]

    @property
    def writes(self) -> list[str]:
        return ["out"]


async def _fan_app(width: int, body: Callable[[], Awaitable[None]]) -> Any:
    builder = ApplicationBuilder().with_actions(fan=Fan(width, body), end=end).with_transitions(("fan", "end"))
    return await builder.with_state(item=0, out=[]).with_entrypoint("fan").abuild()


async def _fans(fans: int, width: int) -> float:
    took = 0.0
    for _ in range(fans):
        app = await _fan_app(width, lambda: asyncio.sleep(0))
        began = perf_counter()
        _, _, state = await app.arun(halt_after=["end"])
        took += perf_counter() - began
        assert state["out"] == list(range(width))
    return fans * width / took


async def _one_of_many() -> None:
    app = await _loop(STEPS, yielding_step).abuild()
    await app.arun(halt_after=["end"])


async def _waiting() -> Any:
    builder = ApplicationBuilder().with_actions(step=step, human=human).with_transitions(("step", "human"))
    app = await builder.with_state(count=0, log=["x"] * LINES).with_entrypoint("step").abuild()
    await app.arun(halt_before=["human"], inputs={})
    return app


async def _resumed(count: int) -> float:
    apps = [await _waiting() for _ in range(count)]
    delays = list[float]()
    for app in apps:
        began = perf_counter()
        _, _, state = await app.arun(halt_after=["human"], inputs={"decision": "yes"})
        delays.append(perf_counter() - began)
        assert state["log"] == ["yes"]
    return median(delays) * MICROSECONDS


async def _told(events: int) -> float:
    @streaming_action(reads=[], writes=["last"])
    async def talk(state: State) -> Any:
        for _ in range(events):
            yield {"word": "word"}, None
        yield {"last": 1}, state.update(last=1)

    builder = ApplicationBuilder().with_actions(talk=talk, end=end).with_transitions(("talk", "end"))
    app = await builder.with_state(last=0).with_entrypoint("talk").abuild()
    seen, began = 0, perf_counter()
    _, stream = await app.astream_result(halt_after=["talk"])
    async for _ in stream:
        seen += 1
    assert seen >= events
    return rate_of(events, began)


def _cancel(setting: Setting) -> float:
    count = setting.sizes.width**DEPTH

    def work(sleep: Callable[[], Awaitable[None]]) -> Coroutine[Any, Any, Any]:
        return _fan_and_run(count, sleep)

    return asyncio.run(cancelled(count, work)) * MILLISECONDS


async def _fan_and_run(width: int, body: Callable[[], Awaitable[None]]) -> None:
    app = await _fan_app(width, body)
    await app.arun(halt_after=["end"])


PEER = Peer(
    "Burr",
    version("apache-burr"),
    {
        "chain": Way(lambda setting: asyncio.run(_chain(setting.sizes.peer_steps)), "an async action and expr(), arun"),
        "memory": Way(
            lambda setting: asyncio.run(_chain(setting.sizes.peer_steps, AsyncInMemoryPersister())),
            "the same with AsyncInMemoryPersister",
        ),
        "durable": Way(_on_disk, "the same with AsyncSQLitePersister: rollback journal, synchronous=FULL, its default"),
        "fan": Way(
            lambda setting: asyncio.run(_fans(setting.sizes.peer_fans, setting.sizes.branches)),
            "MapStates, whose branches yield",
        ),
        "many": Way(
            lambda setting: asyncio.run(gathered(setting.sizes.at_once, _one_of_many)),
            "as many arun in one gather, of steps that yield",
        ),
        "resume": Way(
            lambda setting: asyncio.run(_resumed(setting.sizes.peer_runs)), "halt_before, then arun with the decision"
        ),
        "stream": Way(lambda setting: asyncio.run(_told(setting.sizes.events)), "astream_result of a streaming action"),
        "cancel": Way(
            _cancel, "as many branches of one MapStates, not nested: cancel the task, until the last has ended"
        ),
        "import": Way(lambda _: figure(_IMPORT), _IMPORT),
        "first_run": Way(lambda _: figure(_FIRST_RUN), "import, an application of one action, arun"),
    },
)
