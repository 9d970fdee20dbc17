"""The pytest plugin: fixtures and a marker for tests of graphs.

Pytest loads it by itself where it is installed, whether or not a test has to do with graphs. So nothing but pytest is
loaded here before a fixture is asked for.
"""

from collections.abc import Callable, Generator, Mapping
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from .stores import Store
    from .testing import DeciderMaker, FaultPlan, RuntimeOpener
    from .testing._fixtures import StoreMaker

_SEEDS: Final = "seeds(n): run the test under n seeds, which the fixture `seed` gives it"

_Checks: Final = pytest.StashKey[list[Callable[[], str]]]()
"""What is asked of a test that has passed; each says what is wrong, or nothing."""
_Run: Final = pytest.StashKey[Callable[..., Any]]()
"""What runs the test, if it is async."""
_Seed: Final = pytest.StashKey[int]()


class _Hooks:
    @pytest.hookspec
    def pytest_terzetto_stores(self) -> "Mapping[str, StoreMaker]":
        """More stores that tests with the fixture `store` run with: functions of an empty folder, by name.

        Each returns a store that is empty and not open yet.
        """
        raise NotImplementedError


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Make our hook known."""
    pluginmanager.add_hookspecs(_Hooks)


def pytest_configure(config: pytest.Config) -> None:
    """Make our marker known."""
    config.addinivalue_line("markers", _SEEDS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for every store, and for every seed."""
    marker = metafunc.definition.get_closest_marker("seeds")
    if marker is not None:
        metafunc.fixturenames.append("terzetto_seed")
        metafunc.parametrize("terzetto_seed", range(_count(marker)), indirect=True)
    if "terzetto_store_name" in metafunc.fixturenames and not _chosen(metafunc.definition):
        metafunc.parametrize("terzetto_store_name", list(_stores(metafunc.definition, 0)), indirect=True)


def _count(marker: pytest.Mark) -> int:
    match marker:
        case pytest.Mark(args=(int(count),), kwargs={}) if count > 0:
            return count
        case _:
            raise pytest.UsageError("say how many seeds: @pytest.mark.seeds(100)")


def _chosen(item: pytest.Item) -> bool:
    # Whether the test says itself which stores it is for.
    return any("terzetto_store_name" in str(mark.args[:1]) for mark in item.iter_markers("parametrize"))


def _stores(item: pytest.Item, seed: int) -> "dict[str, StoreMaker]":
    from .testing._fixtures import stores_for

    found = stores_for(seed)
    for more in item.ihook.pytest_terzetto_stores():
        found |= more
    return found


# -- how a test is run ------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that nobody else runs; where there is pytest-trio, it does, by our marker."""
    run, test = pyfuncitem.stash.get(_Run, None), pyfuncitem.obj
    if run is None or not iscoroutinefunction(test):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in signature(test).parameters}
    run(lambda: test(**arguments))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Look whether everything was used that a test which passes has prepared."""
    yield
    said = [complaint for check in _checks(item) if (complaint := check())]
    if said:
        pytest.fail("\n".join(said), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say how to repeat what has failed under a seed."""
    report = yield
    if report.failed and _Seed in item.stash:
        from .testing._fixtures import command_for

        config, given = item.config, item.config.invocation_params
        command = command_for(given.args, config.option.file_or_dir, item.nodeid, item.path, given.dir)
        report.sections.append(("seed", f"seed {item.stash[_Seed]}: repeat it with: {command}"))
    return report


# -- fixtures ---------------------------------------------------------------------------------------------------


@pytest.fixture
def terzetto_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test; 0 without `@pytest.mark.seeds(n)`."""
    seed: int | None = getattr(request, "param", None)
    if seed is None:
        return 0
    request.node.stash[_Seed] = seed
    return seed


@pytest.fixture
def terzetto_run(request: pytest.FixtureRequest, terzetto_seed: int) -> Callable[..., Any]:
    """What runs async tests with fixtures of ours: `trio.run` in virtual time; override it to have another one."""
    from .testing._fixtures import runner

    return runner(terzetto_seed if _Seed in request.node.stash else None)


@pytest.fixture
def terzetto_test(request: pytest.FixtureRequest, terzetto_run: Callable[..., Any]) -> None:
    """Have this test run by `terzetto_run`, if it is async."""
    plugins = request.config.pluginmanager
    if not iscoroutinefunction(request.node.obj):
        return
    if plugins.has_plugin("trio") or plugins.has_plugin("pytest_trio.plugin"):
        request.node.add_marker(pytest.mark.trio(run=terzetto_run), append=False)
    else:
        request.node.stash[_Run] = terzetto_run


@pytest.fixture
def terzetto_store_name(request: pytest.FixtureRequest) -> str:
    """Which store this test is run with."""
    return str(request.param)


@pytest.fixture
def terzetto_store(
    request: pytest.FixtureRequest,
    terzetto_store_name: str,
    terzetto_seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Generator[Store]":
    """A store that is empty and not open yet; the test runs once with every store that there is.

    Those that come with the library, and one on each server that a variable names (`TERZETTO_TEST_POSTGRES`,
    `TERZETTO_TEST_REDIS`), of which nothing is left afterwards.
    """
    from .testing._fixtures import dispose

    store = _stores(request.node, terzetto_seed)[terzetto_store_name](tmp_path_factory.mktemp("store"))
    yield store
    dispose(store)


@pytest.fixture
def terzetto_runtime(terzetto_test: None, terzetto_store: "Store") -> "RuntimeOpener":
    """Opens strict runtimes over `terzetto_store`, in virtual time: `async with runtime(graph) as opened: ...`."""
    from .testing import RuntimeOpener

    return RuntimeOpener(terzetto_store)


@pytest.fixture
def terzetto_faults(request: pytest.FixtureRequest, terzetto_test: None, terzetto_seed: int) -> "Generator[FaultPlan]":
    """A fault plan that is in force during the test, which fails if a rule of it has never applied."""
    from .testing import FaultPlan

    with FaultPlan(terzetto_seed) as plan:
        _check(request, lambda: "\n".join(f"faults: this has never applied: {rule}" for rule in plan.missed))
        yield plan


@pytest.fixture
def terzetto_decider(request: pytest.FixtureRequest, terzetto_test: None) -> "DeciderMaker":
    """Makes deciders of scripts; the test fails if something of a script is left over."""
    from .testing import DeciderMaker

    maker = DeciderMaker()
    _check(request, lambda: "\n".join(f"decider: nobody has asked for this: {left}" for left in maker.left))
    return maker


def _checks(item: pytest.Item) -> list[Callable[[], str]]:
    none: list[Callable[[], str]] = []
    return item.stash.setdefault(_Checks, none)


def _check(request: pytest.FixtureRequest, check: Callable[[], str]) -> None:
    _checks(request.node).append(check)


# -- short names, for whoever has no fixtures of these names ------------------------------------------------------


@pytest.fixture
def seed(terzetto_seed: int) -> int:
    """As `terzetto_seed`."""
    return terzetto_seed


@pytest.fixture
def store(terzetto_test: None, terzetto_store: "Store") -> "Store":
    """As `terzetto_store`."""
    return terzetto_store


@pytest.fixture
def runtime(terzetto_runtime: "RuntimeOpener") -> "RuntimeOpener":
    """As `terzetto_runtime`."""
    return terzetto_runtime


@pytest.fixture
def faults(terzetto_faults: "FaultPlan") -> "FaultPlan":
    """As `terzetto_faults`."""
    return terzetto_faults


@pytest.fixture
def decider(terzetto_decider: "DeciderMaker") -> "DeciderMaker":
    """As `terzetto_decider`."""
    return terzetto_decider
