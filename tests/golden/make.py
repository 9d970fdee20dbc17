"""Makes the newest golden logs anew: `python -m tests.golden.make [--next] [--force]`, from the root of the project.

Logs of a format that was released stay what they are for ever: `--next` begins those of the next one, which are made
by `runs_N.py` and read with `graphs_N.py`. `--force` is for who knows that nobody has such a store.
"""

import re
import sys
from importlib import import_module

import trio
import trio.testing

from terzetto import __version__

from .logs import FOLDER, made_by, numbers, path_of, write


def is_released(release: str) -> bool:
    """Whether the change log has a section of this release."""
    text = (FOLDER.parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.search(rf"^## \[?{re.escape(release)}[\]\s]", text, re.MULTILINE) is not None


def number_to_make(options: list[str]) -> int:
    """Which format; raises `SystemExit` for one that was released."""
    newest = max(numbers(), default=0)
    if "--next" in options or not newest:
        return newest + 1
    if is_released(made_by(newest)) and "--force" not in options:
        sys.exit(f"{path_of(newest).name} was released with {made_by(newest)}: say --next (or --force)")
    return newest


def main(options: list[str]) -> None:
    """Make a file."""
    number = number_to_make(options)
    runs = import_module(f"{__package__}.runs_{number}")
    goldens = trio.run(runs.make, clock=trio.testing.MockClock(autojump_threshold=0))
    write(number, goldens, __version__)
    print(f"{path_of(number).name}: {len(goldens)} runs, {path_of(number).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
