"""`python -m benchmarks` runs and prints well-formed rows; how fast anything is, nobody says here."""

import math
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[1]
KEYS = {"name", "work", "ours", "against", "ratio", "min", "max", "aim", "met"}
NAMES = [
    "chain",
    "chain_when",
    "memory",
    "sqlite",
    "sqlite_pure",
    "sqlite_100",
    "fan_alone",
    "fan_memory",
    "fan_sqlite",
    "history_2",
    "history_4",
    "history_8",
    "cancel",
    "cancel_tree",
    "paused_memory_few",
    "paused_memory_many",
    "paused_sqlite_few",
    "paused_sqlite_many",
    "import",
    "modules",
]
CHEAP = [name for name in NAMES if not name.startswith(("paused", "import", "modules"))]
"""Those that start no processes."""


def benchmarks(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, env=os.environ)


@pytest.mark.parametrize("names", [CHEAP, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["cheap", "all"])
def test_a_quick_run_prints_one_well_formed_line_per_row(names):
    done = benchmarks("--quick", "--json", *(["--only", ",".join(names)] if names is CHEAP else []))

    assert done.returncode == 0, done.stderr
    rows = [msgspec.json.decode(line, type=dict) for line in done.stdout.splitlines()]
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert KEYS <= row.keys()
        assert row["min"] <= row["ratio"] <= row["max"]
        assert row["min"] == min(row["ratios"])
        assert all(map(math.isfinite, row["ratios"]))
        assert (row["met"] is None) == (row["aim"] is None)


def test_chosen_rows_make_a_table():
    done = benchmarks("--quick", "--only", "cancel,chain", "--rounds", "2")

    assert done.returncode == 0, done.stderr
    head, chain, cancel, *_ = done.stdout.splitlines()
    assert head.split()[:4] == ["name", "ours", "raw", "unit"]
    assert (chain.split()[0], cancel.split()[0]) == ("chain", "cancel")
    assert "(2 turns)" in chain


@pytest.mark.parametrize("wrong", [("--only", "speed"), ("--rounds", "0")])
def test_what_cannot_be_measured_is_refused_in_a_sentence(wrong):
    done = benchmarks("--quick", *wrong)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
