"""What all tests share: `--slow`, forked lives. (Tests that wait for something have their own hard limit.)"""

from collections.abc import Iterator

import pytest

from .lives import Forks


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Processes for the price of a fork; the servers behind them begin with the first test that asks."""
    with Forks(tmp_path_factory.mktemp("forks")) as forks:
        yield forks


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the long sweeps, as CI does")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if "slow" in item.keywords]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if "slow" not in item.keywords]
