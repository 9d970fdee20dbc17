"""The command line: `main` takes the arguments, and gives the exit code."""

import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias

import trio

from ._errors import explain
from ._exits import Exit, Stop
from ._output import Output, abandon_stdout, forgive_streams
from ._parser import parse

_Command: TypeAlias = Callable[[Namespace, Output], Awaitable[int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; only a bug raises, so that it shows where it is.

    Ctrl-C and SIGTERM leave in good order. What a run had committed by then is kept.
    """
    forgive_streams()
    try:
        args = parse(argv)
        output = Output(json=args.json, plain=args.plain)
        return trio.run(partial(_command(args.command), args, output), restrict_keyboard_interrupt_to_checkpoints=True)
    except SystemExit as leaving:  # argparse, after --help and --version
        return leaving.code if isinstance(leaving.code, int) else Exit.FINE
    except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
        stop = explain(error)
        if stop is None:
            raise
        return _leave(stop)


def _leave(stop: Stop) -> int:
    if stop.code is Exit.UNREAD:
        abandon_stdout()
    else:
        sys.stdout.flush()
        Output().note(f"terzetto: {stop}")
    return stop.code


def _command(name: str) -> _Command:
    """The command of this name, loaded when it is asked for: `--help` needs none of them."""
    match name:
        case "demo":
            from ._demo import demo

            return demo
        case "run":
            from ._run import run

            return run
        case "serve":
            from ._serve import serve

            return serve
        case "console":
            from ._console import console

            return console
        case "graph":
            from ._graph import graph

            return graph
        case "schema":
            from ._schema import schema

            return schema
        case "doctor":
            from ._doctor import doctor

            return doctor
        case _:
            return _looking(name)


def _looking(name: str) -> _Command:
    """The commands that look."""
    match name:
        case "runs":
            from ._list import runs

            return runs
        case "show":
            from ._show import show

            return show
        case "history":
            from ._history import history

            return history
        case "diff" | "replay":
            from . import _travel as travel

            return {"diff": travel.diff, "replay": travel.replay}[name]
        case "watch":
            from ._watch import watch

            return watch
        case _:
            return _steering(name)


def _steering(name: str) -> _Command:
    """The commands that say something to a run."""
    match name:
        case "decide" | "withdraw":
            from . import _decide

            return {"decide": _decide.decide, "withdraw": _decide.withdraw}[name]
        case "cancel" | "pause" | "resume":
            from . import _commands as commands

            return {"cancel": commands.cancel, "pause": commands.pause, "resume": commands.resume}[name]
        case "truncate" | "delete":
            from . import _forgetting as forgetting

            return {"truncate": forgetting.truncate, "delete": forgetting.delete}[name]
        case _:
            from . import _branching as new

            return {"undo": new.undo, "fork": new.fork, "retry": new.retry, "rerun": new.rerun}[name]
