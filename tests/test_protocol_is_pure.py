"""`terzetto_protocol` decides and does nothing: no Trio, no I/O, no clock, no randomness."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import terzetto_protocol

ROOT = Path(terzetto_protocol.__file__).parent
MODULES = sorted(path.stem for path in ROOT.glob("*.py") if path.stem != "__init__")

LOADED_BY_NOBODY = [
    "anyio", "apsw", "asyncio", "multiprocessing", "random", "secrets", "select", "selectors", "signal", "socket",
    "sqlite3", "ssl", "subprocess", "tempfile", "terzetto", "trio", "trio_websocket",
]  # fmt: skip
IMPORTED_BY_NOBODY = {*LOADED_BY_NOBODY, "io", "logging", "os", "pathlib", "shutil", "sys", "threading", "time"}

PROGRAM = """
import importlib, json, sys
for name in sys.argv[1:]:
    importlib.import_module("terzetto_protocol." + name)
print(json.dumps(sorted(sys.modules)))
"""

USE = """
import json, sys
import attrs
from terzetto_protocol.graph import Graph

@attrs.frozen
class Circle: radius: float
@attrs.frozen
class Square: side: float
@attrs.define
class Shapes: shape: Circle | Square | None = None
async def draw(ctx): ...

graph = Graph("shapes", state=Shapes)
graph.start(graph.node(draw))
blueprint = graph.build()
blueprint.state.copy(Shapes(Circle(1.0)))
assert all([blueprint.fingerprint, graph.mermaid(), graph.dot(), str(graph.analyze())])
print(json.dumps(sorted(sys.modules)))
"""


def loaded(program: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(done.stdout))


def test_importing_every_module_loads_nothing_that_acts():
    assert not loaded(PROGRAM, *MODULES) & set(LOADED_BY_NOBODY)


FIRST = """
import importlib, os, sys
import attrs, cattrs, msgspec, typing_extensions

def import_first(name):
    if life := os.fork():
        return os.waitpid(life, 0)[1] == 0
    importlib.import_module("terzetto_protocol." + name)
    sys.exit()

assert not [name for name in sys.modules if name.startswith("terzetto")]
print(*[name for name in sys.argv[1:] if not import_first(name)])
"""


def test_every_module_can_be_imported_first():
    """No import works only because another came before it: each is tried in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST, *MODULES],
        env={"PYTHONPATH": str(ROOT.parent)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert ([], "") == (done.stdout.split(), done.stderr)


def test_using_a_graph_loads_nothing_that_acts():
    """Also what is imported late, where it is used."""
    modules = loaded(USE)

    assert "cattrs" in modules
    assert not modules & set(LOADED_BY_NOBODY)


def test_cattrs_is_loaded_only_by_graphs_that_need_it():
    assert "cattrs" not in loaded(PROGRAM, *MODULES)


def imports(path: Path) -> set[str]:
    """Top-level packages that a file names in any import, wherever it stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_module_names_what_acts(module):
    """No clock, no randomness, no files, no threads: not even behind a condition."""
    assert not imports(ROOT / f"{module}.py") & IMPORTED_BY_NOBODY


@pytest.mark.parametrize("module", MODULES)
def test_nothing_waits(module):
    """A machine that needs `await` is a design error."""
    nodes = ast.walk(ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8")))

    assert not [node for node in nodes if isinstance(node, ast.Await | ast.AsyncFunctionDef | ast.AsyncWith)]
