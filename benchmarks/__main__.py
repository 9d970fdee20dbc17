"""`python -m benchmarks`: play the contests and print what came of them."""

import argparse
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw
import trio

from . import (
    _cancel,
    _cancel_runs,
    _chain,
    _checkpointers,
    _console,
    _dispatch,
    _durable,
    _fan,
    _faults,
    _history,
    _import,
    _large,
    _many,
    _memory,
    _peers_venv,
    _resume,
    _stores,
    _stream,
)
from ._contest import Contest
from ._disk import sync_milliseconds
from ._plot import picture
from ._rounds import play
from ._setting import Setting
from ._sizes import FULL, QUICK
from ._table import json_lines, markdown, table
from .peers import load_peers

_ONLY_PEERS = "only peers do the same"


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else FULL
    try:
        choose(all_contests(Setting(sizes, options.dir)), options.only)
    except KeyError as error:
        parser.error(_unknown(error))
    if options.peers and not _peers_venv.is_inside():
        _peers_venv.again(arguments, _note)
    peers = load_peers(_note) if options.peers else ()
    chosen = choose(all_contests(Setting(sizes, options.dir, peers)), options.only)
    _note(_machine(options.dir))
    rows = play(playable(chosen, _note), options.rounds or (1 if options.quick else 5), _note)
    print(options.form(rows))
    if options.plot is not None:
        options.plot.write_text(picture(rows), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round: shows that it runs, not how fast")
    forms = parser.add_mutually_exclusive_group()
    for name, form, what in (
        ("--json", json_lines, "one object per line instead of a table"),
        ("--markdown", markdown, "a table of the targets for a page"),
    ):
        forms.add_argument(name, action="store_const", dest="form", const=form, default=table, help=what)
    parser.add_argument(
        "--peers", action="store_true", help="beside other libraries, too: in .bench-venv, made if missing"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the goals as SVG into this file")
    parser.add_argument("--rounds", type=_positive, help="rounds after the warm-up (default: 5)")
    parser.add_argument("--only", type=lambda names: names.split(","), help="G1,G5,chain,...: these goals, or names")
    parser.add_argument("--dir", help="folder on the disk to measure (default: the one for temporary files)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def all_contests(setting: Setting) -> list[Contest]:
    """Every contest, in the order of the table of goals; what has no goal stands beside its family."""
    groups = (
        _chain,
        _durable,
        _large,
        _history,
        _fan,
        _many,
        _memory,
        _resume,
        _stream,
        _cancel,
        _cancel_runs,
        _import,
        _dispatch,
        _faults,
        _console,
        _stores,
        _checkpointers,
    )
    return [contest for group in groups for contest in group.contests(setting)]


def choose(contests: Sequence[Contest], names: Sequence[str] | None) -> list[Contest]:
    """The contests of these names.

    A name is that of a contest (`fan_def`), of a family (`fan`: it and all that begin with `fan_`), of a goal (`G5a`),
    or of a family of goals (`G5`).
    """
    if names is None:
        return list(contests)
    wanted = {contest.name for name in names for contest in _called(contests, name)}
    return [contest for contest in contests if contest.name in wanted]


def _called(contests: Sequence[Contest], name: str) -> list[Contest]:
    found = [contest for contest in contests if _is_called(contest, name)]
    if not found:
        raise KeyError(name)
    return found


def _is_called(contest: Contest, name: str) -> bool:
    is_goal = name in (contest.goal, contest.goal.rstrip("abcdef"))
    return (is_goal and bool(name)) or contest.name == name or contest.name.startswith(f"{name}_")


def playable(contests: Sequence[Contest], note: Callable[[str], None]) -> list[Contest]:
    """Those for which everything is there; of the others it is said why they are left out."""
    whys = [(contest, contest.missing or ("" if contest.opponents else _ONLY_PEERS)) for contest in contests]
    for contest, why in whys:
        if why:
            note(f"{contest.name} is left out: {why}")
    return [contest for contest, why in whys if not why]


def _unknown(error: KeyError) -> str:
    contests = all_contests(Setting(QUICK))
    goals = dict.fromkeys(contest.goal for contest in contests if contest.goal)
    return f"there is no benchmark {error}; there are {', '.join([*goals, *(c.name for c in contests)])}"


def _machine(folder: str | None) -> str:
    versions = f"Python {platform.python_version()}, Trio {trio.__version__}, SQLite {apsw.sqlite_lib_version()}"
    return f"{versions}, fdatasync {sync_milliseconds(folder):.2g} ms"


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
