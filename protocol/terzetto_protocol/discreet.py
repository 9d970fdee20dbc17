"""What is left out of what clients are told: the frames of failures, which say where on the server its code is."""

from typing import TypeVar

from msgspec.structs import replace

from .events import NodeFailed, RetryScheduled, StreamItem
from .views import RunView

_Failing = TypeVar("_Failing", bound=RunView | NodeFailed | RetryScheduled)


def discreet_run(view: RunView) -> RunView:
    """A run without the frames of its failure; its commits are to be left out."""
    return _without_frames(view)


def discreet_event(event: StreamItem) -> StreamItem:
    """An event without the frames of the failure that it tells of."""
    return _without_frames(event) if isinstance(event, NodeFailed | RetryScheduled) else event


def _without_frames(told: _Failing) -> _Failing:
    failure = told.failure
    return told if failure is None or not failure.trace else replace(told, failure=replace(failure, trace=()))
