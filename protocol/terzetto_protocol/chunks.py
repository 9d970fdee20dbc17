"""What a node emitted, as the event that readers get."""

from .events import Chunk, CustomChunk, TextChunk, ThinkingChunk, ToolChunk
from .port import Emission, Thinking, Tool


def chunk_of(emission: Emission, number: int, *, run_id: str, at: float, node: str, visit: int) -> Chunk:
    """The chunk event with this id."""
    if isinstance(emission, str):
        return TextChunk(id=number, run_id=run_id, at=at, node=node, visit=visit, text=emission)
    if isinstance(emission, Thinking):
        return ThinkingChunk(id=number, run_id=run_id, at=at, node=node, visit=visit, text=emission.text)
    if isinstance(emission, Tool):
        return ToolChunk(
            id=number,
            run_id=run_id,
            at=at,
            node=node,
            visit=visit,
            call_id=emission.call_id,
            tool=emission.tool,
            phase=emission.phase,
            text=emission.text,
        )
    return CustomChunk(id=number, run_id=run_id, at=at, node=node, visit=visit, name=emission.name, data=emission.data)
