"""What one parsed Python module looks like: its functions, its nesting, its missing docstrings."""

import ast
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import msgspec

__all__ = ["Shape", "measure"]

_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_CONTROL = (ast.If, *_LOOPS, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
_BLOCK_FIELDS = ("body", "handlers", "cases", "orelse", "finalbody")
_UNDOCUMENTED_BY_CUSTOM = frozenset({"overload", "setter", "deleter"})


class Shape(msgspec.Struct, frozen=True):
    """The figures of one module; all zero for an empty one."""

    functions: int = 0
    longest_function: str = ""
    longest_lines: int = 0
    nesting: int = 0
    missing_docstrings: int = 0


class _Place(NamedTuple):
    """A node, and what its surroundings say about it."""

    node: ast.AST
    prefix: str
    """The names around it, each with a dot behind: ``"Class."``."""
    depth: int
    """Control blocks around it in the same function or module, itself included."""
    public: bool
    """Whether everything around it can be reached from outside the module."""


def measure(tree: ast.Module, *, public: bool) -> Shape:
    """The shape of a module, in one pass that needs no recursion, however deep the blocks are.

    Args:
        tree: what ``ast.parse`` made of the file.
        public: whether the module itself owes its reader a docstring.
    """
    functions = nesting = longest_lines = 0
    longest = ""
    missing = int(public and bool(tree.body) and not _has_docstring(tree))
    for place in _places(tree):
        nesting = max(nesting, place.depth)
        missing += _owes_docstring(place)
        if isinstance(place.node, _FUNCTIONS):
            functions += 1
            # Places come in source order, so of two equally long functions the first one stays.
            if (lines := _length(place.node)) > longest_lines:
                longest, longest_lines = place.prefix + place.node.name, lines
    return Shape(functions, longest, longest_lines, nesting, missing)


def _places(tree: ast.Module) -> Iterator[_Place]:
    """Every statement in source order. Expressions are left out: no statement can hide in one."""
    pending = [_Place(tree, "", 0, public=True)]
    while pending:
        place = pending.pop()
        yield place
        pending.extend(reversed(_inside(place)))


def _inside(place: _Place) -> list[_Place]:
    node, prefix, depth, public = place
    if isinstance(node, _FUNCTIONS):
        # A new frame: its blocks are counted from zero, and nothing in it is seen from outside.
        prefix, depth, public = f"{prefix}{node.name}.", 0, False
    elif isinstance(node, ast.ClassDef):
        prefix, public = f"{prefix}{node.name}.", public and not node.name.startswith("_")
    return [
        _Place(child, prefix, depth + _is_deeper(node, child), public)
        for field in _BLOCK_FIELDS
        for child in _block(node, field)
    ]


def _block(node: ast.AST, field: str) -> list[ast.AST]:
    # Only statements, handlers and cases come here, and in those each of these fields is a list if it is there.
    block: list[ast.AST] = getattr(node, field, [])
    return block


def _is_deeper(parent: ast.AST, child: ast.AST) -> bool:
    """Whether the child opens a level. An ``elif`` does not, though the tree hangs it inside its ``if``."""
    if not isinstance(child, _CONTROL):
        return False
    # Only an elif can start in the column of the if that holds it: a nested if is indented.
    is_elif = isinstance(parent, ast.If) and isinstance(child, ast.If) and child.col_offset == parent.col_offset
    return not is_elif


def _owes_docstring(place: _Place) -> bool:
    node = place.node
    if not place.public or not isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return False
    return not (node.name.startswith("_") or _has_docstring(node) or any(map(_excuses, node.decorator_list)))


def _excuses(decorator: ast.expr) -> bool:
    """Overloads, setters and deleters are documented at the function they belong to."""
    if isinstance(decorator, ast.Attribute):
        return decorator.attr in _UNDOCUMENTED_BY_CUSTOM
    return isinstance(decorator, ast.Name) and decorator.id in _UNDOCUMENTED_BY_CUSTOM


def _has_docstring(node: ast.Module | ast.ClassDef | _Function) -> bool:
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str())), *_]:
            return True
        case _:
            return False


def _length(function: _Function) -> int:
    """Lines from ``def`` to the last one of the body; decorators are not part of it."""
    return (function.end_lineno or function.lineno) - function.lineno + 1
