"""What a `HarnessCheckpointer` is for LangGraph: a `BaseCheckpointSaver`. Loaded when LangGraph is."""

from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from langgraph.checkpoint.base import BaseCheckpointSaver, get_serializable_checkpoint_metadata

from ..langgraph._serializer import serializer
from ._harness import HarnessCheckpointer


@cache
def saver_of(kind: type[HarnessCheckpointer]) -> type:
    """A class that is `kind`, and what LangGraph checks for; objects of `kind` can become its."""

    class Both(kind, BaseCheckpointSaver[Any]):  # type: ignore[valid-type,misc] # a base that is known at run time
        serde = serializer()

        def _metadata(self, config: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
            # LangGraph hands back metadata that it was given, with a time that is over.
            known = {**get_serializable_checkpoint_metadata(cast("Any", config), cast("Any", metadata))}
            known.pop("timestamp", None)
            return known

    class Saver(Both):
        pass

    for made in (Both, Saver):
        made.__name__, made.__qualname__, made.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Saver
