"""A state to begin with, made of its schema."""

import enum

import msgspec
import pytest
from attrs import Factory, define

from terzetto._demo.graph import Audit
from terzetto_protocol.samples import sample


class Kind(enum.Enum):
    A = "a"


@define
class Inner:
    x: int


@define
class Order:
    item: str
    amount: int
    price: float
    gift: bool
    tags: list[str]
    inner: Inner
    either: int | str
    more: dict[str, int] = Factory(dict[str, int])
    note: str = "none"
    paid: bool = False
    kind: Kind = Kind.A


@pytest.mark.parametrize(
    "schema, text",
    [
        (None, "{}"),
        ({}, "{}"),
        ({"type": "integer"}, "{}"),
        (msgspec.json.schema(Audit), '{"root":".","out":".","title":"audit"}'),
        (
            msgspec.json.schema(Order),
            '{"item":"","amount":0,"price":0,"gift":false,"tags":[],"inner":{},"either":null,"note":"none","kind":"a"}',
        ),
    ],
)
def test_what_has_to_be_said_stands_there(schema, text):
    assert text == sample(schema)
