"""Who decides when no person does: a function from an opened barrier to a decision."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from terzetto_protocol.decisions import Decision
from terzetto_protocol.events import BarrierOpened

Decider: TypeAlias = Callable[[BarrierOpened], Awaitable[Decision]]
"""Called with each barrier that opens; what it returns is the decision."""
