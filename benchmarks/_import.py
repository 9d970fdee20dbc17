"""What it costs to be imported and to run once, in fresh processes: time, and modules."""

from functools import partial

from ._contest import Bar, Contest, Limit, Opponent
from ._process import say
from ._setting import Setting
from .limits import _first_run as limits

_OURS = "import terzetto"
_RAW = "import trio, msgspec"
_FIRST_RUN = """
import trio, terzetto
from attrs import define

@define
class State:
    count: int = 0

graph = terzetto.Graph("first", state=State)

@graph.node
async def node(ctx: terzetto.NodeContext[State]) -> None:
    pass

graph.start(node)
trio.run(terzetto.run, graph, State())
"""
_CHILD = """
from time import perf_counter
began = perf_counter()
{}
took = perf_counter() - began
import sys
lazy = {{"cattrs", "apsw", "sqlite3", "trio_websocket", "wsproto"}}
print(took * 1e3, len(sys.modules), len(lazy & set(sys.modules)))
"""
TIME, MODULES, LAZY = range(3)


def contests(setting: Setting) -> list[Contest]:
    """`first_run` and `lazy` (G8), `import` and `modules`."""
    turns = setting.sizes.processes
    return [
        Contest(
            goal="G8",
            name="first_run",
            work="import, declare a graph of one node and run it without a store, in a fresh process",
            unit="ms",
            ours=partial(figure, _FIRST_RUN, TIME),
            opponents=[_raw(TIME, Bar(1.3, 1.15)), *setting.peers_at("first_run", LangGraph=Bar(0.25))],
            better="less",
            turns=turns,
            limit=Limit(partial(figure, limits.PROGRAM, TIME), limits.HOW),
        ),
        Contest(
            goal="G8",
            name="lazy",
            work="of cattrs, apsw, sqlite3, trio_websocket and wsproto: how many are in memory after that run",
            unit="modules",
            ours=partial(figure, _FIRST_RUN, LAZY),
            opponents=[Opponent("one of them", lambda: 1.0, "none is the goal", Bar(0))],
            better="less",
            rounds=1,
        ),
        Contest(
            name="import",
            work=f"{_OURS} in a fresh process, which loads nothing that is not named yet",
            unit="ms",
            ours=partial(figure, _OURS, TIME),
            opponents=[_raw(TIME, None), *setting.peers_at("import")],
            better="less",
            turns=turns,
        ),
        Contest(
            name="modules",
            work="modules in memory after the first run",
            unit="modules",
            ours=partial(figure, _FIRST_RUN, MODULES),
            opponents=[_raw(MODULES, None)],
            better="less",
            rounds=1,
        ),
    ]


def _raw(place: int, bar: Bar | None) -> Opponent:
    how = f"{_RAW} alone; the start of the interpreter is counted for nobody"
    return Opponent(_RAW, partial(figure, _RAW, place), how, bar)


def figure(program: str, place: int = TIME) -> float:
    """What a fresh process says that has run this program: milliseconds, modules, or lazy ones among them."""
    return float(say("-c", _CHILD.format(program)).split()[place])
