"""What is wrong with a node's plain function, and with options that only a plain function has."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final

from .places import ON_CANCEL, Node

_WAITING: Final = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
"""Kinds of functions whose call alone does nothing."""


def plain_mistakes(node: Node[Any, Any], path: str) -> Iterator[str]:
    """A function that is called and does nothing; options that a function of its kind cannot keep."""
    options = node.options
    if options.on_cancel not in (None, *ON_CANCEL):
        yield f"{path}.on_cancel: {options.on_cancel!r} is none of {', '.join(ON_CANCEL)}"
    elif options.on_cancel is not None and node.runs != "in a thread":
        yield f"{path}.on_cancel: only a plain `def` in a thread needs it, and this one runs {node.runs}"
    if node.runs == "as a task":
        if options.thread is not None:
            yield f"{path}.thread: it is for a plain `def`, and this is an `async def`"
        return
    if only_begins(node.fn):
        yield f"{path}: its function must be `async def`, or a plain `def` that is no generator"
    if node.runs == "on the loop":
        for name in ("run_timeout", "idle_timeout"):
            if getattr(options, name) is not None:
                yield f"{path}.{name}: nothing can cut off a function that runs on the loop; let it have its thread"


def only_begins(fn: Callable[..., object]) -> bool:
    """Whether calling it does nothing yet: a generator, or an object whose `__call__` is async."""
    bare = inspect.unwrap(fn)
    return any(kind(part) for kind in _WAITING for part in (bare, type(bare).__call__))
