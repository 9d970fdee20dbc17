"""`terzetto_protocol.signatures`: the inputs of a dataflow's node, read off its function."""

import functools
from typing import Any

import pytest

from terzetto_protocol.pins import MISSING
from terzetto_protocol.signatures import inputs_of
from terzetto_protocol.wiring import Pin


def none(ctx): ...
def bare(ctx, x, y=1): ...
def typed(ctx: Any, x: int, *, y: list[str], z: "str | None" = None) -> int: ...
def positional(ctx, /, x): ...
def others(ctx, x: int, **more: str): ...
async def waiting(ctx, x: int): ...
async def yielding(ctx, x: int):
    yield "out", x


@functools.wraps(typed)
def wrapped(*args, **kwargs): ...


class Caller:
    def __call__(self, ctx, x: int): ...

    def method(self, ctx, x: int): ...


@pytest.mark.parametrize(
    "fn, pins",
    [
        (none, {}),
        (bare, {"x": Pin("x"), "y": Pin("y", Any, 1)}),
        (typed, {"x": Pin("x", int), "y": Pin("y", list[str]), "z": Pin("z", str | None, None)}),
        (wrapped, {"x": Pin("x", int), "y": Pin("y", list[str]), "z": Pin("z", str | None, None)}),
        (positional, {"x": Pin("x")}),
        (waiting, {"x": Pin("x", int)}),
        (yielding, {"x": Pin("x", int)}),
        (Caller().method, {"x": Pin("x", int)}),
        (Caller(), {"x": Pin("x", int)}),
        (functools.partial(bare, y=2), {"x": Pin("x"), "y": Pin("y", Any, 2)}),
    ],
)
def test_inputs_are_the_parameters_after_the_context(fn, pins):
    assert inputs_of(fn) == (pins, False, [])


def test_a_parameter_without_a_default_is_needed():
    pins, _, _ = inputs_of(bare)

    assert {name: pin.is_needed for name, pin in pins.items()} == {"x": True, "y": False}
    assert pins["x"].default is MISSING


def test_none_is_a_default():
    assert not inputs_of(typed)[0]["z"].is_needed


def test_a_node_may_take_others_by_name():
    assert inputs_of(others) == ({"x": Pin("x", int)}, True, [])


def no_context(): ...
def only_by_name(*, ctx): ...
def only_positional(ctx, x, /): ...
def any_number(ctx, *x): ...
def unknown(ctx, x: "Nowhere"): ...  # noqa: F821 - the mistake under test
def any_first(*args): ...


@pytest.mark.parametrize(
    "fn, wrong",
    [
        (no_context, "it must take the context first"),
        (only_by_name, "it must take the context first"),
        (any_first, "it must take the context first"),
        (only_positional, "parameter 'x': inputs come by name, so it must take them by name"),
        (any_number, "parameter 'x': inputs come by name, so it must take them by name"),
        (unknown, "its signature cannot be read: name 'Nowhere' is not defined"),
        (print, "it must take the context first"),
        (5, "its signature cannot be read: 5 is not a callable object"),
    ],
)
def test_what_is_no_node_says_why(fn, wrong):
    assert inputs_of(fn)[2] == [wrong]
