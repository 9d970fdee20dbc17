"""What people test their own graphs and stores with."""

from .._faults import POINTS as points
from ._context import Emissions as Emissions
from ._context import context as context
from ._context import emissions as emissions
from ._context import recorded as recorded

__all__ = ["Emissions", "context", "emissions", "points", "recorded"]
