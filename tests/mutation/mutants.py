"""The mistakes that can be made in a module, one at a time: each replaces one piece of its text by another.

A mutant is known by its module, its function and its words, not by its line, so that a list of them outlives edits
elsewhere. Annotations, declarations of types and texts are left alone: no test is about them.
"""

import ast
from collections import Counter
from collections.abc import Iterator

from attrs import evolve, frozen

_COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_REMOVED = (ast.Expr, ast.AugAssign, ast.Raise, ast.Delete, ast.Continue, ast.Break)
_TYPES = ("TypeVar", "TypeAlias", "ClassVar", "__slots__")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@frozen
class Mutant:
    """One mistake: where it is, and what it makes of which text."""

    module: str
    scope: str
    """The function or class around it; empty for the module's own level."""
    kind: str
    old: str
    new: str
    start: int
    """Offset in the source, in bytes."""
    line: int
    end_line: int
    nth: int = 0
    """Which of those that read alike in this scope, from 0."""

    @property
    def key(self) -> str:
        """What it is known by."""
        nth = f" #{self.nth}" if self.nth else ""
        return f"{self.module}:{self.scope or '-'}: {_short(self.old)} => {_short(self.new)}{nth}"

    def plant(self, source: str) -> str:
        """The source with the mistake in it."""
        data, old = source.encode(), self.old.encode()
        assert data[self.start : self.start + len(old)] == old
        return (data[: self.start] + self.new.encode() + data[self.start + len(old) :]).decode()


def mutants(module: str, source: str) -> list[Mutant]:
    """All of a module, in their order in the text."""
    found, seen = [], Counter[str]()
    places = _Places(source)
    for scope, node in _walk(ast.parse(source), ()):
        for kind, new in _mistakes(node):
            mutant = places.mutant(module, ".".join(scope), kind, node, new)
            found.append(evolve(mutant, nth=seen[mutant.key]))
            seen[mutant.key] += 1
    return found


class _Places:
    """Where nodes are in a text, as offsets in bytes, which is how Python counts columns."""

    def __init__(self, source: str) -> None:
        self._data = source.encode()
        self._lines = [0]
        for line in self._data.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def mutant(self, module: str, scope: str, kind: str, node: ast.expr | ast.stmt, new: str) -> Mutant:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._lines[node.lineno - 1] + node.col_offset
        end = self._lines[node.end_lineno - 1] + node.end_col_offset
        old = self._data[start:end].decode()
        return Mutant(module, scope, kind, old, new, start, node.lineno, node.end_lineno)


def _walk(node: ast.AST, scope: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], ast.expr | ast.stmt]]:
    """Everything in which a mistake may be, with the names around it."""
    if isinstance(node, ast.expr | ast.stmt):
        yield scope, node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "args") and isinstance(node, _SCOPES):
            continue
        if (name == "annotation" and isinstance(node, ast.AnnAssign)) or isinstance(node, ast.JoinedStr):
            continue
        inside = (*scope, node.name) if isinstance(node, _SCOPES) else scope
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST) and not _is_declaration(each):
                yield from _walk(each, inside)


def _is_declaration(node: ast.AST) -> bool:
    """Whether it only says what things are for a type checker, or for people."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return any(word in ast.unparse(node).partition("\n")[0] for word in _TYPES)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Assert)


def _mistakes(node: ast.expr | ast.stmt) -> Iterator[tuple[str, str]]:
    """What may be made of one node: the kind of the mistake, and the text."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            yield "comparison", _said(ast.Compare(node.left, [_COMPARED[type(op)]()], node.comparators))
        case ast.Compare(ops=[first, *more]) if type(first) in _COMPARED:
            yield "comparison", _said(ast.Compare(node.left, [_COMPARED[type(first)](), *more], node.comparators))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _COMPUTED and not (
            _is_text(left) or _is_text(right)
        ):
            yield "arithmetic", _said(ast.BinOp(left, _COMPUTED[type(op)](), right))
        case ast.AugAssign(op=op) if type(op) in _COMPUTED:
            yield "arithmetic", ast.unparse(ast.AugAssign(node.target, _COMPUTED[type(op)](), node.value))
        case ast.BoolOp(op=op, values=values):
            yield "and/or", _said(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "not", f"bool({ast.unparse(operand)})"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield "condition", _said(ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse))
        case ast.Constant(value=bool(value)):
            yield "constant", str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", str(value + 1)
            yield "constant", f"({value - 1})"
        case ast.Set(elts=members):
            for left_out in range(len(members)):
                rest = members[:left_out] + members[left_out + 1 :]
                yield "member", ast.unparse(ast.Set(rest)) if rest else "set()"
        case ast.Return(value=value) if value is not None and ast.unparse(value) not in ("None", "True", "False"):
            yield "return", "return None"
        case _:
            pass
    if isinstance(node, _REMOVED) or (isinstance(node, ast.Assign | ast.AnnAssign) and _is_kept_outside(node)):
        yield "removal", "pass"


def _said(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _is_kept_outside(node: ast.Assign | ast.AnnAssign) -> bool:
    """Whether the value goes into an attribute or an item: without that of a name nothing would run at all."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(not isinstance(target, ast.Name) for target in targets) and node.value is not None


def _short(text: str) -> str:
    return " ".join(text.split())
