"""The run that an execution is: one node, which calls the target; what goes in and comes out is plain data.

A target is an object, and no object is stored. A run knows its target by a name; what the name stands for is in memory:
the targets that `executions` was given, and those of the calls that are under way here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from attrs import Factory, define, field, frozen

from terzetto_protocol.context import NodeContext
from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.graph import Bound, Graph, bind
from terzetto_protocol.ids import check_name

from .._plain import plain
from ._routes import Call, Options, is_file, perform
from ._words import ExecutionContext, ExecutionMode, ExecutorBackend

_OF_PROGRAMS: Final = frozenset({"environment", "python", "root"})
"""What a program may say of a flow by the config of an execution, and what is stored may not."""


@define
class Execution:
    """What is stored of one execution."""

    backend: str
    target: str
    """A name, the path of a flow, or what kind of object it is."""
    inputs: dict[str, Any]
    thread_id: str
    mode: str
    config: dict[str, Any]
    output: Any = None
    lost: str = ""
    """Why the output is not stored; empty where it is."""


@frozen
class Executed:
    """The target has returned."""

    output: Any
    lost: str

    def apply(self, execution: Execution) -> None:
        """Keep what it came to."""
        execution.output, execution.lost = self.output, self.lost


@define(eq=False)
class Live:
    """A call that is under way here: objects, which are nowhere else."""

    call: Call
    outputs: list[Any] = Factory(list[Any])
    """What the target returned, once it has."""


@define(eq=False)
class Targets:
    """What names stand for in this process."""

    named: Mapping[str, Any]
    root: str = "."
    live: Final[dict[str, Live]] = field(factory=dict[str, Live])
    """By run id."""

    def name_of(self, target: object) -> str:
        """How a run knows the target; raises `InvalidRequest` for a name that stands for nothing."""
        if isinstance(target, str) and not is_file(target):
            if target not in self.named:
                known = ", ".join(sorted(self.named)) or "none"
                raise InvalidRequest(f"no target {target!r:.80} is known: executions({{...}}) was given {known}")
            return target
        if is_file(target):
            return str(Path(str(target)).absolute())
        names = [name for name, other in self.named.items() if other is target]
        return names[0] if names else f"a {type(target).__name__}"

    def found(self, target: Any) -> Any:
        """The target itself, where it was named."""
        return self.named.get(target, target) if isinstance(target, str) else target

    def call(self, run_id: str, execution: Execution) -> Call:
        """What the run is to do; raises `LookupError` where its target was an object of a process that is gone."""
        live = self.live.get(run_id)
        if live is not None:
            return live.call
        target = execution.target
        if target not in self.named:  # also the path of a file: what is stored must not say what is executed
            text = f"its target, {target}, was an object of another process, and nothing here has its name"
            raise LookupError(f"{text}: give executions({{name: target}}), so that a run can go on after a restart")
        # Whoever may submit has written the rest: it says what a flow is given, and not by what or where it is run.
        unsafe = sorted(_OF_PROGRAMS.intersection(execution.config))
        if unsafe:
            raise InvalidRequest(
                f"config {', '.join(unsafe)}: a run that goes on after a restart takes that from nobody"
            )
        backend, mode = ExecutorBackend(execution.backend), ExecutionMode(execution.mode)
        context = ExecutionContext(
            thread_id=execution.thread_id, run_id=run_id, config=execution.config, metadata={}, mode=mode
        )
        return Call(self.found(target), execution.inputs, context, backend, Options(root=self.root))


graph: Final = Graph("execution", state=Execution, mutations=[Executed], deps=Targets)


@graph.node(name="execute")
async def execute(ctx: NodeContext[Execution, Targets]) -> None:
    """Call the target, and keep what it returns."""
    run_id = ctx.run_id
    output = await perform(ctx.deps.call(run_id, ctx.state), ctx)
    live = ctx.deps.live.get(run_id)
    if live is not None:
        live.outputs[:] = [output]
    try:
        ctx.record(Executed(plain(output, "the output"), ""))
    except NotStorable as error:
        ctx.report(error, level="degraded")
        ctx.record(Executed(None, str(error)))


graph.start(execute)


def executions(targets: Mapping[str, Any] | None = None, /, *, root: str | Path = ".") -> Bound[Any]:
    """The graph whose runs are executions, for `open_runtime(graphs=[...])`.

    Args:
        targets: what `execute` may be asked for by a name. Such an execution goes on after a restart; one of anything
            that has no name fails then, and says so: what is stored never says which object or file is executed.
        root: the folder of flows that go on after a restart, which is to be that of their `FlowExecutor`.
    """
    named = dict(targets or {})
    for name in named:
        check_name(name)
    return bind(graph, Targets(named, str(Path(root).absolute())))
