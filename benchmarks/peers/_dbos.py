# pyright: basic, reportMissingImports=false
"""DBOS on SQLite. It is always durable, and polls its notifications there."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from uuid import uuid4

from dbos import DBOS, SetWorkflowID

from .._import import figure
from .._many import STEPS
from .._resume import MICROSECONDS
from .._setting import Peer, Setting, Way
from .._states import LINES
from ._asyncio import rate_of

_IMPORT = "import dbos"
_FIRST_RUN = """
import asyncio, os, tempfile
from dbos import DBOS

@DBOS.workflow()
async def workflow():
    return 1

folder = tempfile.TemporaryDirectory()
DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder.name}/runs.db", "run_admin_server": False,
             "log_level": "CRITICAL"})
DBOS.launch()
assert asyncio.run(workflow()) == 1
DBOS.destroy()
folder.cleanup()
"""


@DBOS.step()
async def step(state: dict[str, Any]) -> dict[str, Any]:
    count = state["count"] + 1
    return {"count": count, "log": [*state["log"][1:], f"step {count}"]}


@DBOS.workflow()
async def chain(steps: int) -> int:
    state: dict[str, Any] = {"count": 0, "log": ["x"] * LINES}
    for _ in range(steps):
        state = await step(state)
    return int(state["count"])


@DBOS.step()
async def branch(item: int) -> int:
    await asyncio.sleep(0)
    return item


@DBOS.workflow()
async def fan(width: int) -> list[int]:
    items: list[int] = await asyncio.gather(*(branch(item) for item in range(width)))
    return items


@DBOS.workflow()
async def wait() -> str:
    return str(await DBOS.recv_async("go", timeout_seconds=3600))


async def _start(workflow: Any, *arguments: Any) -> Any:
    with SetWorkflowID(str(uuid4())):
        return await DBOS.start_workflow_async(workflow, *arguments)


def _with_dbos(work: Callable[[Setting], Awaitable[float]]) -> Callable[[Setting], float]:
    def measure(setting: Setting) -> float:
        with TemporaryDirectory(dir=setting.folder) as place:
            return asyncio.run(_launched(place, lambda: work(setting)))

    return measure


async def _launched(place: str, work: Callable[[], Awaitable[float]]) -> float:
    url = f"sqlite:///{place}/runs.db"
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "run_admin_server": False,
            "log_level": "CRITICAL",
            "sys_db_pool_size": 20,
        }
    )
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
    DBOS.launch()
    try:
        await (await _start(chain, 2)).get_result()
        return await work()
    finally:
        await asyncio.to_thread(DBOS.destroy)


async def _chain(setting: Setting) -> float:
    steps, began = setting.sizes.peer_rows, perf_counter()
    assert await (await _start(chain, steps)).get_result() == steps
    return rate_of(steps, began)


async def _fan(setting: Setting) -> float:
    width, began = setting.sizes.few, perf_counter()
    assert await (await _start(fan, width)).get_result() == list(range(width))
    return rate_of(width, began)


async def _many(setting: Setting) -> float:
    count, began = setting.sizes.few, perf_counter()
    runs = await asyncio.gather(*(_start(chain, STEPS) for _ in range(count)))
    await asyncio.gather(*(run.get_result() for run in runs))
    return rate_of(count, began)


async def _resumed(setting: Setting) -> float:
    runs = [await _start(wait) for _ in range(min(setting.sizes.few, 5))]
    delays = list[float]()
    for run in runs:
        began = perf_counter()
        await DBOS.send_async(run.workflow_id, "yes", "go")
        assert await run.get_result() == "yes"
        delays.append(perf_counter() - began)
    return median(delays) * MICROSECONDS


PEER = Peer(
    "DBOS",
    version("dbos"),
    {
        "durable": Way(_with_dbos(_chain), "a workflow of steps: rollback journal, synchronous=FULL, its default"),
        "fan": Way(_with_dbos(_fan), "steps of a workflow in one gather, a few, each of them durable"),
        "many": Way(_with_dbos(_many), "workflows in one gather, a few, each step of them durable"),
        "resume": Way(_with_dbos(_resumed), "send to a workflow in recv, which is polled on SQLite"),
        "import": Way(lambda _: figure(_IMPORT), _IMPORT),
        "first_run": Way(lambda _: figure(_FIRST_RUN), "import, launch on a new SQLite file, a workflow without steps"),
    },
)
