"""Runs tests against a copy of the sources, each time in a fork of a process that has imported what they need."""

import gc
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import pytest
from attrs import frozen

from ..copies import ROOT, Copy

_PRELOADED: Final = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
PATIENCE: Final = 4
"""How many times as long as its processor time a trial may take: the machine may have other work."""
MEMORY: Final = 4 * 1024**3
"""Bytes that a trial may ask for: some mistakes make lists without end."""


@frozen
class Trial:
    """How the tests went."""

    outcome: str
    """`passed`, `failed`, or `timeout`."""
    test: str = ""
    """The first test that failed; empty where nothing could even be collected."""
    output: str = ""
    """The last that pytest said."""


def preload() -> None:
    """Import what every trial needs, but nothing that is under test."""
    for name in ("_pytest.assertion.rewrite", "apsw", "cattrs", "hypothesis.stateful", "msgspec", "trio"):
        import_module(name)
    gc.freeze()


def attempt(copy: Copy, tests: Iterable[str], seconds: float) -> Trial:
    """Run tests, given by their ids, until one fails."""
    chosen = list(tests)
    files = list(dict.fromkeys(test.partition("::")[0] for test in chosen))
    return forked(copy, lambda told: _run(files, _Chosen(chosen, told)), seconds)


def forked(copy: Copy, work: Callable[[Callable[[str], None]], int], seconds: float) -> Trial:
    """Do something in a fork, which may tell one line, and is killed after so many seconds of processor time."""
    with TemporaryDirectory(dir=copy.folder) as scratch:
        line = Path(scratch, "told")
        line.touch()
        life = os.fork()
        if not life:
            _begin(copy, Path(scratch), seconds)
            code = 3
            try:
                code = work(lambda text: line.write_text(text) and None)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        status = _outlive(life, seconds * PATIENCE)
        told, said = line.read_text(), Path(scratch, "output").read_text(errors="replace")[-2000:]
    if os.WIFSIGNALED(status):
        return Trial("timeout" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL) else "failed", told, said)
    return Trial("passed" if os.WEXITSTATUS(status) == 0 else "failed", told, said)


def _begin(copy: Copy, scratch: Path, seconds: float) -> None:
    """Become a process of its own, that sees the copy, and leaves nothing behind."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.path[:0] = copy.paths
    sys.dont_write_bytecode = True
    os.environ.update(copy.environ)
    os.chdir(ROOT)
    with Path(scratch, "output").open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def _outlive(life: int, seconds: float) -> int:
    """Wait for the end of a life, and make it one after so many seconds; its children end with it."""
    ended = os.pidfd_open(life)
    select.select([ended], [], [], seconds)
    os.close(ended)
    with suppress(ProcessLookupError):
        os.killpg(life, signal.SIGKILL)  # not reaped yet, so the number is still its own
    return os.waitpid(life, 0)[1]


def _run(files: Iterable[str], *plugins: object) -> int:
    options = ["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist", *_PRELOADED]
    return int(pytest.main([*options, *files], plugins=[_Steady(), *plugins]))


class _Steady:
    """The same examples every time, and no search for a smaller one: that one fails is all we want to know."""

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        from hypothesis import HealthCheck, Phase, settings

        settings.register_profile(
            "mutation",
            max_examples=40,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        settings.load_profile("mutation")


class _Chosen:
    """Runs these tests and no others, in this order, and tells which one failed."""

    def __init__(self, tests: list[str], told: Callable[[str], None]) -> None:
        self._order: Final = {test: number for number, test in enumerate(tests)}
        self._told: Final = told

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self._order), key=lambda i: self._order[i.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._told(report.nodeid)


# -- which tests pass by which lines ---------------------------------------------------------------------------------


@frozen
class Passing:
    """What the tests of one file did when nothing was wrong."""

    seconds: dict[str, float]
    """How long each took, with what was needed to watch it."""
    lines: dict[str, dict[int, list[str]]]
    """The tests that passed by each line of each module."""
    imported: dict[str, list[int]]
    """Lines that run when a module is imported."""


def watch(copy: Copy, file: str, modules: Iterable[str], seconds: float) -> Passing:
    """Run the tests of one file and see where they pass; raises `RuntimeError` when one of them fails."""
    found = copy.folder / "passing.json"
    trial = forked(copy, lambda told: _watched(copy, file, list(modules), found, told), seconds)
    if trial.outcome != "passed":
        raise RuntimeError(f"{file}: {trial.outcome} without any mutant: {trial.test}\n{trial.output}")
    read: dict[str, Any] = json.loads(found.read_text())
    lines = {module: {int(line): tests for line, tests in each.items()} for module, each in read["lines"].items()}
    return Passing(read["seconds"], lines, read["imported"])


def _watched(copy: Copy, file: str, modules: list[str], found: Path, told: Callable[[str], None]) -> int:
    from coverage import Coverage

    coverage = Coverage(data_file=None, config_file=False, include=[str(copy.folder / each) for each in modules])
    watcher = _Watcher(coverage.switch_context, told)
    coverage.start()
    code = _run([file], watcher)
    coverage.stop()
    data = coverage.get_data()
    by_line = {module: data.contexts_by_lineno(str(copy.folder / module)) for module in modules}
    lines = {
        module: {line: [each for each in tests if each] for line, tests in each.items()}
        for module, each in by_line.items()
    }
    imported = {module: [line for line, tests in each.items() if "" in tests] for module, each in by_line.items()}
    found.write_text(json.dumps({"seconds": watcher.seconds, "lines": lines, "imported": imported}))
    return code


class _Watcher:
    def __init__(self, switch: Callable[[str], None], told: Callable[[str], None]) -> None:
        self._switch, self._told = switch, told
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._switch(item.nodeid)
        began = perf_counter()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = perf_counter() - began
            self._switch("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._told(report.nodeid)
