"""The commands and their options."""

import shutil
import sys
import textwrap
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final, NoReturn, TypeAlias

from ._exits import MEANINGS, Stop

RECEIPT_WAIT: Final = 10.0
"""How long a command waits for the owner's receipt, seconds."""
_LISTED: Final = 20
"""Runs that `runs` lists."""

_Commands: TypeAlias = Any  # argparse does not export the type of what `add_subparsers` gives

COMMANDS: Final = {
    "demo": "audit a tree of Python source: a job to kill, and to see go on",
    "run": "submit a run of your graph and carry it",
    "runs": "list runs",
    "show": "show one run: status, commits, events, state",
    "watch": "follow a run's events until it ends",
    "decide": "answer a barrier that a run waits at",
    "cancel": "end a run",
    "resume": "let a paused run go on, or carry an unfinished one here",
    "graph": "draw a graph, also with what a run has done, or check it",
    "doctor": "versions, store health, what waits and what to do",
}


class _Parser(ArgumentParser):
    """Says what is wrong in one sentence, by `Stop`."""

    def error(self, message: str) -> NoReturn:
        raise Stop(f"{message} (see `{self.prog} --help`)")


def parse(argv: Sequence[str] | None) -> Namespace:
    """The arguments of a command; raises `Stop` for wrong ones, and `SystemExit` after `--help` and `--version`."""
    words = sys.argv[1:] if argv is None else argv
    parser = _parser()
    if not words:
        parser.print_help()
        raise SystemExit(0)
    named = next((word for word in words if not word.startswith("-")), None)
    if named is not None and named not in COMMANDS:
        close = get_close_matches(named, COMMANDS, n=1)
        raise Stop(f"there is no command {named!r}: {f'did you mean {close[0]}?' if close else ', '.join(COMMANDS)}")
    return parser.parse_args(words)


def _parser() -> ArgumentParser:
    parser = _Parser(
        prog="terzetto",
        description="Durable graphs of async steps for Trio.",
        epilog=_epilog(),
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (_demo, _run, _runs, _show, _watch, _decide, _cancel, _resume, _graph, _doctor):
        add(commands)
    return parser


def _version() -> str:
    from .. import __version__

    return f"terzetto {__version__}"


def _epilog() -> str:
    width = max(40, shutil.get_terminal_size().columns - 2)
    rows = [f"{code.value:>5}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["exit codes:", *(textwrap.fill(row, width, subsequent_indent=" " * 7) for row in rows)])


def _command(commands: _Commands, name: str) -> ArgumentParser:
    about = COMMANDS[name]
    parser: ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="for machines: JSON on standard output")
    parser.add_argument("--plain", action="store_true", help="no colours and no progress bars (also: NO_COLOR=1)")
    text = "where runs are kept (default: TERZETTO_STORE, else sqlite:terzetto.db in this folder)"
    parser.add_argument("--store", metavar="URL", help=text)
    return parser


def _demo(commands: _Commands) -> None:
    parser = _command(commands, "demo")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="what to audit (default: the installed trio)")
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument("--approve", action="store_true", help="sign the summary off without asking")
    answer.add_argument("--reject", nargs="?", const="", metavar="REASON", help="reject it: no report is written")
    parser.add_argument("--out", metavar="FOLDER", help="where audit.html and audit.json go (default: this folder)")
    parser.add_argument("--fresh", action="store_true", help="audit anew what was audited before")
    parser.add_argument("--no-wait", action="store_true", help="leave with 3 where nobody here can decide")


def _run(commands: _Commands) -> None:
    parser = _command(commands, "run")
    parser.add_argument("graph", metavar="MODULE:GRAPH", help="a graph at the top level of a module")
    parser.add_argument(
        "--input", metavar="JSON", default="{}", help="the state: JSON, @FILE, or @- for standard input"
    )
    parser.add_argument("--run-id", metavar="ID", help="the same id and input again is the same run, and goes on")
    parser.add_argument("--key", default="", help="idempotency key: the same key and input is the same run")
    parser.add_argument("--auto-approve", action="store_true", help="approve every barrier of this run")
    _add_stay(parser)


def _add_stay(parser: ArgumentParser) -> None:
    text = "without a terminal: wait for decisions from elsewhere, instead of leaving with 3"
    parser.add_argument("--stay", action="store_true", help=text)


def _runs(commands: _Commands) -> None:
    parser = _command(commands, "runs")
    parser.add_argument("--status", action="append", default=[], metavar="S", help="only these (a list, or repeated)")
    parser.add_argument("--limit", type=_limit, default=_LISTED, metavar="N", help=f"default {_LISTED}; `all` for all")
    parser.add_argument("--before", metavar="ID", help="older than this run")


def _show(commands: _Commands) -> None:
    parser = _command(commands, "show")
    _add_run(parser)
    text = "the last N commits, or `all` (default: 20; with --json all)"
    parser.add_argument("--commits", type=_commits, metavar="N", help=text)


def _watch(commands: _Commands) -> None:
    parser = _command(commands, "watch")
    _add_run(parser)
    text = "only events after this one (default: from the beginning)"
    parser.add_argument("--from", dest="from_event", type=_number, default=0, metavar="EVENT_ID", help=text)


def _decide(commands: _Commands) -> None:
    parser = _command(commands, "decide")
    _add_run(parser)
    parser.add_argument("barrier", nargs="?", default="", metavar="BARRIER", help="its id or name, if several are open")
    answer = parser.add_mutually_exclusive_group(required=True)
    answer.add_argument("--approve", action="store_true")
    answer.add_argument("--reject", nargs="?", const="", metavar="REASON")
    answer.add_argument("--choose", metavar="EXIT", help="leave by an exit that the barrier declares")
    text = "the effect happened; MUTATIONS as `show --json` has them"
    answer.add_argument("--confirm", nargs="?", const="", metavar="MUTATIONS", help=text)
    answer.add_argument("--retry", action="store_true", help="the effect may happen (again)")
    answer.add_argument("--fail", nargs="?", const="", metavar="REASON", help="the effect is given up")
    parser.add_argument("--by", metavar="NAME", default="", help="who decides (default: your login name)")
    _add_wait(parser)


def _cancel(commands: _Commands) -> None:
    parser = _command(commands, "cancel")
    _add_run(parser)
    parser.add_argument("--reason", default="")
    _add_wait(parser)


def _resume(commands: _Commands) -> None:
    parser = _command(commands, "resume")
    _add_run(parser)
    text = "carry it in this process, if none owns the store"
    parser.add_argument("graph", nargs="?", default="", metavar="MODULE:GRAPH", help=text)
    _add_stay(parser)
    _add_wait(parser)


def _graph(commands: _Commands) -> None:
    parser = _command(commands, "graph")
    parser.add_argument("graph", metavar="MODULE:GRAPH")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--mermaid", action="store_true", help="draw it as a Mermaid flowchart")
    form.add_argument("--dot", action="store_true", help="draw it for Graphviz")
    form.add_argument("--svg", action="store_true", help="draw it as a picture")
    form.add_argument("--html", action="store_true", help="the same picture as a page of its own")
    form.add_argument("--check", action="store_true", help="mistakes, warnings, cycles, ends (the default)")
    text = "with --svg or --html: show what this run has done"
    parser.add_argument("--run", metavar="RUN", help=text)


def _doctor(commands: _Commands) -> None:
    parser = _command(commands, "doctor")
    parser.add_argument("--deep", action="store_true", help="check the integrity of everything that is stored")


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id")


def _add_wait(parser: ArgumentParser) -> None:
    text = f"how long to wait for the owner's answer (default {RECEIPT_WAIT:g})"
    parser.add_argument("--wait", type=_seconds, default=RECEIPT_WAIT, metavar="SECONDS", help=text)


def _limit(text: str) -> int | None:
    return None if text == "all" else _number(text)


def _commits(text: str) -> int:
    return -1 if text == "all" else _number(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
