"""Reading a command line: which command, and what is wrong in one sentence."""

import shutil
import sys
import textwrap
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn, TypeAlias

from ._arguments import COMMANDS
from ._exits import MEANINGS, Stop

_Commands: TypeAlias = Any  # argparse does not export the type of what `add_subparsers` gives


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
    for name, (about, add) in COMMANDS.items():
        add(_command(commands, name, about))
    return parser


def _version() -> str:
    from .. import __version__

    return f"terzetto {__version__}"


def _epilog() -> str:
    width = max(40, shutil.get_terminal_size().columns - 2)
    rows = [f"{code.value:>5}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["exit codes:", *(textwrap.fill(row, width, subsequent_indent=" " * 7) for row in rows)])


def _command(commands: _Commands, name: str, about: str) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(
        name, help=about, description=f"{about[0].upper()}{about[1:]}.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="for machines: JSON on standard output")
    parser.add_argument("--plain", action="store_true", help="no colours and no progress bars (also: NO_COLOR=1)")
    text = "where runs are kept (default: TERZETTO_STORE, else sqlite:terzetto.db in this folder)"
    parser.add_argument("--store", metavar="URL", help=text)
    return parser
