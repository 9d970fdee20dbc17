"""Terzetto: graphs of async steps on Trio that survive their process.

Three voices, one score: a supervisor, runs and nodes, and the log of commits that they keep.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from terzetto_protocol.agent_json import AgentGraph as AgentGraph
    from terzetto_protocol.agents import Agent as Agent, Blocks as Blocks, load_agent as load_agent
    from terzetto_protocol.blobs import Blob as Blob, BlobReader as BlobReader
    from terzetto_protocol.bridge import (
        CANCELLED_SENTINEL as CANCELLED_SENTINEL,
        END_SENTINEL as END_SENTINEL,
        HEARTBEAT_SENTINEL as HEARTBEAT_SENTINEL,
        TERMINAL_STATES as TERMINAL_STATES,
        JSONValue as JSONValue,
        ResumeResult as ResumeResult,
        StreamEvent as StreamEvent,
        resume_of as resume_of,
    )
    from terzetto_protocol.checkpoints import CheckpointPolicy as CheckpointPolicy
    from terzetto_protocol.composites import Lens as Lens, Map as Map, Parallel as Parallel, Subgraph as Subgraph
    from terzetto_protocol.context import (
        FlowContext as FlowContext,
        ItemContext as ItemContext,
        LeafContext as LeafContext,
        NodeContext as NodeContext,
    )
    from terzetto_protocol.dataflow import Dataflow as Dataflow, FlowNode as FlowNode, SubFlow as SubFlow
    from terzetto_protocol.decisions import (
        Approve as Approve,
        Choose as Choose,
        Confirm as Confirm,
        Decision as Decision,
        Exiting as Exiting,
        Fail as Fail,
        Modify as Modify,
        Reject as Reject,
        Reroute as Reroute,
        Retry as Retry,
    )
    from terzetto_protocol.difference import Change as Change
    from terzetto_protocol.errors import (
        ActorStopped as ActorStopped,
        BlobDamaged as BlobDamaged,
        BlocksTheLoop as BlocksTheLoop,
        BranchesFailed as BranchesFailed,
        CarriedElsewhere as CarriedElsewhere,
        CommitPruned as CommitPruned,
        DecisionTimeout as DecisionTimeout,
        GraphError as GraphError,
        HeadMissing as HeadMissing,
        IllegalTransition as IllegalTransition,
        InputMutated as InputMutated,
        InvalidInput as InvalidInput,
        InvalidRequest as InvalidRequest,
        Malformed as Malformed,
        MergeConflict as MergeConflict,
        MigrationFailed as MigrationFailed,
        MutationFailed as MutationFailed,
        NodeTimeout as NodeTimeout,
        NonDeterministicMutation as NonDeterministicMutation,
        NonDeterministicOutput as NonDeterministicOutput,
        NotStorable as NotStorable,
        QueueFull as QueueFull,
        ReducerFailed as ReducerFailed,
        Refused as Refused,
        RetryAfter as RetryAfter,
        RunConflict as RunConflict,
        RunFailed as RunFailed,
        StaleEpoch as StaleEpoch,
        StoreDamaged as StoreDamaged,
        StoreError as StoreError,
        StoreInUse as StoreInUse,
        StoreMissing as StoreMissing,
        StoreRejected as StoreRejected,
        StoreTooNew as StoreTooNew,
        StoreUnavailable as StoreUnavailable,
        StuckNode as StuckNode,
        SubgraphFailed as SubgraphFailed,
        TerzettoError as TerzettoError,
        ThreadBusy as ThreadBusy,
        UnknownBlob as UnknownBlob,
        UnknownGraph as UnknownGraph,
        UnknownRun as UnknownRun,
    )
    from terzetto_protocol.events import (
        BarrierOpened as BarrierOpened,
        BarrierResolved as BarrierResolved,
        BranchDiscarded as BranchDiscarded,
        BranchesStarted as BranchesStarted,
        CancelRequested as CancelRequested,
        Cursor as Cursor,
        CustomChunk as CustomChunk,
        EffectIntended as EffectIntended,
        ErrorObserved as ErrorObserved,
        Event as Event,
        Gap as Gap,
        Heartbeat as Heartbeat,
        NodeFailed as NodeFailed,
        NodeFinished as NodeFinished,
        NodeStarted as NodeStarted,
        OutputSent as OutputSent,
        RetryScheduled as RetryScheduled,
        RunEnded as RunEnded,
        RunInterrupted as RunInterrupted,
        RunPaused as RunPaused,
        RunQueued as RunQueued,
        RunStarted as RunStarted,
        StreamItem as StreamItem,
        TextChunk as TextChunk,
        ThinkingChunk as ThinkingChunk,
        ToolChunk as ToolChunk,
        payload_of as payload_of,
    )
    from terzetto_protocol.flow_state import FlowState as FlowState
    from terzetto_protocol.foreign_stream import BridgeTerms as BridgeTerms
    from terzetto_protocol.graph import Bound as Bound, Graph as Graph, bind as bind
    from terzetto_protocol.keyed import KeyedState as KeyedState
    from terzetto_protocol.migrations import Migration as Migration
    from terzetto_protocol.places import Barrier as Barrier, Effects as Effects, Exit as Exit, Node as Node
    from terzetto_protocol.receipts import (
        AlreadyResolved as AlreadyResolved,
        CancelReceipt as CancelReceipt,
        DecisionKept as DecisionKept,
        DecisionTaken as DecisionTaken,
        DecisionWithdrawn as DecisionWithdrawn,
        Deleted as Deleted,
        Denied as Denied,
        PauseReceipt as PauseReceipt,
        Receipt as Receipt,
        Resumed as Resumed,
        Submitted as Submitted,
        Truncated as Truncated,
        Undone as Undone,
    )
    from terzetto_protocol.records import (
        BarrierRow as BarrierRow,
        ErrorLevel as ErrorLevel,
        Failure as Failure,
        ObservedError as ObservedError,
        RunRow as RunRow,
    )
    from terzetto_protocol.reducers import replayed as replayed
    from terzetto_protocol.retention import Keep as Keep, Retention as Retention
    from terzetto_protocol.retry import (
        USER_ERRORS as USER_ERRORS,
        RetryPolicy as RetryPolicy,
        retry_after_of as retry_after_of,
    )
    from terzetto_protocol.shown import Shown as Shown
    from terzetto_protocol.state import Mutation as Mutation, transient as transient
    from terzetto_protocol.statuses import (
        FailureCode as FailureCode,
        RunStatus as RunStatus,
        StreamStatus as StreamStatus,
        VisitStatus as VisitStatus,
    )
    from terzetto_protocol.views import CommitView as CommitView

    from ._blobs import Blobs as Blobs
    from ._bridge_reader import BridgeReader as BridgeReader
    from ._deciders import Decider as Decider
    from ._feeds import SinkStatistics as SinkStatistics
    from ._handles import DecisionChannel as DecisionChannel, Run as Run, Thread as Thread
    from ._history import Replay as Replay
    from ._hub import Subscription as Subscription
    from ._inline import run as run
    from ._mailbox import Address as Address, Envelope as Envelope, Mailbox as Mailbox, open_mailbox as open_mailbox
    from ._memory_bridge import BridgeStatistics as BridgeStatistics, MemoryStreamBridge as MemoryStreamBridge
    from ._opening import open_runtime as open_runtime
    from ._results import Result as Result
    from ._run import RunStatistics as RunStatistics
    from ._run_facade import Runs as Runs
    from ._runtime import Runtime as Runtime, RuntimeStatistics as RuntimeStatistics
    from ._runtime_bridge import RuntimeStreamBridge as RuntimeStreamBridge
    from ._sinks import (
        BarrierSink as BarrierSink,
        Checkpoint as Checkpoint,
        CheckpointSink as CheckpointSink,
        Required as Required,
        Sink as Sink,
        StreamSink as StreamSink,
        TraceSink as TraceSink,
    )
    from ._stream_bridge import StreamBridge as StreamBridge

__version__ = "0.1.0"

# What a program does not name, it does not load: most need a fraction of this.
_NAMES: Final = {
    "terzetto_protocol.agent_json": "AgentGraph",
    "terzetto_protocol.agents": "Agent Blocks load_agent",
    "terzetto_protocol.blobs": "Blob BlobReader",
    "terzetto_protocol.bridge": (
        "CANCELLED_SENTINEL END_SENTINEL HEARTBEAT_SENTINEL TERMINAL_STATES JSONValue ResumeResult StreamEvent "
        "resume_of"
    ),
    "terzetto_protocol.checkpoints": "CheckpointPolicy",
    "terzetto_protocol.composites": "Lens Map Parallel Subgraph",
    "terzetto_protocol.context": "FlowContext ItemContext LeafContext NodeContext",
    "terzetto_protocol.dataflow": "Dataflow FlowNode SubFlow",
    "terzetto_protocol.decisions": "Approve Choose Confirm Decision Exiting Fail Modify Reject Reroute Retry",
    "terzetto_protocol.difference": "Change",
    "terzetto_protocol.errors": (
        "ActorStopped BlobDamaged BlocksTheLoop BranchesFailed CarriedElsewhere CommitPruned DecisionTimeout "
        "GraphError HeadMissing IllegalTransition InputMutated InvalidInput InvalidRequest Malformed MergeConflict "
        "MigrationFailed MutationFailed NodeTimeout NonDeterministicMutation NonDeterministicOutput NotStorable "
        "QueueFull ReducerFailed Refused RetryAfter RunConflict RunFailed StaleEpoch StoreDamaged StoreError "
        "StoreInUse StoreMissing StoreRejected StoreTooNew StoreUnavailable StuckNode SubgraphFailed TerzettoError "
        "ThreadBusy UnknownBlob UnknownGraph UnknownRun"
    ),
    "terzetto_protocol.events": (
        "BarrierOpened BarrierResolved BranchDiscarded BranchesStarted CancelRequested Cursor CustomChunk "
        "EffectIntended ErrorObserved Event Gap Heartbeat NodeFailed NodeFinished NodeStarted OutputSent "
        "RetryScheduled RunEnded RunInterrupted RunPaused RunQueued RunStarted StreamItem TextChunk "
        "ThinkingChunk ToolChunk payload_of"
    ),
    "terzetto_protocol.flow_state": "FlowState",
    "terzetto_protocol.foreign_stream": "BridgeTerms",
    "terzetto_protocol.graph": "Bound Graph bind",
    "terzetto_protocol.keyed": "KeyedState",
    "terzetto_protocol.migrations": "Migration",
    "terzetto_protocol.places": "Barrier Effects Exit Node",
    "terzetto_protocol.receipts": (
        "AlreadyResolved CancelReceipt DecisionKept DecisionTaken DecisionWithdrawn Deleted Denied "
        "PauseReceipt Receipt Resumed Submitted Truncated Undone"
    ),
    "terzetto_protocol.records": "BarrierRow ErrorLevel Failure ObservedError RunRow",
    "terzetto_protocol.reducers": "replayed",
    "terzetto_protocol.retention": "Keep Retention",
    "terzetto_protocol.retry": "USER_ERRORS RetryPolicy retry_after_of",
    "terzetto_protocol.shown": "Shown",
    "terzetto_protocol.state": "Mutation transient",
    "terzetto_protocol.statuses": "FailureCode RunStatus StreamStatus VisitStatus",
    "terzetto_protocol.views": "CommitView",
    "._blobs": "Blobs",
    "._bridge_reader": "BridgeReader",
    "._deciders": "Decider",
    "._feeds": "SinkStatistics",
    "._handles": "DecisionChannel Run Thread",
    "._history": "Replay",
    "._hub": "Subscription",
    "._inline": "run",
    "._mailbox": "Address Envelope Mailbox open_mailbox",
    "._memory_bridge": "BridgeStatistics MemoryStreamBridge",
    "._results": "Result",
    "._run": "RunStatistics",
    "._run_facade": "Runs",
    "._opening": "open_runtime",
    "._runtime": "Runtime RuntimeStatistics",
    "._runtime_bridge": "RuntimeStreamBridge",
    "._sinks": "BarrierSink Checkpoint CheckpointSink Required Sink StreamSink TraceSink",
    "._stream_bridge": "StreamBridge",
}
_HOMES: Final = {name: module for module, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:  # who checks types reads the imports above
    __all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOMES[name], __name__), name)
    return found


def __dir__() -> list[str]:
    return [*_HOMES, "__version__"]
