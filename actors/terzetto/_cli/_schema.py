"""`terzetto schema`: what is said over the websocket, or what a graph's state and mutations are, as JSON Schema."""

from argparse import Namespace
from typing import Any

from terzetto_protocol.graph import unbind
from terzetto_protocol.graph_view import graph_view
from terzetto_protocol.wire_schema import DIALECT, schema_text, wire_schema

from ._exits import Exit
from ._graphs import find_graph
from ._output import Output


async def schema(args: Namespace, output: Output) -> int:
    """Print the schema. Waits for nothing."""
    made = _schema_of(args.graph) if args.graph else wire_schema()
    output.document(made)
    output.line(schema_text(made).rstrip("\n"), copied=True)
    return Exit.FINE


def _schema_of(spec: str) -> dict[str, Any]:
    """Both of a graph; null stands for a type that JSON cannot describe."""
    view = graph_view(unbind(find_graph(spec)).graph)
    title = f"Graph {view.name} {view.version}"
    return {"$schema": DIALECT, "title": title, "state": view.state, "mutations": view.mutations}
