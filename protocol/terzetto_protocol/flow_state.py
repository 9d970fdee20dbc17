"""The state of a dataflow run: what came out of it, and what waits to go in.

Values are plain data. Nobody records a mutation of their own here: what a node sends moves the state.
"""

from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct, field

from .decisions import Recorded

INPUTS: Final = "inputs"
"""The place where a dataflow begins: its own inputs come out of it."""

Pins: TypeAlias = dict[str, Any]
"""Values by the names of the pins that they came in at."""


class Out(Struct, frozen=True, array_like=True):
    """A value that came out of the whole dataflow."""

    name: str
    value: Any


class Task(Struct, frozen=True, array_like=True):
    """Everything that one visit of a node needs from its links."""

    node: str
    pins: Pins


class Passed(Struct, array_like=True, frozen=True):
    """A visit sent a value."""

    ticket: int
    node: str
    output: str
    value: Any


class Packed(Struct, array_like=True, frozen=True):
    """The same, with a value that nobody looks into."""

    ticket: int
    node: str
    output: str
    value: Raw


_decode: Final = msgspec.msgpack.Decoder(Packed).decode


def value_sent(entry: Recorded) -> Raw:
    """The encoded value, as an entry of the log holds it."""
    return _decode(entry.body).value


class FlowState(Struct):
    """What `Dataflow.begin` makes, and what a run of it ends with: read `outputs`."""

    given: Pins = field(default_factory=dict[str, Any])
    """The dataflow's own inputs."""
    masks: dict[str, Pins] = field(default_factory=dict[str, Pins])
    """Values that this run puts in the place of whatever comes in, by nodes and pins."""
    sent: list[Out] = field(default_factory=list[Out])
    """What came out, in the order in which it did."""
    waiting: dict[str, dict[str, list[Any]]] = field(default_factory=dict[str, dict[str, list[Any]]])
    """Values whose companions have not come yet, by nodes and pins, the earliest first."""
    lasting: dict[str, Pins] = field(default_factory=dict[str, Pins])
    """The last value of every static link, by nodes and pins."""
    tasks: dict[int, Task] = field(default_factory=dict[int, Task])
    """What visits have taken in, or will, by their tickets."""
    issued: int = 0
    """The last ticket."""
    wiring: str = ""
    """Which links its values have gone along: those of no other declaration are taken for them."""

    @property
    def outputs(self) -> dict[str, list[Any]]:
        """What came out, by the names of the dataflow's outputs."""
        found: dict[str, list[Any]] = {}
        for each in self.sent:
            found.setdefault(each.name, []).append(each.value)
        return found
