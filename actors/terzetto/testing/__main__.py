"""`python -m terzetto.testing SEED`: repeat a simulated world, or sweep through many of them."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from terzetto_protocol.errors import InvalidRequest

from ._inventing import invent
from ._scenario import Scenario
from ._shrinking import keep, parse
from ._simulation import simulate
from ._sweep import Make, PromiseBroken, sweep

_FINE, _BROKEN, _USAGE = 0, 1, 2


def main(words: Sequence[str]) -> int:
    """Do what the words say, and return the exit code: 0 where every promise was kept, 1 where one was broken."""
    args = _parser().parse_args(words)
    try:
        make = _world(args.world)
        first, last = _seeds(args.seeds)
        if first == last:
            return _repeat(make, first, args.keep)
        count = sweep(make, range(first, last + 1))
    except InvalidRequest as error:
        _say(f"{error}", sys.stderr)
        return _USAGE
    except PromiseBroken as broken:
        _say(f"{broken}")
        return _BROKEN
    _say(f"{count} worlds, and every promise was kept")
    return _FINE


def _repeat(make: Make, seed: int, kept: Sequence[str]) -> int:
    simulation = simulate(keep(make(seed), dict(map(parse, kept))), seed)
    _say(simulation.trace.text, end="")
    _say(f"trace {simulation.trace.digest}")
    return _BROKEN if simulation.problems else _FINE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m terzetto.testing", description=__doc__)
    parser.add_argument(
        "seeds", metavar="SEED", help="a number: its world is told; or two, as in 0-999: they are swept"
    )
    parser.add_argument(
        "--world", metavar="MODULE:NAME", help="a function that makes a Scenario of a seed, or a Scenario"
    )
    parser.add_argument("--keep", metavar="PART=I,J", nargs="*", default=[], help="only these of the world's parts")
    return parser


def _seeds(word: str) -> tuple[int, int]:
    first, dash, last = word.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise InvalidRequest(f"{word!r} is neither a seed nor a range of seeds, as in 0-999")
    return int(first), int(last or first)


def _world(spec: str | None) -> Make:
    """The world that a person named on the command line; this is no name from data."""
    if spec is None:
        return invent
    module, _, name = spec.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidRequest(f"there is no world {spec!r}: {error}") from error
    if isinstance(found, Scenario):
        return lambda seed: found
    make: Make = found
    return make


def _say(text: str, to: Any = None, end: str = "\n") -> None:
    (to or sys.stdout).write(text + end)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

__all__: Final = ["main"]
