"""A process that is killed in the middle of a conversation, and where its thread is afterwards (SEMANTICS 3, 10.3)."""

from pathlib import Path

import pytest
import trio

from terzetto.stores import open_store
from terzetto.testing import points
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.threads import in_line

from .lives import KILLED, Forks, Life

CHILD = Path(__file__).with_name("threads_child.py")
ORDER = ["c", "b", "a"]
"""In which runs are submitted: neither that of their ids nor its reverse."""
SAID = ["c", "to b", "b", "to a", "a"]
"""What the last one ends with: each brings something along, but the first."""
MOMENTS = [*(("commit_durable", k) for k in range(3, 8)), ("event_published", 4), ("receipt_sent", 3)]
PASSES = 40
"""More than any point is passed in one run of the child."""


def start(forks: Forks, store: Path, crash_at: str = "") -> Life:
    """A process that begins or goes on, up to its end or to this point."""
    environ = {"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": crash_at} if crash_at else {}
    life = forks.live(str(CHILD), str(store), **environ)
    assert not life.late, life.errors
    return life


async def look(path: Path) -> tuple[str, list[str], list[str]]:
    """Head, runs that have SUCCEEDED, and runs in line, as the store has them."""
    async with open_store(f"sqlite:{path}", guest=True) as store:
        head, rows = await store.head("t"), await store.runs(thread="t")
    ended = [row.run_id for row in reversed(rows) if row.status is RunStatus.SUCCEEDED]
    return "" if head is None else head.run_id, ended, [row.run_id for row in in_line(rows)]


def live_twice(forks: Forks, path: Path, crash_at: str) -> bool:
    """Kill at this point, look, start again, check; False when the point was not passed so often."""
    first = start(forks, path, crash_at)
    if first.code != KILLED:
        assert first.code == 0, first.errors
        return False
    if path.exists():
        check_thread(path, first)
    last = start(forks, path)
    assert last.code == 0, last.errors
    assert last.all("result") == [{"run": run, "said": SAID[: 2 * n + 1]} for n, run in enumerate(ORDER)]
    assert trio.run(look, path)[0] == "b", "the rollback is the last word"
    return True


def check_thread(path: Path, first: Life) -> None:
    """What was said holds; the head is the last one that SUCCEEDED (or the one before, once rolled back)."""
    head, ended, line = trio.run(look, path)
    assert ended == ORDER[: len(ended)], "one after the other, in order of submission"
    assert line == ORDER[len(ended) : len(ended) + len(line)]
    assert set(first.all("receipt")) <= {*ended, *line}, "D1"
    told = [said["run"] for said in first.all("result")]
    assert set(told) <= set(ended), "D3"
    last = ended[-1] if ended else ""
    assert head == last or (head == "b" and ended == ORDER and told == ORDER)


@pytest.mark.parametrize("point, k", MOMENTS)
def test_a_kill_leaves_the_thread_where_it_was_told_to_be(forks: Forks, tmp_path: Path, point: str, k: int) -> None:
    """D7, 10.3: the head moves with the end or not at all, and who was enqueued is still in line, in order."""
    assert live_twice(forks, tmp_path / "runs.db", f"{point}:{k}")


@pytest.mark.slow
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_pass(forks: Forks, tmp_path: Path, point: str) -> None:
    for k in range(1, PASSES):
        folder = tmp_path / str(k)
        folder.mkdir()
        if not live_twice(forks, folder / "runs.db", f"{point}:{k}"):
            return
    pytest.fail(f"{point} is passed more often than {PASSES} times")
