"""The side of a guest on which LangGraph lives: everything here runs on asyncio, in the guest's own thread."""

import copy
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from attrs import frozen
from msgspec import Struct

from terzetto_protocol.errors import InvalidRequest

from .._plain import presentable

MODES: Final = ("updates", "values", "custom", "messages", "tasks", "checkpoints", "debug")
"""What LangGraph streams."""


class Ask(Struct, frozen=True):
    """An interrupt of the graph that waits for its answer."""

    id: str
    node: str
    value: Any
    """Plain data."""
    schema: Any = None
    """JSON schema of the answer, if the graph gave one."""


class Stop(Struct, frozen=True):
    """Where the graph has stopped."""

    values: Any
    """Its output so far, as LangGraph has it."""
    asks: tuple[Ask, ...] = ()
    before: tuple[str, ...] = ()
    """Nodes that would be next, where nothing asks."""
    checkpoint: str = ""

    @property
    def marks(self) -> list[str]:
        """What tells this stop from every other one of its thread."""
        return [ask.id for ask in self.asks] or [f"before:{self.checkpoint}"]


class Answers(Struct, frozen=True):
    """What the interrupts of a stop are answered, by their ids."""

    values: dict[str, Any]


@frozen
class Session:
    """One thread of a compiled graph.

    Args:
        graph: the compiled graph.
        saver: a saver, a URL for `terzetto.langgraph.Checkpointer`, or a function that opens one; None: the graph's.
        config: LangGraph's.
        modes: what is streamed to `tell`.
        options: further arguments of `astream`.
        tell: hears `(namespace, mode, chunk)`, from the guest's thread.
    """

    graph: Any
    saver: Any
    config: Mapping[str, Any]
    modes: Sequence[str]
    options: Mapping[str, Any]
    tell: Callable[[Sequence[str], str, Any], None]

    @property
    def is_saved(self) -> bool:
        """Whether there is a saver."""
        return self.saver is not None or bool(self.graph.checkpointer)

    async def newest(self) -> str:
        """The thread's newest checkpoint; empty where there is none."""
        async with self._opened() as graph:
            found = await graph.checkpointer.aget_tuple(self.config)
            return "" if found is None else str(found.checkpoint["id"])

    async def look(self) -> Stop:
        """Where the thread is, without running anything."""
        async with self._opened() as graph:
            return await self._look(graph, None)

    async def walk(self, given: Any) -> Stop:
        """Go on until the graph stops, with an input, `Answers`, or None."""
        async with self._opened() as graph:
            values = await self._stream(graph, _command(given))
            return await self._look(graph, values)

    async def _stream(self, graph: Any, given: Any) -> Any:
        values: Any = None
        asked = {*self.modes, "values"}
        options = dict(self.options)
        if not graph.checkpointer:
            options.pop("durability", None)
        async for place, mode, chunk in graph.astream(
            given, self.config, stream_mode=[mode for mode in MODES if mode in asked], **options, subgraphs=True
        ):
            if mode == "values" and not place:
                values = chunk
            if mode in self.modes:
                self.tell(place, mode, chunk)
        return values

    async def _look(self, graph: Any, values: Any) -> Stop:
        if not graph.checkpointer:
            return Stop(values)
        state = await graph.aget_state(self.config)
        asks = tuple(
            Ask(each.id, task.name, presentable(each.value), getattr(each, "response_schema", None))
            for task in state.tasks
            for each in task.interrupts
            if each in state.interrupts
        )
        before = () if asks else tuple(state.next)
        mark = str(state.config.get("configurable", {}).get("checkpoint_id", ""))
        return Stop(state.values if values is None else values, asks, before, mark)

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[Any, None]:
        """The graph with its saver."""
        if self.saver is None:
            yield self.graph
            return
        graph, saver = copy.copy(self.graph), self.saver
        if isinstance(saver, str):
            from . import Checkpointer

            saver = Checkpointer.open(saver)
        elif not hasattr(saver, "aget_tuple"):
            saver = saver()
        if hasattr(saver, "aget_tuple"):
            graph.checkpointer = saver
            yield graph
            return
        async with saver as graph.checkpointer:
            yield graph


def check_modes(modes: Sequence[str]) -> tuple[str, ...]:
    """Return the modes, or raise `InvalidRequest` naming the first that LangGraph has not."""
    for mode in (modes,) if isinstance(modes, str) else modes:
        if mode not in MODES:
            raise InvalidRequest(f"stream_mode: {mode!r:.80} is none of {', '.join(MODES)}")
    return (modes,) if isinstance(modes, str) else tuple(modes)


def _command(given: Any) -> Any:
    if not isinstance(given, Answers):
        return given
    from langgraph.types import Command

    return Command(resume=given.values)
