"""A flow of Metaflow as a whole run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from attrs import define, field, frozen

from terzetto_protocol.context import NodeContext
from terzetto_protocol.graph import Graph

from ._flow import run_flow


@define
class FlowRun:
    """The state of a run that is a flow of Metaflow."""

    parameters: dict[str, Any] = field(factory=dict[str, Any])
    """Plain data."""
    origin: str = ""
    """A run of Metaflow to resume, or empty for a new one."""
    run_id: str = ""
    """Metaflow's, once it has ended well."""
    artifacts: dict[str, Any] = field(factory=dict[str, Any])
    """Plain data."""


@frozen
class Flown:
    """The flow has come to its end."""

    run_id: str
    artifacts: dict[str, Any]

    def apply(self, run: FlowRun) -> None:
        """Keep what it came to."""
        run.run_id, run.artifacts = self.run_id, self.artifacts


def flow_graph(
    file: str | Path, /, name: str = "flow", *, version: str = "1", artifacts: Sequence[str] = (), **options: Any
) -> Graph[FlowRun, None]:
    """A graph whose runs are runs of a flow of Metaflow: `runtime.submit(flow, FlowRun({"n": 3}))`.

    Its one node does what `run_flow` does.

    Args:
        file: Python file of a `FlowSpec`.
        name: the name of the graph, which finds it again after a restart.
        version: its version.
        artifacts: names of artifacts that are JSON.
        options: further arguments of `run_flow`.
    """
    made: Graph[FlowRun, None] = Graph(name, state=FlowRun, mutations=[Flown], version=version)

    async def flow(ctx: NodeContext[FlowRun]) -> None:
        """Run the flow, and keep what it comes to."""
        state = ctx.state
        told = await run_flow(
            ctx, file, parameters=state.parameters, origin=state.origin, artifacts=artifacts, **options
        )
        ctx.record(Flown(told.run_id, told.artifacts))

    made.start(cast("Any", made.node(flow)))
    return made
