"""One execution as a run of a runtime: submitted, waited for, cancelled with whoever waits, and told as a result."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec
import trio

from terzetto_protocol.errors import InvalidRequest, TerzettoError, UnknownRun
from terzetto_protocol.events import BarrierOpened
from terzetto_protocol.limits import CANCEL_GRACE
from terzetto_protocol.records import Kind, RunRow
from terzetto_protocol.statuses import TERMINAL, FailureCode, RunStatus

from .._plain import plain
from ._execution import Execution, Live, Targets, graph
from ._routes import Call, native
from ._words import STATUSES, ExecutionResult, ExecutionStatus, ExecutorBackend

if TYPE_CHECKING:
    from .._handles import Run
    from .._results import Result
    from .._runtime import Runtime

_OPTIONS: Final = frozenset({"auto_approve", "deadline_parked", "durability", "max_steps"})
"""What the config of an execution may say about a graph of Terzetto's own."""
_GIVE: Final = "give the executor a runtime"
_LAST: Final = 16
"""Commits among which the cancel of a cancelled run is."""


async def carried(runtime: "Runtime", call: Call) -> ExecutionResult:
    """Have a call made by a run, and wait for its end. A checkpoint; cancelled, it cancels the run."""
    if native(call.target) is not None:
        return await _waited(runtime, call, None)
    targets, run_id = _targets(runtime), call.context.run_id
    name = targets.name_of(call.target)
    live = targets.live.get(run_id)
    if live is not None:
        return await _waited(runtime, call, targets, name)  # somebody else executes it, and we hear what comes of it
    targets.live[run_id] = Live(_with_target(call, targets))
    try:
        return await _waited(runtime, call, targets, name)
    finally:
        del targets.live[run_id]


def _with_target(call: Call, targets: Targets) -> Call:
    from attrs import evolve

    return evolve(call, target=targets.found(call.target))


async def _waited(runtime: "Runtime", call: Call, targets: Targets | None, name: str = "") -> ExecutionResult:
    mine = True
    try:
        run = await (_submitted(runtime, call, name) if targets is not None else _native(runtime, call))
        mine = not run.reused
        result = await (run.result() if call.options.asks else _unasked(runtime, run))
        return await _outcome(runtime, result, call.backend, targets)
    except trio.Cancelled:
        if mine:
            with trio.move_on_after(CANCEL_GRACE, shield=True), suppress(TerzettoError):
                await runtime.cancel(call.context.run_id, "whoever executed it was cancelled")
        raise


async def _unasked(runtime: "Runtime", run: "Run[Any]") -> "Result[Any]":
    """The end of a run in which nobody could decide anything: one that waits for somebody is cancelled."""
    ends: list[Result[Any]] = []
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            ends.append(await run.result())
            nursery.cancel_scope.cancel(reason="it has ended")

        nursery.start_soon(wait)
        async with run.events() as events:
            async for event in events:
                if isinstance(event, BarrierOpened) and event.deadline is None:
                    with suppress(TerzettoError):  # it was decided by itself, or has ended
                        await runtime.cancel(run.run_id, f"{event.barrier} is open, and nobody could decide: {_GIVE}")
        await trio.sleep_forever()  # it has ended, and `wait` hears of it
    return ends[0]


async def _submitted(runtime: "Runtime", call: Call, name: str) -> "Run[Execution]":
    context = call.context
    execution = Execution(
        backend=call.backend.value,
        target=name,
        inputs=plain(call.inputs, "the inputs"),
        thread_id=context.thread_id,
        mode=context.mode.value,
        config=plain(context.config, "the config"),
    )
    return await runtime.submit(
        graph, execution, run_id=context.run_id, deadline=context.timeout_seconds, metadata=_metadata(call)
    )


async def _native(runtime: "Runtime", call: Call) -> "Run[Any]":
    """Submit a graph of Terzetto's own, whose state the inputs are."""
    own, context = native(call.target), call.context
    assert own is not None, "whoever calls has looked"
    unknown = set(context.config) - _OPTIONS
    if unknown:
        text = f"config {', '.join(sorted(unknown))} is nothing that a graph of Terzetto's own takes"
        raise InvalidRequest(f"{text}: {', '.join(sorted(_OPTIONS))}")
    state = own.from_json(msgspec.json.encode(plain(call.inputs, "the inputs")))
    return await runtime.submit(
        own,
        state,
        run_id=context.run_id,
        thread=context.thread_id,
        deadline=context.timeout_seconds,
        metadata=_metadata(call),
        **context.config,
    )


def _metadata(call: Call) -> dict[str, Any]:
    context = call.context
    told = {"backend": call.backend.value, "thread_id": context.thread_id, "mode": context.mode.value}
    return {**context.metadata, **told}


def _targets(runtime: "Runtime") -> Targets:
    """What the runtime knows of executions; raises `InvalidRequest` where it knows nothing."""
    bound = runtime.registry.find(graph.name, graph.version)
    if bound is None or bound.graph is not graph:
        text = "this runtime knows no executions"
        raise InvalidRequest(f"{text}: open_runtime(..., graphs=[terzetto.executors.executions()])")
    return cast("Targets", bound.deps)


async def known(runtime: "Runtime | None", run_id: str, backend: ExecutorBackend) -> ExecutionResult:
    """How far an execution is. A checkpoint; raises `UnknownRun`."""
    if runtime is None:
        raise UnknownRun(run_id, "this executor, which has no runtime")
    row = await runtime.row(run_id)
    if row.status not in TERMINAL:
        return _told(row, backend, None, None)
    bound = runtime.registry.find(graph.name, graph.version)
    targets = None if bound is None or row.header.graph != graph.name else cast("Targets", bound.deps)
    return await _outcome(runtime, await runtime.get(run_id).result(), backend, targets)


async def _outcome(
    runtime: "Runtime", result: "Result[Any]", backend: ExecutorBackend, targets: Targets | None
) -> ExecutionResult:
    row = await runtime.row(result.run_id)
    if result.status is not RunStatus.SUCCEEDED:
        reason = await _reason(runtime, row) if result.status is RunStatus.CANCELLED else ""
        return _told(row, backend, None, result, reason=reason)
    if targets is None:
        return _told(row, backend, result.state, result)
    execution = cast("Execution", result.state)
    live = targets.live.get(result.run_id)
    if live is not None and live.outputs:
        return _told(row, backend, live.outputs[0], result)
    return _told(row, backend, execution.output, result, lost=execution.lost)


async def _reason(runtime: "Runtime", row: RunRow) -> str:
    """Why a run was cancelled, as whoever did it has said."""
    commits = await runtime.get(row.run_id).history(limit=_LAST)
    said = [commit.detail for commit in commits if commit.kind is Kind.CANCEL and commit.detail is not None]
    return str(said[0].get("text", "")) if said else ""


def _told(
    row: RunRow,
    backend: ExecutorBackend,
    output: Any,
    result: "Result[Any] | None",
    *,
    lost: str = "",
    reason: str = "",
) -> ExecutionResult:
    header, status = row.header, STATUSES.get(row.status, ExecutionStatus.RUNNING)
    metadata: dict[str, Any] = dict(header.metadata)
    if lost:
        metadata["output"] = lost
    if result is not None and result.failure is not None:
        metadata |= {"code": str(result.code), "trace": list(result.failure.trace)}
    return ExecutionResult(
        run_id=row.run_id,
        backend=ExecutorBackend(metadata.get("backend", backend)),
        status=status,
        output=output,
        error=None if result is None else _error(result, header.deadline, reason),
        started_at=header.at,
        finished_at=row.updated if row.status in TERMINAL else None,
        metadata=metadata,
    )


def _error(result: "Result[Any]", limit: float | None, reason: str) -> str | None:
    """Why it did not succeed, in words."""
    if result.status is RunStatus.SUCCEEDED:
        return None
    if result.code == FailureCode.DEADLINE_EXCEEDED:
        return f"timeout: it took longer than {limit:g} s"
    if result.failure is not None and result.failure.errors:
        return "; ".join(result.failure.errors)
    return result.message or reason or f"it was {result.status.lower()}, and nobody said why"
