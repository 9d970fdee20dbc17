"""What people test their own graphs and stores with."""

from .._faults import POINTS as points
from ._context import Emissions as Emissions, context as context, emissions as emissions, recorded as recorded

__all__ = ["Emissions", "context", "emissions", "points", "recorded"]
