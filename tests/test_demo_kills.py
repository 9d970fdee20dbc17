"""The demo, killed again and again: `audit.json` is what an unkilled run makes, and it is written once."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from attrs import define

from terzetto._cli._audits import Place, latest
from terzetto._cli._stores import guest
from terzetto._loading import load_fold
from terzetto.demo import audit as graph
from terzetto.testing import points
from terzetto_protocol.limits import CLAIMS

from .lives import KILLED, LIMIT, Forks

FILES = 12
LIFE = 0.15
"""Seconds in which a life that nobody kills is over, most of the time."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Python files, one of them broken."""
    folder = tmp_path_factory.mktemp("tree") / "source"
    folder.mkdir()
    for number in range(FILES):
        body = "\n".join(f"def f{k}(x):\n    if x:\n        return {k}" for k in range(number + 1))
        (folder / f"m{number}.py").write_text(body)
    (folder / "broken.py").write_text("def (")
    return folder


@define
class Audit:
    """One store and one report, worked on by processes that die."""

    forks: Forks
    place: Place
    inode: int | None = None

    @property
    def report(self) -> Path:
        return self.place.out / "audit.json"

    def live(self, *, crash_at: str = "", seconds: float = LIMIT) -> int:
        """One process, until it ends, is killed by a fault point, or has lived this long and is killed."""
        environ = {"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": crash_at} if crash_at else {}
        words = [str(self.place.root), "--approve", "--store", self.place.store, "--out", str(self.place.out)]
        life = self.forks.live("-m", "terzetto", "demo", *words, seconds=seconds, **environ)
        assert life.code in (0, KILLED), life.out + life.errors
        assert not life.late or seconds < LIMIT, life.out + life.errors
        self.look()
        return life.code

    def is_worn(self) -> bool:
        """Whether one more process that dies before a commit would be the end of the run (SEMANTICS 2.6)."""

        async def claims() -> int:
            if (row := await latest(self.place)) is None:
                return 0
            async with guest(self.place.store) as store:
                return (await load_fold(store, row, graph.build())).image.claims

        return trio.run(claims) >= CLAIMS - 1

    def look(self) -> None:
        """A finished report is never written again: its inode stays."""
        if self.report.exists():
            inode = self.report.stat().st_ino
            assert self.inode in (None, inode), "the report was written twice"
            self.inode = inode


@pytest.fixture(scope="module")
def begun(forks: Forks, tree: Path) -> Callable[[Path], Audit]:
    """`begun(folder)`: an audit that has its store and its report in there."""

    def begun(folder: Path) -> Audit:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return Audit(forks, Place(tree, folder, f"sqlite:{folder / 'runs.db'}"))

    return begun


@pytest.fixture(scope="module")
def unkilled(begun, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What `audit.json` is when nobody kills anything."""
    audit = begun(tmp_path_factory.mktemp("unkilled"))
    assert audit.live() == 0
    return audit.report.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_point(begun, unkilled: bytes, tmp_path: Path, point: str) -> None:
    """Done when: one kill at every named point leaves the same bytes, written once."""
    audit = begun(tmp_path / "0")
    assert audit.live(crash_at=f"{point}:{1 if 'decision' in point or 'intent' in point else 2}") in (KILLED, 0)
    assert audit.live() == 0

    assert audit.report.read_bytes() == unkilled


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_random_kills(begun, unkilled: bytes, tmp_path: Path, kills: int) -> None:
    """Done when: 200 random kills, by the clock and at points, leave the same bytes, written once."""
    rng = random.Random(20261121)
    audit, done = begun(tmp_path / "0"), 0
    while done < kills:
        if audit.is_worn():
            code = audit.live()
        elif rng.random() < 0.5:
            code = audit.live(crash_at=f"{rng.choice(list(points))}:{rng.randint(1, FILES)}")
        else:
            code = audit.live(seconds=rng.uniform(0, LIFE))
        done += code == KILLED
        if code == 0:  # this audit is finished: the same command changes nothing, and the next one begins
            assert audit.report.read_bytes() == unkilled
            audit = begun(tmp_path / str(done))
    assert audit.live() == 0

    assert audit.report.read_bytes() == unkilled
