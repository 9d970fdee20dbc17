"""The executors: a target and its inputs go in, a supervised run is made of them, and its outcome comes back."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, cast

from terzetto_protocol.errors import InvalidRequest, TerzettoError, UnknownRun
from terzetto_protocol.ids import check_choice

from .._chance import new_id
from .._opening import open_runtime
from ._carrying import carried, known
from ._execution import executions
from ._routes import LOOPS, Call, Loop, Options, flow_file, mode_of, native
from ._words import ExecutionContext, ExecutionMode, ExecutionResult, ExecutorBackend, one_of

if TYPE_CHECKING:
    from .._runtime import Runtime


class Executor(Protocol):
    """Whatever `UnifiedExecutor` may be given."""

    async def execute(self, target: Any, inputs: dict[str, Any], context: ExecutionContext) -> ExecutionResult:
        """Execute a target and say how it ended. A checkpoint."""
        ...


class _Executor:
    """What both executors have in common.

    Args:
        runtime: whose runs the executions are; it was opened with `executions(...)` among its graphs, or with the graph
            of Terzetto's own that is executed. Without one, each execution has a runtime of its own, in memory.
        options: what it was told besides.
    """

    backend: ClassVar[ExecutorBackend]

    def __init__(self, runtime: "Runtime | None", options: Options) -> None:
        self._runtime: Final = runtime
        self._options: Final = options
        self._open: Final[dict[str, Runtime]] = {}
        """Runtimes of executions that have one of their own, by run id."""

    async def execute(
        self, target: Any, inputs: dict[str, Any] | None = None, context: ExecutionContext | None = None
    ) -> ExecutionResult:
        """Execute a target as a run, and return how it ended; no outcome is an exception. A checkpoint.

        Cancelled, the run is cancelled, too, which is stored with it; then `trio.Cancelled` goes on.

        Args:
            target: a graph of Terzetto, a graph of LangGraph (compiled, or to be compiled), a flow of Metaflow (its
                file or its class), an object with `ainvoke`, `arun`, `run_async`, `execute_async` or `run`, a function,
                or the name of one of those that `executions` was given.
            inputs: plain data; of a graph of Terzetto the fields of its state, of a flow its parameters.
            context: ids, limits, metadata; made here when there is none.

        Raises:
            InvalidRequest: the inputs are no dict, or the runtime does not know such runs.
            NotStorable: the inputs, or the config, are no plain data.
            Malformed: the inputs are not the state of a graph of Terzetto.
            RunConflict: the run id belongs to an execution of something else.
        """
        call = self._call(target, inputs, context)
        if self._runtime is not None:
            return await carried(self._runtime, call)
        return await self._alone(call)

    def _call(self, target: Any, inputs: Any, context: ExecutionContext | None) -> Call:
        if context is None:
            context = ExecutionContext(thread_id=f"thread-{new_id()[:12]}", run_id=f"run-{new_id()[:12]}")
        if not isinstance(inputs, dict | None):
            raise InvalidRequest(f"the inputs of an execution are a dict, not {inputs!r:.80}")
        given = cast("dict[str, Any]", inputs or {})
        return Call(target, given, context, self.backend, self._options)

    async def _alone(self, call: Call) -> ExecutionResult:
        """Have a runtime for this one execution; who asks something in it is cancelled, for nobody could decide."""
        from attrs import evolve

        call, run_id = evolve(call, options=evolve(call.options, asks=False)), call.context.run_id
        if run_id in self._open:
            raise InvalidRequest(f"run {run_id!r} is being executed: give each execution a run_id of its own")
        graphs = [executions() if native(call.target) is None else call.target]
        refused: TerzettoError | None = None
        result: ExecutionResult | None = None
        async with open_runtime("memory:", graphs=graphs) as runtime:
            self._open[run_id] = runtime
            try:
                result = await carried(runtime, call)
            except TerzettoError as error:
                refused = error
            finally:
                del self._open[run_id]
        if refused is not None:
            raise refused
        assert result is not None, "it was refused, or has ended"
        return result

    def executes(self, run_id: str) -> bool:
        """Whether an execution with a runtime of its own is under way here. Not a checkpoint."""
        return run_id in self._open

    async def get(self, run_id: str, /) -> ExecutionResult:
        """How far an execution is: PENDING, RUNNING, or its end. A checkpoint.

        One in a runtime of its own is known only while it is under way.

        Raises:
            UnknownRun: no execution has this id.
        """
        return await known(self._open.get(run_id, self._runtime), run_id, self.backend)


class GraphExecutor(_Executor):
    """Executes graphs.

    Args:
        compile_options: what a graph that is not compiled yet is compiled with.
        runtime: whose runs the executions are; without one each has a runtime of its own, in memory.
        loop: where coroutines of targets run: on Trio, or on asyncio in a thread. (Graphs of LangGraph and runnables of
            LangChain always run on asyncio.)
    """

    backend = ExecutorBackend.GRAPH

    def __init__(
        self,
        *,
        compile_options: dict[str, Any] | None = None,
        runtime: "Runtime | None" = None,
        loop: Loop = "trio",
    ) -> None:
        super().__init__(runtime, Options(dict(compile_options or {}), check_choice(loop, LOOPS, "loop")))


class FlowExecutor(_Executor):
    """Executes flows.

    Args:
        mode: where a flow computes, unless the context of an execution says so.
        runtime: as for `GraphExecutor`, like `loop`.
        loop: as there.
        root: the folder in which flows of Metaflow keep what they make.
    """

    backend = ExecutorBackend.FLOW

    def __init__(
        self,
        *,
        mode: ExecutionMode = ExecutionMode.LOCAL,
        runtime: "Runtime | None" = None,
        loop: Loop = "trio",
        root: str | Path = ".",
    ) -> None:
        super().__init__(runtime, Options(loop=check_choice(loop, LOOPS, "loop"), root=str(Path(root).absolute())))
        self.mode: Final = one_of(ExecutionMode, mode, "mode")

    def _call(self, target: Any, inputs: Any, context: ExecutionContext | None) -> Call:
        from attrs import evolve
        from msgspec.structs import replace

        call = super()._call(target, inputs, context)
        mode = mode_of(call.context, self.mode)
        if mode is not ExecutionMode.LOCAL and flow_file(target) is None and not isinstance(target, str):
            raise InvalidRequest(f"mode={mode.value!r} is for flows of Metaflow: a {type(target).__name__} runs here")
        return evolve(call, context=replace(call.context, mode=mode))


class UnifiedExecutor:
    """Executes whatever it is given, by the executor of a backend.

    Args:
        graph_executor: used as it is; by default a `GraphExecutor`.
        flow_executor: used as it is; by default a `FlowExecutor`.
        runtime: whose runs the executions of default executors are; without one each has its own, in memory.
    """

    def __init__(
        self,
        *,
        graph_executor: Executor | None = None,
        flow_executor: Executor | None = None,
        runtime: "Runtime | None" = None,
    ) -> None:
        self._executors: Final[dict[ExecutorBackend, Executor]] = {
            ExecutorBackend.GRAPH: graph_executor or GraphExecutor(runtime=runtime),
            ExecutorBackend.FLOW: flow_executor or FlowExecutor(runtime=runtime),
        }

    @property
    def graph(self) -> Executor:
        """The executor of graphs."""
        return self._executors[ExecutorBackend.GRAPH]

    @property
    def flow(self) -> Executor:
        """The executor of flows."""
        return self._executors[ExecutorBackend.FLOW]

    async def execute(
        self,
        target: Any,
        inputs: dict[str, Any] | None = None,
        *,
        backend: ExecutorBackend | str,
        context: ExecutionContext | None = None,
    ) -> ExecutionResult:
        """Execute a target by an executor, and return how it ended. A checkpoint; as `GraphExecutor.execute`.

        Args:
            target: what is executed.
            inputs: plain data; none is an empty dict.
            backend: `graph` or `flow`.
            context: made here when there is none.

        Raises:
            InvalidRequest: there is no such backend.
        """
        chosen = self._executors[one_of(ExecutorBackend, backend, "backend")]
        if context is None:
            context = ExecutionContext(thread_id=f"thread-{new_id()[:12]}", run_id=f"run-{new_id()[:12]}")
        return await chosen.execute(target, {} if inputs is None else inputs, context)

    async def get(self, run_id: str, /) -> ExecutionResult:
        """How far an execution of the default executors is, as `GraphExecutor.get`. A checkpoint."""
        mine = [executor for executor in self._executors.values() if isinstance(executor, _Executor)]
        knowing = [executor for executor in mine if executor.executes(run_id)] or mine
        if not knowing:
            raise UnknownRun(run_id, "the executors that were given: ask them")
        return await knowing[0].get(run_id)
