"""MODULE:GRAPH: the graph that a person named on the command line, and the only import by name."""

import importlib
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeAlias

from terzetto_protocol.declaration import Declaration
from terzetto_protocol.errors import describe
from terzetto_protocol.graph import Bound, unbind
from terzetto_protocol.records import RunRow

from ._exits import Stop

Found: TypeAlias = Declaration[Any, Any] | Bound[Any]

DEMO: Final = "terzetto.demo:audit"
"""The graph whose runs every command finds by itself."""


def spec_for(given: str, row: RunRow) -> str:
    """MODULE:GRAPH of a run's graph: as it was given, else the demo's for a run of the demo, else empty."""
    if given or row.header.graph != "audit":
        return given
    return DEMO if unbind(find_graph(DEMO)).graph.build().fingerprint == row.header.fingerprint else ""


def graph_of(spec: str, row: RunRow) -> Found:
    """The graph that carries this run, or makes its states; raises `Stop` when it is another one."""
    found = find_graph(spec)
    graph, header = unbind(found).graph, row.header
    check_graph(spec, graph, row)
    if graph.version != header.version and not graph.migrations:  # which lead from where, who reads its log knows
        raise Stop(f"run {row.run_id!r} is of version {header.version} of its graph, and {spec} is {graph.version}")
    return found


def check_graph(spec: str, graph: Declaration[Any, Any], row: RunRow) -> None:
    """Raise `Stop` when a run is of another graph than the one that was named."""
    if graph.name != row.header.graph:
        raise Stop(f"run {row.run_id!r} is of graph {row.header.graph!r}, and {spec} is graph {graph.name!r}")


def find_graph(spec: str) -> Found:
    """The graph (or bound graph) of `MODULE:GRAPH`; raises `Stop` with a sentence that helps.

    The current folder is looked at first, as by `python -m`. `MODULE` alone is enough where it has one graph.
    """
    module_name, colon, name = spec.partition(":")
    if "/" in module_name or module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise Stop(f"{module_name!r} is a file: name the module, as in {dotted}:{name or 'graph'}")
    if not all(part.isidentifier() for part in module_name.split(".")) or (colon and not name.isidentifier()):
        raise Stop(f"{spec!r} is not MODULE:GRAPH: name a module and a graph in it, as in shop.orders:graph")
    module = _import(module_name)
    graphs: dict[str, Found] = {
        key: value for key, value in vars(module).items() if isinstance(value, Declaration | Bound)
    }
    return _pick(module_name, name, graphs, module)


def _import(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise Stop(f"there is no module {name!r} here or installed{_similar(name)}") from error
        raise Stop(f"module {name!r} could not be imported: {error}{_where(error)}") from error
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported
        raise Stop(f"module {name!r} could not be imported: {describe(error)}{_where(error)}") from error


def _where(error: BaseException) -> str:
    """The last line of the person's own code that the error came from."""
    if isinstance(error, SyntaxError):
        return ""  # its message has the place
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    own = [frame for frame in frames if frame.filename != __file__]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _similar(name: str) -> str:
    """A module of the current folder with nearly this name."""
    folder = Path.cwd().joinpath(*name.split(".")[:-1])
    try:
        names = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    except OSError:
        return ""
    close = get_close_matches(name.rpartition(".")[2], names, n=1)
    prefix = name.rpartition(".")[0]
    return f": did you mean {prefix}{'.' if prefix else ''}{close[0]}?" if close else ""


def _pick(module_name: str, name: str, graphs: dict[str, Found], module: ModuleType) -> Found:
    if name in graphs:
        return graphs[name]
    if not name and len(graphs) == 1:
        return next(iter(graphs.values()))
    known = ", ".join(f"{module_name}:{key}" for key in graphs)
    if not graphs:
        raise Stop(f"module {module_name!r} has no graph at its top level (a terzetto.Graph or terzetto.bind(...))")
    if not name:
        raise Stop(f"module {module_name!r} has several graphs: say which of {known}")
    if hasattr(module, name):
        raise Stop(f"{module_name}:{name} is a {type(getattr(module, name)).__name__}, not a graph; there is {known}")
    close = get_close_matches(name, graphs, n=1)
    hint = f"did you mean {module_name}:{close[0]}?" if close else f"there is {known}"
    raise Stop(f"module {module_name!r} has no graph {name!r}: {hint}")
