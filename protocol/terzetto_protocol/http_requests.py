"""What an HTTP client can ask: the routes, what their bodies and queries hold, and the commands that these are."""

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Raw, Struct, UnsetType

from .codec import UNDECODABLE, Codec, check_json
from .commands import Cancel, Decide, Submit
from .decisions import Decision
from .errors import Malformed
from .graph_view import GraphView
from .receipts import AlreadyResolved, CancelReceipt, DecisionKept, DecisionTaken, Receipt, Submitted
from .records import Durability, OnCompletion
from .statuses import RunStatus
from .threads import Busy
from .views import RunView
from .wire_answers import Runs
from .wire_asks import ListRuns, Scope

Operation: TypeAlias = Literal["execute", "stop", "list", "get", "decide", "events", "graphs", "openapi"]


class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Execute(_Body, frozen=True):
    """Start a run."""

    state: Raw | UnsetType = msgspec.UNSET
    """What it begins with, as JSON of the graph's state; left out, it is the end of the thread's head."""
    run_id: str = ""
    """The id of the new run, so that twice is once; empty for one that the server makes."""
    key: str = ""
    """Idempotency key: the same key with the same state is the same run."""
    auto_approve: bool = False
    thread: str = ""
    busy: Busy = "reject"
    command_id: str = ""
    metadata: dict[str, str | int | float | bool] = {}
    max_steps: int | None = None
    deadline: float | None = None
    """Seconds after which it fails, wherever it is by then."""
    deadline_parked: bool = False
    """Whether the time counts that it waits for people or is paused."""
    durability: Durability = "commits"
    on_completion: OnCompletion = "keep"

    def command(self, graph: str, version: str, *, run_id: str, command_id: str) -> Submit:
        """The command that this is; the ids are for those that the client left out."""
        state = b"" if isinstance(self.state, UnsetType) else bytes(self.state)
        return Submit(
            self.command_id or command_id,
            self.run_id or run_id,
            graph,
            state,
            version=version,
            key=self.key,
            auto_approve=self.auto_approve,
            thread=self.thread,
            busy=self.busy,
            metadata=self.metadata,
            max_steps=self.max_steps,
            deadline=self.deadline,
            deadline_parked=self.deadline_parked,
            durability=self.durability,
            on_completion=self.on_completion,
        )


class Stop(_Body, frozen=True):
    """End a run."""

    reason: str = ""
    command_id: str = ""

    def command(self, run_id: str, *, command_id: str) -> Cancel:
        """The command that this is; the id is for one that the client left out."""
        return Cancel(self.command_id or command_id, run_id, self.reason)


class Answering(_Body, frozen=True):
    """Answer a barrier."""

    decision: Decision
    barrier: str = ""
    """Its id, or its name where one of that name is open; empty where only one is."""
    source: str = ""
    """Who decides; empty for whose token it is."""
    keep: Literal["", "once", "always"] = ""
    """What happens where no such barrier is open: refused, kept for the next that opens, or for every one."""
    command_id: str = ""

    def command(self, run_id: str, *, who: str, command_id: str) -> Decide:
        """The command that this is; the last two are for what the client left out."""
        source = self.source or who
        return Decide(self.command_id or command_id, run_id, self.barrier, self.decision, source, self.keep)


_execute: Final = msgspec.json.Decoder(Execute)  # its state stays JSON, which is what the command carries


def read_execute(data: bytes) -> Execute:
    """The body of an `execute`; raises `Malformed` for what is none, or is over a limit."""
    check_json(data, "the body")
    try:
        return _execute.decode(data)
    except UNDECODABLE as error:
        raise Malformed("the body", str(error)) from error


STOP: Final[Codec[Stop]] = Codec(Stop, "the body")
ANSWERING: Final[Codec[Answering]] = Codec(Answering, "the body")


class Found(Struct, frozen=True, forbid_unknown_fields=True):
    """The graphs that the server knows."""

    graphs: tuple[GraphView, ...]


class _Listing(Struct, frozen=True, forbid_unknown_fields=True):
    """What a query may have."""

    status: list[RunStatus] = []
    thread: str = ""
    before: str = ""
    limit: int = 100


def listing_of(graph: str, query: Iterable[tuple[str, str]]) -> ListRuns:
    """The query of a list, whose parameters may have come from anywhere; raises `Malformed`."""
    given: dict[str, Any] = {}
    for name, value in query:
        if name == "status":
            given.setdefault(name, []).append(value)
        elif name in given:
            raise Malformed("the query", f"{name:.80} is given twice")
        else:
            given[name] = value
    try:
        read = msgspec.convert(given, _Listing, strict=False)
        asked = {"statuses": read.status, "graph": graph, "thread": read.thread, "before": read.before}
        return msgspec.convert(asked | {"limit": read.limit}, ListRuns)
    except UNDECODABLE as error:
        raise Malformed("the query", str(error)) from error


def check_no_query(query: bytes) -> None:
    """Raise `Malformed` for a query where none means anything; what it says is repeated nowhere."""
    if query:
        raise Malformed("the query", "there is none here")


class Route(Struct, frozen=True):
    """One thing that can be asked."""

    operation: Operation
    method: Literal["GET", "POST"]
    path: str
    scope: Scope
    summary: str
    answers: dict[int, Any]
    """What comes, by the status; None for nothing, or for what is no JSON of ours."""
    body: Any = None
    """What is sent; None for nothing."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parts of the path that are chosen."""
        parts = self.path.split("/")
        return tuple(part[1:-1] for part in parts if part.startswith("{"))


_RUNS: Final = "/v1/graphs/{graph}/executions"
_RUN: Final = f"{_RUNS}/{{run}}"
ROUTES: Final = (
    Route("graphs", "GET", "/v1/graphs", "read", "The graphs that the server knows", {200: Found}),
    Route(
        "execute",
        "POST",
        "/v1/graphs/{graph}/execute/{version}",
        "control",
        "Start a run, which is durable then; 200 for one that was there",
        {201: Submitted, 200: Submitted},
        Execute,
    ),
    Route("list", "GET", _RUNS, "read", "Runs of a graph, newest first", {200: Runs}),
    Route("get", "GET", _RUN, "read", "One run without its commits, with its state when it rests", {200: RunView}),
    Route(
        "stop",
        "POST",
        f"{_RUN}/stop",
        "control",
        "End a run, and wait for its end; 202 where that takes longer than the server waits",
        {200: CancelReceipt, 202: CancelReceipt},
        Stop,
    ),
    Route(
        "decide",
        "POST",
        f"{_RUN}/decide",
        "decide",
        "Answer a barrier; 202 for a decision that is kept until it opens, 409 where somebody else was first",
        {200: DecisionTaken, 202: DecisionKept, 409: AlreadyResolved},
        Answering,
    ),
    Route(
        "events",
        "GET",
        f"{_RUN}/events",
        "read",
        "What a run tells, as server-sent events; 204 after its last one",
        {200: None, 204: None},
    ),
    Route("openapi", "GET", "/v1/openapi.json", "read", "This document", {200: None}),
)

_ANSWERED: Final[dict[type[Any], int]] = {AlreadyResolved: 409, DecisionKept: 202}


def status_of(receipt: Receipt) -> int:
    """The HTTP status with which a receipt is sent."""
    match receipt:
        case Submitted(reused=False):
            return 201
        case CancelReceipt(outcome="requested"):
            return 202
        case _:
            return _ANSWERED.get(type(receipt), 200)
