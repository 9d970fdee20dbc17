"""What people test their own graphs and stores with."""

from .. import _faults
from ._context import Emissions as Emissions, context as context, emissions as emissions, recorded as recorded

points = _faults.POINTS
"""Every named fault point, and what is true when it is passed."""

__all__ = ["Emissions", "context", "emissions", "points", "recorded"]
