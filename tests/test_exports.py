"""The public face: what it names, what it leaves private, and what importing it does not cost."""

import ast
import inspect
import json
import pkgutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import terzetto
import terzetto.checkpointer
import terzetto.stores
import terzetto.testing
import terzetto_protocol

NAMED_BY_USERS = {
    *("checkpointer", "console", "demo", "executors", "fleet", "http", "langgraph", "metaflow", "reducers", "stores"),
    "testing",
}
"""Modules of `terzetto` that users import; every other one is private."""
HEAVY = {"apsw", "asyncio", "cattrs", "hypothesis", "multiprocessing", "rich", "sqlite3", "trio_websocket"}
PACKAGES = [terzetto, terzetto.stores, terzetto.checkpointer, terzetto.testing]


def re_exports_with_levels(package):
    """(module, name, public name, dots) of everything that the package's `__init__` takes from elsewhere, in order."""
    for statement in ast.walk(ast.parse(inspect.getsource(package))):
        if isinstance(statement, ast.ImportFrom) and (statement.level or statement.module.startswith("terzetto")):
            for alias in (each for each in statement.names if each.name != "loader"):
                yield statement.module, alias.name, alias.asname, statement.level


def re_exports(package):
    return [found[:3] for found in re_exports_with_levels(package)]


def public_names(package):
    """The names that `__all__`, or else `X as X`, makes public."""
    listed = getattr(package, "__all__", None)
    return listed or [shown for _, _, shown in re_exports(package) if shown is not None]


def isort_key(name):
    """Constants, then classes, then the rest, as ruff sorts them."""
    return 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name


def imported_by(statement):
    """Names of the modules that a new process has loaded after this statement."""
    program = f"{statement}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stdout))


def test_every_public_name_is_exported_exactly_once():
    exported = Counter(name for package in PACKAGES for name in public_names(package))

    assert {} == {name: count for name, count in exported.items() if count > 1}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_a_package_shows_what_it_exports_and_nothing_else(package):
    modules = {name for name, value in vars(package).items() if inspect.ismodule(value)}
    shown = {name for name in dir(package) if not name.startswith("_")} - modules - {"TYPE_CHECKING", "Any"}

    assert set(public_names(package)) >= shown
    assert all(hasattr(package, name) for name in public_names(package))
    assert {name for name in modules if not name.startswith(("_", "@"))} <= NAMED_BY_USERS  # pytest's own have an @


@pytest.mark.parametrize("package", PACKAGES[1:], ids=lambda package: package.__name__)
def test_all_is_sorted(package):
    assert sorted(package.__all__, key=isort_key) == package.__all__


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_re_exports_are_sorted(package):
    for statement in ast.walk(ast.parse(inspect.getsource(package))):
        if isinstance(statement, ast.ImportFrom):
            names = [alias.name for alias in statement.names]

            assert sorted(names, key=lambda name: (isort_key(name)[0], name.lower())) == names


def test_nothing_is_exported_under_another_name_than_its_own():
    renamed = [(name, shown) for _, name, shown in re_exports(terzetto) if name != shown]

    assert [] == renamed


def test_modules_behind_the_face_are_private():
    below = {module.name for module in pkgutil.iter_modules(terzetto.__path__)}

    assert {name for name in below if not name.startswith("_")} <= NAMED_BY_USERS
    for package in PACKAGES[1:]:
        inside = [module.name for module in pkgutil.iter_modules(package.__path__)]

        assert [] == [name for name in inside if not name.startswith("_")]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_everything_public_says_what_it_promises(package):
    silent = []
    for name in public_names(package):
        value = getattr(package, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            silent += [] if value.__doc__ else [name]
        if inspect.isclass(value) and value.__module__.startswith("terzetto"):
            members = {key: member for key, member in vars(value).items() if not key.startswith("_")}
            silent += [f"{name}.{key}" for key, it in members.items() if inspect.isfunction(it) and not it.__doc__]

    assert [] == silent


@pytest.mark.parametrize("package", PACKAGES[:3], ids=lambda package: package.__name__)
def test_names_are_loaded_from_where_type_checkers_find_them(package):
    seen = {shown: "." * level + module for module, _, shown, level in re_exports_with_levels(package)}

    assert seen == package._HOMES


def test_importing_terzetto_loads_nothing_of_it():
    loaded = imported_by("import trio, msgspec, importlib; import terzetto")

    assert {"terzetto"} == {name for name in loaded if name.startswith("terzetto")}
    assert set() == loaded & HEAVY


def test_a_first_run_loads_no_store_and_no_runtime():
    loaded = imported_by("import terzetto; terzetto.Graph, terzetto.run, terzetto.NodeContext")

    assert {"terzetto._run", "terzetto_protocol.machine"} <= loaded
    assert set() == loaded & (HEAVY | {"terzetto.stores", "terzetto._hub", "terzetto_protocol.dataflow"})


def test_a_star_imports_every_name():
    names: dict[str, object] = {}
    exec("from terzetto import *", names)

    assert set(public_names(terzetto)) <= set(names)
    assert terzetto.Graph is names["Graph"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'terzetto' has no attribute 'grahp'"):
        _ = terzetto.grahp


def test_the_protocol_loads_without_trio():
    """DESIGN: the score is sans-IO."""
    names = [module.name for module in pkgutil.iter_modules(terzetto_protocol.__path__)]
    every = "; ".join(["import terzetto_protocol", *(f"import terzetto_protocol.{name}" for name in names)])

    assert set() == imported_by(every) & {"anyio", "apsw", "asyncio", "cattrs", "terzetto", "trio", "trio_websocket"}


def test_both_packages_are_typed():
    for package in (terzetto, terzetto_protocol):
        assert (Path(inspect.getfile(package)).parent / "py.typed").exists()


def test_the_version_is_the_distributions():
    project = (Path(__file__).resolve().parent.parent / "pyproject.toml").read_text()

    assert f'\nversion = "{terzetto.__version__}"\n' in project
