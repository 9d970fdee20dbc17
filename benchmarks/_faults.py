"""What fault points cost that nobody uses: the everyday path, beside the same code from which they are cut out.

The other side is compiled from the same source, with every `_faults.hook` taken for None. Its code objects take the
place of the functions' own while it is measured, in the same process, so that nothing else differs.
"""

import ast
import pkgutil
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from time import thread_time
from types import CodeType, FunctionType, ModuleType
from typing import Final

import trio

import terzetto

from ._chain import alone, in_memory
from ._contest import Bar, Contest, Measure, Opponent
from ._setting import Setting
from ._work import chain_graph

BEST_OF: Final = 5
"""The best of so many is a figure: what disturbs it only ever makes it slower."""
PIECES: Final = 4
"""Short works that follow one another closely meet the same machine."""
TURNS: Final = 12
_CUT: Final = "the same code, compiled without its fault points"


def contests(setting: Setting) -> list[Contest]:
    """`faults_chain` and `faults_memory`."""
    steps = setting.sizes.chain // PIECES
    return [
        _contest("faults_chain", f"G1, {steps:,} steps,", steps, lambda: trio.run(alone, chain_graph(), steps)),
        _contest("faults_memory", f"G2, {steps:,} steps,", steps, lambda: trio.run(in_memory, steps, "direct")),
    ]


def _contest(name: str, work: str, steps: int, play: Callable[[], object]) -> Contest:
    measure = partial(_best, steps, play)
    cut = Opponent("without", partial(_without, measure), _CUT, Bar(0.98))
    return Contest(name, f"{work} with fault points", "steps/CPU s", measure, [cut], turns=TURNS)


def _best(steps: int, play: Callable[[], object]) -> float:
    """Steps per second of processor time, which does not pass while others have the processor."""
    return max(steps / _took(play) for _ in range(BEST_OF))


def _took(play: Callable[[], object]) -> float:
    began = thread_time()
    play()
    return thread_time() - began


def _without(measure: Measure) -> float:
    with _points_cut():
        return measure()


@contextmanager
def _points_cut() -> Generator[None, None, None]:
    pairs = _pairs()
    for function, _, cut in pairs:
        function.__code__ = cut
    try:
        yield
    finally:
        for function, own, _ in pairs:
            function.__code__ = own


@cache
def _pairs() -> list[tuple[FunctionType, CodeType, CodeType]]:
    """Every function that passes a point, its own code, and that without the point."""
    found = [pair for module in _modules() for pair in _pairs_of(module)]
    assert len(found) >= 5, "the points are elsewhere now"
    return found


def _modules() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(terzetto.__path__):
        if not info.ispkg and "_faults.hook" in (Path(terzetto.__path__[0]) / f"{info.name}.py").read_text("utf-8"):
            yield import_module(f"terzetto.{info.name}")


def _pairs_of(module: ModuleType) -> Iterator[tuple[FunctionType, CodeType, CodeType]]:
    assert module.__file__ is not None
    source = Path(module.__file__).read_text("utf-8")
    own = dict(_codes(compile(source, module.__file__, "exec", dont_inherit=True)))
    cut = dict(_codes(compile(_Cut().visit(ast.parse(source)), module.__file__, "exec", dont_inherit=True)))
    for function in _functions(module):
        name, code = function.__qualname__, function.__code__
        if name in own and own[name].co_code == code.co_code != cut[name].co_code:  # what is decorated is another one
            yield function, code, cut[name]


class _Cut(ast.NodeTransformer):
    """Answers every question after the hook as if there were none; the compiler leaves out what follows from that."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if ast.unparse(node.left) != "_faults.hook":
            return node
        return ast.copy_location(ast.Constant(isinstance(node.ops[0], ast.Is)), node)


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const.co_qualname, const
            yield from _codes(const)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    spaces = [module, *(each for each in vars(module).values() if isinstance(each, type))]
    for space in spaces:
        for each in vars(space).values():
            if isinstance(each, FunctionType) and each.__module__ == module.__name__:
                yield each
