"""The demo, killed again and again: `audit.json` is what an unkilled run makes, and it is written once."""

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from terzetto.testing import points

FILES = 12
DEMO = [sys.executable, "-m", "terzetto", "demo"]


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


@attrs.define
class Audit:
    """One store and one report, worked on by processes that die."""

    tree: Path
    folder: Path
    inode: int | None = None

    @property
    def report(self) -> Path:
        return self.folder / "audit.json"

    def command(self) -> list[str]:
        store, out = f"sqlite:{self.folder / 'runs.db'}", str(self.folder)
        return [*DEMO, str(self.tree), "--approve", "--store", store, "--out", out]

    def live(self, *, crash_at: str = "", seconds: float = 60.0) -> int:
        """One process, until it ends, is killed by a fault point, or has lived this long and is killed."""
        environ = os.environ | ({"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": crash_at} if crash_at else {})
        with subprocess.Popen(
            self.command(), env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                _, errors = process.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                _, errors = process.communicate()
        assert process.returncode in (0, -9), errors.decode()
        self.look()
        return process.returncode

    def look(self) -> None:
        """A finished report is never written again: its inode stays."""
        if self.report.exists():
            inode = self.report.stat().st_ino
            assert self.inode in (None, inode), "the report was written twice"
            self.inode = inode


@pytest.fixture(scope="module")
def unkilled(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What `audit.json` is when nobody kills anything."""
    audit = Audit(tree, tmp_path_factory.mktemp("unkilled"))
    assert audit.live() == 0
    return audit.report.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("point", points)
def test_a_kill_at_every_point(tree: Path, unkilled: bytes, tmp_path: Path, point: str) -> None:
    """Done when: one kill at every named point leaves the same bytes, written once."""
    audit = Audit(tree, tmp_path)
    assert audit.live(crash_at=f"{point}:{1 if 'decision' in point or 'intent' in point else 2}") in (-9, 0)
    assert audit.live() == 0

    assert audit.report.read_bytes() == unkilled


@pytest.mark.parametrize("kills", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_random_kills(tree: Path, unkilled: bytes, tmp_path: Path, kills: int) -> None:
    """Done when: 200 random kills, by the clock and at points, leave the same bytes, written once."""
    rng = random.Random(20261121)
    audit, done = Audit(tree, tmp_path / "0"), 0
    audit.folder.mkdir()
    while done < kills:
        by_point = rng.random() < 0.5
        crash_at = f"{rng.choice(list(points))}:{rng.randint(1, FILES)}" if by_point else ""
        code = audit.live(crash_at=crash_at, seconds=60.0 if by_point else rng.uniform(0.2, 1.5))
        done += code == -9
        if code == 0:  # this audit is finished: the same command changes nothing, and the next one begins
            assert audit.report.read_bytes() == unkilled
            audit = Audit(tree, tmp_path / str(done))
            shutil.rmtree(audit.folder, ignore_errors=True)
            audit.folder.mkdir()
    assert audit.live() == 0

    assert audit.report.read_bytes() == unkilled
