"""The graph of `terzetto demo`: files are looked at side by side, and come out as if one after the other."""

import json
import threading

import pytest
import trio

import terzetto
from terzetto._demo import graph
from terzetto._demo.scan import FileRow
from terzetto.demo import Audit, audit

AT_ONCE = 8
SECONDS = 20


@pytest.fixture
def tree(tmp_path):
    folder = tmp_path / "tree"
    folder.mkdir()
    for number in range(3 * AT_ONCE):
        (folder / f"m{number:02}.py").write_text(f"def f():\n    return {number}\n")
    return folder


async def audited(tree, out):
    with trio.fail_after(SECONDS):
        return await terzetto.run(audit, Audit(str(tree), str(out), "tree"), auto_approve=True)


async def test_files_are_looked_at_eight_at_once(tree, tmp_path, monkeypatch):
    """5.5: a limit per fan-out: eight files wait for one another, and a ninth never comes beside them."""
    meeting, live, most = threading.Barrier(AT_ONCE, timeout=SECONDS), [], []

    def scan_file(root, name):
        live.append(name)
        meeting.wait()
        most.append(len(live))
        meeting.wait()
        live.remove(name)
        return FileRow(name)

    monkeypatch.setattr(graph, "scan_file", scan_file)
    state = await audited(tree, tmp_path)

    assert [AT_ONCE] * len(state.files) == most


async def test_rows_come_in_the_order_of_the_files(tree, tmp_path, monkeypatch):
    """5.5: the join folds in order of declaration: the first file is looked at last, and comes first."""
    ended, last = [], threading.Event()

    def scan_file(root, name):
        if name == "m00.py":
            assert last.wait(SECONDS)
        ended.append(name)
        if len(ended) == 3 * AT_ONCE - 1:
            last.set()
        return FileRow(name, lines=len(ended))

    monkeypatch.setattr(graph, "scan_file", scan_file)
    state = await audited(tree, tmp_path)

    assert "m00.py" == ended[-1]
    assert state.files == [row.path for row in state.rows]
    assert state.files == [row["path"] for row in json.loads((tmp_path / "audit.json").read_bytes())["files"]]


async def test_the_same_tree_makes_the_same_bytes(tree, tmp_path):
    for name in ("one", "two"):
        assert (await audited(tree, tmp_path / name)).published

    assert (tmp_path / "one" / "audit.json").read_bytes() == (tmp_path / "two" / "audit.json").read_bytes()
