"""Commits that a run may keep to itself for a while, because it was asked to promise less.

A held commit is as good as durable for the run's own visits. What it tells is marked as not durable, and it is
written, whole and in its place, before the next commit that is not held.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, TypeVar, cast

from msgspec import Struct, defstruct
from msgspec.structs import asdict

from .events import DurableEvent
from .limits import HELD_COMMITS
from .records import Durability, Kind, Step, Write
from .statuses import RunStatus

E = TypeVar("E", bound=Struct)

_HELD: Final = frozenset(
    {Kind.VISIT, Kind.FORK, Kind.JOIN, Kind.RETRY, Kind.NOTE, Kind.SKIP, Kind.SEND, Kind.CALL, Kind.RETURN}
)
"""What nobody outside of the run waits for."""


class Held:
    """The commits that one run holds back, oldest first."""

    __slots__ = ("active", "writes")

    def __init__(self, durability: Durability) -> None:
        self.active: Final = durability != "commits"
        self.writes: list[Write] = []

    def takes(self, kind: Kind, status: RunStatus, steps: Sequence[Step]) -> bool:
        """Whether such a commit may be held: nobody outside waits for it, and there is room."""
        if not self.active or kind not in _HELD or status is not RunStatus.RUNNING:
            return False
        return len(self.writes) < HELD_COMMITS and not any(step.opening is not None for step in steps)

    def let_go(self) -> list[Write]:
        """Everything that is held, to be written now."""
        writes, self.writes = self.writes, []
        return writes


def provisional(event: DurableEvent) -> DurableEvent:
    """The same event, marked as one that a crash may still take back."""
    return cast("DurableEvent", _like(type(event))(**asdict(event)))


@cache
def _like(cls: type[Any]) -> type[Any]:
    tag = cls.__struct_config__.tag
    return defstruct(cls.__name__, [], bases=(cls,), namespace={"durable": False}, frozen=True, tag=tag, kw_only=True)
