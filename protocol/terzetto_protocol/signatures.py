"""What a function takes in, read off its signature: the inputs of a dataflow's node."""

import functools
import inspect
import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Final

from .pins import MISSING
from .wiring import Pin

_NAMED: Final = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def inputs_of(fn: Callable[..., object]) -> tuple[dict[str, Pin], bool, list[str]]:
    """Its parameters after the context, whether it takes others by name too, and what is wrong with it."""
    try:
        parameters = list(inspect.signature(fn).parameters.values())
        hints = typing.get_type_hints(_annotated(fn), include_extras=True)
    except Exception as error:  # noqa: BLE001 - annotations are user code and may raise anything
        return {}, False, [f"its signature cannot be read: {error}"]
    if not parameters or parameters[0].kind not in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD):
        return {}, False, ["it must take the context first"]
    pins, is_open, wrong = dict[str, Pin](), False, list[str]()
    for each in parameters[1:]:
        if each.kind is Parameter.VAR_KEYWORD:
            is_open = True
        elif each.kind in _NAMED:
            default = MISSING if each.default is Parameter.empty else each.default
            pins[each.name] = Pin(each.name, hints.get(each.name, Any), default)
        else:
            wrong.append(f"parameter {each.name!r}: inputs come by name, so it must take them by name")
    return pins, is_open, wrong


def _annotated(fn: Callable[..., object]) -> Callable[..., object]:
    """What has the annotations: the function itself, or what is called in its place."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) or isinstance(fn, type) else type(fn).__call__
