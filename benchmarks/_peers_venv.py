"""The venv of the peers: beside the project, never in it, with the versions that `peers.txt` names."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ._process import ROOT

FOLDER: Final = ROOT / ".bench-venv"
ASIDE: Final = FOLDER / "aside"
"""What cannot be installed beside the others: older versions of them, for child processes."""
_LISTS: Final = (ROOT / "benchmarks" / "peers.txt", ROOT / "benchmarks" / "peers_aside.txt")
_PROJECT: Final = ROOT / "pyproject.toml"
_SEEN: Final = FOLDER / "installed.txt"
"""What was asked for when it was made."""


def is_inside() -> bool:
    """Whether this interpreter is that venv's."""
    return Path(sys.prefix) == FOLDER


def again(arguments: Sequence[str], note: Callable[[str], None]) -> int:
    """Run `python -m benchmarks` with these arguments in the venv, made or renewed where it has to be; its exit code."""
    asked = "".join(path.read_text(encoding="utf-8") for path in (*_LISTS, _PROJECT))
    if not _SEEN.is_file() or _SEEN.read_text(encoding="utf-8") != asked:
        note(f"installing the peers into {FOLDER}")
        _install()
        _SEEN.write_text(asked, encoding="utf-8")
    command = [str(_python()), "-m", "benchmarks", *arguments]
    return subprocess.run(command, env=_environment(), check=False).returncode


def _python() -> Path:
    return FOLDER / "bin" / "python"


def _install() -> None:
    here, aside = _LISTS
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
    _pip("-r", str(here), *tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"])
    _pip("--no-deps", "--target", str(ASIDE), "-r", str(aside))


def _pip(*arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([str(_python()), "-m", "pip", "install", *quiet, *arguments], check=True, stdout=sys.stderr)


def _environment() -> dict[str, str]:
    """Ours, with Terzetto on the path as it lies here."""
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "actors", "protocol"))
    return dict(os.environ) | {"PYTHONPATH": path}
