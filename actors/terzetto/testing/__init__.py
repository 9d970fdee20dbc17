"""What people test their own graphs and stores with."""

from .. import _faults
from ._context import (
    Emissions as Emissions,
    context as context,
    emissions as emissions,
    flow_context as flow_context,
    recorded as recorded,
    reported as reported,
    sent as sent,
)
from ._store_kit import STORE_LAWS as STORE_LAWS, StoreKit as StoreKit

points = _faults.POINTS
"""Every named fault point, and what is true when it is passed."""

__all__ = [
    "STORE_LAWS",
    "Emissions",
    "StoreKit",
    "context",
    "emissions",
    "flow_context",
    "points",
    "recorded",
    "reported",
    "sent",
]
