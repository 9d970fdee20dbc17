"""What all tests share: `--slow`, forked lives, commands. (Tests that wait for something have their own hard limit.)"""

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from terzetto._cli import main

from .commands import SHOP
from .lives import Forks
from .postgres_servers import PostgresServer, server
from .redis_servers import DURABLE, RedisServer, running
from .trips import TRIP

sys.path.append(
    str(Path(__file__).resolve().parent.parent)
)  # benchmarks/ is tested too, and no part of what is installed


def pytest_collection_finish() -> None:
    """Take what is there before the first test out of the collector's sight: tests look for garbage of their own."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Processes for the price of a fork; the servers behind them begin with the first test that asks."""
    with Forks(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A Postgres server for all tests of this process, begun by the first that asks; each has schemas of its own."""
    with server() as made:
        yield made


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A durable server for all tests of this process, begun by the first that asks; each has prefixes of its own."""
    with running(tmp_path_factory.mktemp("redis"), *DURABLE) as server:
        yield server


STORES = ("memory", "sqlite", "redis", "postgres")
"""Where LangGraph's checkpoints may be kept."""


@pytest.fixture(params=STORES)
def url(request):
    """The URL of a place for checkpoints that is empty, on all four stores."""
    return url_of(request.param, request)


@pytest.fixture(params=STORES[1:])
def lasting_url(request):
    """The same, on all that outlast their process."""
    return url_of(request.param, request)


def url_of(kind: str, request: pytest.FixtureRequest) -> str:
    match kind:
        case "memory":
            return "memory:"
        case "sqlite":
            return f"sqlite:{request.getfixturevalue('tmp_path')}/checkpoints.db"
        case _:
            return str(request.getfixturevalue(kind).url())


@pytest.fixture
def saver(url):
    """A checkpointer of LangGraph's, on all four stores."""
    from terzetto.langgraph import Checkpointer

    with Checkpointer(url) as saver:
        yield saver


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with the module `shop` in it, which is the current folder of the test."""
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "failing.py").write_text("raise ValueError('not today')\n")
    (tmp_path / "lone.py").write_text("from shop import good\n")
    monkeypatch.chdir(tmp_path)
    for name in ("TERZETTO_STORE", "UV_RUN_RECURSION_DEPTH"):
        monkeypatch.delenv(name, raising=False)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name in ("shop", "failing", "lone"):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the module `trip` in it, which is the current folder of the test."""
    (tmp_path / "trip.py").write_text(TRIP)
    monkeypatch.chdir(tmp_path)
    for name in ("TERZETTO_STORE", "UV_RUN_RECURSION_DEPTH"):
        monkeypatch.delenv(name, raising=False)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    sys.modules.pop("trip", None)


@pytest.fixture
def call(capsys):
    """`call(*words)`: the exit code, standard output and standard error of a command in this process."""

    def call(*words):
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def told(call):
    """`told(*words)`: the JSON document of a command that is fine."""

    def told(*words):
        code, output, errors = call(*words, "--json")
        assert (0, "") == (code, errors)
        return json.loads(output)

    return told


settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("slow", max_examples=100, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.getoption("--slow") else "quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long sweeps, as CI does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if "slow" in item.keywords]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if "slow" not in item.keywords]
