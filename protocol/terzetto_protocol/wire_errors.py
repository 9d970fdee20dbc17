"""Errors on the wire: each has a code that stays what it is, whatever its class is called, and comes back as its class.

What a client is told is what it can do something about. Of what the store or the server itself suffers it hears that,
and nothing else: no paths, no stacks, no texts of other people's exceptions.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from msgspec.structs import replace

from . import errors
from .errors import Malformed, NotStorable, TerzettoError, one_line
from .limits import ERROR_LENGTH
from .wire import Failed

WireCode: TypeAlias = Literal[
    "internal",
    "too_large",
    "not_allowed",
    "rate_limited",
    "duplicate_id",
    "too_many_requests",
    "too_many_subscriptions",
    "unknown_subscription",
    "out_of_order",
    "other_version",
]
"""Codes that no error of the runtime has."""


class WireError(TerzettoError):
    """The other side of a connection did not do what was asked; `code` says why.

    Args:
        code: one of `WireCode`, or one that a newer server has.
        message: for people.
        path: where in the frame the mistake is, or empty.
        data: more about it, such as `retry_after` in seconds.
    """

    def __init__(self, code: str, message: str, path: str = "", data: Mapping[str, Any] | None = None) -> None:
        self.code, self.path, self.data = code, path, dict(data or {})
        super().__init__(message)


CODES: Final[Mapping[type[TerzettoError], str]] = MappingProxyType(
    {
        TerzettoError: "error",
        errors.GraphError: "graph_error",
        errors.InvalidRequest: "invalid_request",
        errors.Refused: "refused",
        errors.IllegalTransition: "illegal_transition",
        errors.NotStorable: "not_storable",
        errors.Malformed: "malformed",
        errors.MutationFailed: "mutation_failed",
        errors.NonDeterministicMutation: "non_deterministic_mutation",
        errors.InputMutated: "input_mutated",
        errors.MigrationFailed: "migration_failed",
        errors.ReducerFailed: "reducer_failed",
        errors.RetryAfter: "retry_after",
        errors.NodeTimeout: "node_timeout",
        errors.StuckNode: "stuck_node",
        errors.DecisionTimeout: "decision_timeout",
        errors.InvalidInput: "invalid_input",
        errors.SubgraphFailed: "subgraph_failed",
        errors.NonDeterministicOutput: "non_deterministic_output",
        errors.MergeConflict: "merge_conflict",
        errors.BranchesFailed: "branches_failed",
        errors.UnknownRun: "unknown_run",
        errors.UnknownBlob: "unknown_blob",
        errors.CommitPruned: "commit_pruned",
        errors.RunConflict: "run_conflict",
        errors.CarriedElsewhere: "carried_elsewhere",
        errors.UnknownGraph: "unknown_graph",
        errors.ThreadBusy: "thread_busy",
        errors.HeadMissing: "head_missing",
        errors.QueueFull: "queue_full",
        errors.RunFailed: "run_failed",
        errors.StoreError: "store_error",
        errors.StoreUnavailable: "store_unavailable",
        errors.StoreMissing: "store_missing",
        errors.StoreRejected: "store_rejected",
        errors.StoreInUse: "store_in_use",
        errors.StoreTooNew: "store_too_new",
        errors.StoreDamaged: "store_damaged",
        errors.BlobDamaged: "blob_damaged",
        errors.StaleEpoch: "stale_epoch",
        errors.ActorStopped: "actor_stopped",
        errors.BlocksTheLoop: "blocks_the_loop",
    }
)
"""The code of each error."""

_PATH: Final = re.compile(r" - at `(\$.*)`\Z", re.DOTALL)
_CLASSES: Final = {code: kind for kind, code in CODES.items()}
_STORE: Final = "the store of the server did not do what was asked; its log says more"
_AWAY: Final = "the store of the server is gone for now; try again later"
_DISCREET: Final[Mapping[type[TerzettoError], str]] = MappingProxyType(
    {
        errors.StoreError: _STORE,
        errors.StoreUnavailable: _AWAY,
        errors.StoreMissing: _AWAY,
        errors.StoreRejected: _STORE,
        errors.StoreInUse: _STORE,
        errors.StoreTooNew: _STORE,
        errors.StoreDamaged: "what the store of the server has of it is damaged; its log says more",
    }
)
"""What is said instead of messages that may name places on the server."""
_UNTOLD: Final = frozenset({"stack", "store", "place", "reason"})
"""Attributes of these that are not told, nor are stacks."""


def failed(request_id: int | None, error: BaseException) -> Failed:
    """What a client is told of an error, whatever it is."""
    if isinstance(error, WireError):
        return Failed(request_id, error.code, _line(str(error)), error.path, error.data)
    known = next((kind for kind in type(error).__mro__ if kind in CODES), None)
    if known is None:
        return Failed(request_id, "internal", "something went wrong in the server; its log says what")
    discreet = _DISCREET.get(known)
    told = {name: _plain(value) for name, value in vars(error).items() if _is_told(name, value)}
    if discreet is not None or "stack" in told:
        told |= dict.fromkeys(_UNTOLD & told.keys(), "")
    return Failed(request_id, CODES[known], discreet or _line(str(error)), "", told)


def explained(request_id: int | None, error: BaseException) -> Failed:
    """As `failed`, with the path of the mistake where what came could not be read."""
    frame = failed(request_id, error)
    found = _PATH.search(str(error)) if isinstance(error, Malformed | NotStorable) else None
    return frame if found is None else replace(frame, message=str(error)[: found.start()], path=found[1])


def error_of(frame: Failed) -> TerzettoError:
    """The error that a client raises: of the class that was raised in the server, with its message and attributes."""
    kind = _CLASSES.get(frame.code)
    if kind is None:
        return WireError(frame.code, frame.message, frame.path, frame.data)
    error = kind.__new__(kind, frame.message)
    for name, value in frame.data.items():
        if name.isidentifier() and not hasattr(error, name):  # nothing that every exception has
            setattr(error, name, _tupled(value))
    return error


def _tupled(value: Any) -> Any:
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _line(text: str) -> str:
    return one_line(text, ERROR_LENGTH)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)]
    return _line(value) if isinstance(value, str) else value


def _is_told(name: str, value: object) -> bool:
    """Whether an attribute is plain data."""
    if name.startswith("_"):
        return False
    if isinstance(value, list | tuple):
        return all(isinstance(item, str | int | float | bool) for item in cast("list[object]", value))
    return value is None or isinstance(value, str | int | float | bool)


assert not _CLASSES.keys() & set(get_args(WireCode))
