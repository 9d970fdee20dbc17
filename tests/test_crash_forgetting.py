"""A process that is killed while it forgets leaves a whole store: all of a piece is gone, or none (SEMANTICS 3.3)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import terzetto
from terzetto.stores import SqliteStore
from terzetto_protocol.checkpoints import CheckpointPolicy
from terzetto_protocol.decisions import Approve
from terzetto_protocol.image import read_record
from terzetto_protocol.retention import Keep, Retention

from .runtimes import SUCCEEDED, Say, Tally, chain, opened, says, told
from .sqlite_stores import in_time

CHILD = Path(__file__).with_name("forgetting_child.py")
RETENTION = Retention(history=Keep(latest=1))


async def labelled(ctx):
    ctx.record(Say("labelled"))
    ctx.checkpoint("labelled")


GRAPH = chain(
    says("a"), labelled, *(says(f"s{n}") for n in range(5)), "gate", says("z"), checkpoints=CheckpointPolicy(every=1)
)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A store with a run that waits, one that has ended, and one of each more."""
    path = tmp_path_factory.mktemp("template") / "runs.db"

    async def make() -> None:
        async with opened(SqliteStore(path, synchronous="normal"), GRAPH) as runtime:
            for name in ("r", "waits"):
                run = await runtime.submit(GRAPH, Tally(), run_id=name)
                await told(run, until=terzetto.BarrierOpened)
            for name in ("ended", "ended-too"):
                run = await runtime.submit(GRAPH, Tally(), run_id=name, auto_approve=True)
                assert SUCCEEDED is (await run.result()).status

    trio.run(make)
    return path


def kill_all(template: Path, folder: Path, what: str, step: int) -> list[Path]:
    """The stores that processes left which were killed at each so-many-th statement; the last one ended well."""
    command = [sys.executable, "-m", "tests.forgetting_child", str(template), str(folder), what, str(step)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(CHILD.parent.parent)])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environ)
    assert done.returncode == 0, done.stderr
    return [folder / f"{number}.db" for number in range(1, int(done.stdout) + 1, step)]


async def seqs(store, run_id: str) -> list[int]:
    return [read_record(body).seq for body in await store.records(run_id)]


async def look(path: Path, check) -> None:
    store = SqliteStore(path, synchronous="normal")
    async with store:
        assert () == (await store.health(deep=True)).problems
        await check(store)
    await goes_on(store)


async def goes_on(store: SqliteStore) -> None:
    async with opened(store, GRAPH) as runtime:
        for name in ("r", "waits"):
            run = runtime.get(name)
            await run.decide("", Approve())
            assert ["a", "labelled", "s0", "s1", "s2", "s3", "s4", "z"] == (await run.result()).state.trail
            assert (await run.replay()).holds


@in_time
async def test_a_prune_that_is_killed(template, tmp_path):
    """3.3: one transaction: whichever statement was the last, the log is whole, and the run goes on."""
    paths = await trio.to_thread.run_sync(kill_all, template, tmp_path, "prune", 1)
    found = set()

    async def check(store):
        found.add(tuple(await seqs(store, "r")))
        assert [*range(1, 10)] == await seqs(store, "waits")

    for path in paths:
        await look(path, check)
    assert {tuple(range(1, 10)), (4, 7, 8, 9)} == found
    assert len(paths) > 10


@in_time
async def test_a_delete_that_is_killed(template, tmp_path):
    """3.3: everything of the run is there, or nothing."""
    paths = await trio.to_thread.run_sync(kill_all, template, tmp_path, "delete", 1)
    found = set()

    async def check(store):
        row, left = await store.run("ended"), await seqs(store, "ended")
        assert (row is None) == (left == [])
        found.add(len(left))
        assert await store.run("ended-too") is not None

    for path in paths:
        await look(path, check)
    assert {0, 11} == found
    assert len(paths) > 6


@in_time
async def test_a_cleaner_that_is_killed(template, tmp_path):
    """3.3: what it had not done is done by the next owner."""
    paths = await trio.to_thread.run_sync(kill_all, template, tmp_path, "clean", 29)
    goals = {"r": [4, 9], "waits": [4, 9], "ended": [4, 10, 11], "ended-too": [4, 10, 11]}
    unfinished = 0
    for path in paths:
        store = SqliteStore(path, synchronous="normal")
        async with store:
            assert () == (await store.health(deep=True)).problems
            unfinished += goals != {name: await seqs(store, name) for name in goals}
        async with opened(store, GRAPH, retention=RETENTION) as runtime:
            while not runtime.cleaner._surveyed:  # noqa: ASYNC110 - nobody else wants to know
                await trio.sleep(0.01)
            assert goals == {name: await seqs(store, name) for name in goals}
    assert unfinished >= len(paths) - 2
