"""`python -m benchmarks`: play the contests and print what came of them."""

import argparse
import platform
import sys
from collections.abc import Sequence

import apsw
import trio

from . import _cancel, _chain, _fan, _history, _import, _paused, _sqlite
from ._contest import Contest
from ._disk import sync_milliseconds
from ._rounds import play
from ._sizes import FULL, QUICK, Sizes
from ._table import json_lines, table


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print."""
    parser = _parser()
    options = parser.parse_args(arguments)
    contests = all_contests(QUICK if options.quick else FULL, options.dir)
    try:
        chosen = choose(contests, options.only)
    except KeyError as error:
        parser.error(f"there is no benchmark {error}; there are {', '.join(c.name for c in contests)}")
    _note(_machine(options.dir))
    rows = play(chosen, options.rounds or (1 if options.quick else 5), _note)
    print(json_lines(rows) if options.json else table(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: shows that it runs, not how fast")
    parser.add_argument("--json", action="store_true", help="one object per line instead of a table")
    parser.add_argument("--rounds", type=_positive, help="rounds after the warm-up (default: 5)")
    parser.add_argument("--only", type=lambda names: names.split(","), help="NAME,...: these, or families of them")
    parser.add_argument("--dir", help="folder on the disk to measure (default: the one for temporary files)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def all_contests(sizes: Sizes, folder: str | None) -> list[Contest]:
    """Every contest, in the order of the table."""
    return [
        *_chain.contests(sizes),
        *_sqlite.contests(sizes, folder),
        *_fan.contests(sizes, folder),
        *_history.contests(sizes),
        *_cancel.contests(sizes),
        *_paused.contests(sizes, folder),
        *_import.contests(sizes),
    ]


def choose(contests: Sequence[Contest], names: Sequence[str] | None) -> list[Contest]:
    """The contests of these names; a name without a contest stands for all that begin with it, such as `paused`."""
    if names is None:
        return list(contests)
    wanted = {contest.name for name in names for contest in _called(contests, name)}
    return [contest for contest in contests if contest.name in wanted]


def _called(contests: Sequence[Contest], name: str) -> list[Contest]:
    exact = [contest for contest in contests if contest.name == name]
    found = exact or [contest for contest in contests if contest.name.startswith(f"{name}_")]
    if not found:
        raise KeyError(name)
    return found


def _machine(folder: str | None) -> str:
    versions = f"Python {platform.python_version()}, Trio {trio.__version__}, SQLite {apsw.sqlite_lib_version()}"
    return f"{versions}, fdatasync {sync_milliseconds(folder):.2g} ms"


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
