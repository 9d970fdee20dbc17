"""Fresh processes, for what a long-lived one cannot tell: memory and import time."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]


class ChildFailed(Exception):
    """A fresh process has ended badly; the message is the last line of its complaint that has words."""


def say(*arguments: str, path: str | None = None) -> str:
    """What a fresh interpreter prints.

    Args:
        *arguments: of the interpreter.
        path: a folder where it looks first for what it imports.

    Raises:
        ChildFailed: it has not come to its end.
    """
    command, environment = [sys.executable, *arguments], _environment()
    if path is not None:
        environment["PYTHONPATH"] = os.pathsep.join([path, environment.get("PYTHONPATH", "")])
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if any(map(str.isalpha, line))]
        raise ChildFailed(said[-1].strip() if said else f"exit code {done.returncode}")
    sys.stderr.write(done.stderr)
    return done.stdout


def _environment() -> dict[str, str]:
    """Ours, with byte code that is kept: compiling is no part of an import, except of the first in a life."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": _byte_code().name}


@cache
def _byte_code() -> "TemporaryDirectory[str]":
    return TemporaryDirectory(prefix="benchmarks-")  # gone when this process ends
