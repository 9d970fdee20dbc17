"""The venv of the peers: beside the project, never in it, with the versions that `peers.txt` names."""

import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

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


def again(arguments: Sequence[str], note: Callable[[str], None]) -> NoReturn:
    """Become `python -m benchmarks` with these arguments in the venv, which is made anew where it has to be.

    Args:
        arguments: of this program.
        note: told what is being done.

    Raises:
        SystemExit: the peers cannot be installed.
    """
    if not _is_up_to_date():
        note(f"installing the peers into {FOLDER}")
        try:
            _install()
        except subprocess.CalledProcessError as error:
            sys.exit(f"the peers cannot be installed: {' '.join(error.cmd)} has ended with {error.returncode}")
    os.execve(_python(), [str(_python()), "-m", "benchmarks", *arguments], _environment())


def _is_up_to_date() -> bool:
    return _SEEN.is_file() and _SEEN.read_text(encoding="utf-8") == _asked()


def _asked() -> str:
    """Everything that belongs into the venv, as text."""
    return "\n".join(
        [platform.python_version(), *(path.read_text(encoding="utf-8") for path in _LISTS), *_our_dependencies()]
    )


def _our_dependencies() -> list[str]:
    dependencies: list[str] = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    return dependencies


def _python() -> Path:
    return FOLDER / "bin" / "python"


def _install() -> None:
    here, aside = _LISTS
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
    _pip("-r", str(here), *_our_dependencies())
    _pip("--no-deps", "--target", str(ASIDE), "-r", str(aside))
    _SEEN.write_text(_asked(), encoding="utf-8")


def _pip(*arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check")
    subprocess.run([str(_python()), "-m", "pip", "install", *quiet, *arguments], check=True, stdout=sys.stderr)


def _environment() -> dict[str, str]:
    """Ours, with Terzetto on the path as it lies here."""
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "actors", "protocol"))
    return dict(os.environ) | {"PYTHONPATH": path}
