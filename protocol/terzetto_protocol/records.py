"""What is stored: the run's header and row, its commits, its barriers, and commands left by other processes.

A `Record` holds what was *decided* (mutations, what runs next, status), never what was asked, so
that folding the log needs no predicate and no clock. Field order is the storage format: new
fields are added at the end, with a default.
"""

from enum import StrEnum
from typing import Final, Literal, TypeAlias, get_args

from msgspec import Raw, Struct

from .checkpoints import CheckpointPolicy
from .decisions import Decision, Exiting, Fail, Recorded
from .statuses import BarrierStatus, RunStatus, VisitStatus

ErrorLevel: TypeAlias = Literal["warning", "degraded", "partial_failure"]
"""How bad an error is that ends nothing: worth a look; the result is worse than it should be; a part is missing."""


class Kind(StrEnum):
    """What a commit is about."""

    SUBMIT = "submit"
    CLAIM = "claim"
    VISIT = "visit"
    INTENT = "intent"
    OPEN = "open"
    UNKNOWN = "unknown"
    DECIDE = "decide"
    QUEUE = "queue"
    CANCEL = "cancel"
    INTERRUPT = "interrupt"
    END = "end"
    FORK = "fork"
    JOIN = "join"
    SKIP = "skip"
    PAUSE = "pause"
    PARK = "park"
    RETRY = "retry"
    ASK = "ask"
    NOTE = "note"
    KEEP = "keep"
    WITHDRAW = "withdraw"
    REWIND = "rewind"
    SEND = "send"
    CALL = "call"
    RETURN = "return"
    MIGRATE = "migrate"
    __hash__ = str.__hash__


class Failure(Struct, frozen=True, tag="failure"):
    """Why a visit or a run failed, in words that are safe to show."""

    code: str
    message: str
    errors: tuple[str, ...] = ()
    """The leaves of an exception group, or the one error, each as `Type: message`."""
    trace: tuple[str, ...] = ()
    """Innermost frames as `file:line in function`, last call last; no source, no values."""
    final: bool = False
    """Whether no `on_error` edge may lead on from it: the run was declared or applied wrongly."""


class Resolution(Struct, frozen=True, tag="resolution"):
    """How a barrier was resolved."""

    barrier: str
    decision: Decision
    source: str
    """Who: a person's or program's name, `timeout`, `auto` or `probe`."""
    command_id: str = ""
    failure: Failure | None = None
    """Why the run fails because of it, if it does."""
    kept: str = ""
    """For which barrier it had been kept, if it was given before that opened."""


class Note(Struct, frozen=True, tag="note"):
    """Why a command moved the run, or what a person should know about the end."""

    text: str
    command_id: str = ""


class Attempt(Struct, frozen=True, tag="attempt"):
    """An attempt that failed and is followed by another."""

    failure: Failure
    due: float
    """UNIX time of the next, seconds."""


class Forked(Struct, frozen=True, tag="forked"):
    """What a composite place opened."""

    count: int
    items: tuple[Raw, ...] = ()
    """What a map goes over, encoded."""
    state: bytes = b""
    """A subgraph's state to begin with, encoded."""


class Joined(Struct, frozen=True, tag="joined"):
    """How branches came together."""

    folds: bool = False
    """Whether what the branches recorded is applied, in order of declaration, before the record's own mutations."""
    dropped: tuple[int, ...] = ()
    """Numbers of the branches that are left out."""
    discarded: tuple[str, ...] = ()
    """Paths of the branches whose commits are dropped."""
    unknown: tuple[str, ...] = ()
    """Visits whose effect nobody knows, because a failing sibling ended them."""
    failure: Failure | None = None
    """Why the composite place failed, if it did."""


class Opening(Struct, frozen=True, array_like=True):
    """A barrier as it opens."""

    deadline: float | None = None
    """UNIX time, seconds, at which the barrier decides by itself."""
    payload: Raw = Raw(b"\xc0")
    """What the person is shown, as msgpack."""
    reconcile: bool = False
    """True when it asks what became of an effect."""
    at: float = 0.0
    """UNIX time of the opening, seconds."""
    known: str = ""
    """The barrier's id, where its place is called otherwise since: whoever decides it knows it by this one."""


class Answer(Struct, frozen=True, array_like=True):
    """What a body is told; exactly one of the three."""

    value: bytes = b""
    """msgpack."""
    decision: Decision | None = None
    failure: Failure | None = None


class Ask(Struct, frozen=True, array_like=True):
    """A decision that a body waits for, as it is stored with its visit."""

    barrier: str
    name: str
    opening: Opening
    exits: tuple[str, ...]
    on_timeout: Exiting | Fail


class Kept(Struct, frozen=True, tag="kept"):
    """A decision that waits for its barrier."""

    barrier: str
    """The barrier's id, its name, or `*` for any."""
    decision: Decision
    source: str
    standing: bool = False
    """Whether it is for every occurrence until somebody withdraws it, and not for the next alone."""
    command_id: str = ""


class Withdrawn(Struct, frozen=True, tag="withdrawn"):
    """Decisions that waited for this barrier wait no longer."""

    barrier: str
    command_id: str = ""


class Rewind(Struct, frozen=True, tag="rewind"):
    """The run goes on from where it was."""

    to: int
    """The commit that it goes back to."""
    snapshot: bytes
    """The run as it was then, ready to go on, with numbers of visits that were never used."""
    command_id: str = ""


class Taken(Struct, frozen=True, tag="taken"):
    """The run begins: it was its turn on its thread."""

    base: str
    """The thread's head by then; empty for none."""
    state: bytes = b""
    """The encoded state that it begins with; empty for the one that it was submitted with."""


class Asked(Struct, frozen=True, tag="asked"):
    """A body waits for a decision."""

    key: str
    ask: Ask


class Noted(Struct, frozen=True, tag="noted"):
    """A body has a result that must not be made twice."""

    key: str
    answer: Answer


class Sent(Struct, frozen=True, tag="sent"):
    """A visit of a dataflow has sent a value, which its mutation holds."""

    number: int
    """How many it had sent before."""
    output: str
    digest: bytes
    """What tells this value from every other."""


class Called(Struct, frozen=True, tag="called"):
    """A body runs a graph, and waits for its end."""

    path: str
    key: str
    """What the body is told its end under."""
    state: bytes
    """The graph's state to begin with, encoded."""


class Returned(Struct, frozen=True, tag="returned"):
    """A graph that a body runs has ended."""

    path: str
    key: str
    answer: Answer | None
    """Its final state or why it failed; None where the body does not wait any more."""
    unknown: tuple[str, ...] = ()
    """Visits whose effect nobody knows, because nobody waits for them any more."""


class ObservedError(Struct, frozen=True):
    """An error that a node reported, and that ended neither it nor its run."""

    level: ErrorLevel
    message: str
    node: str
    """With its path, where it has one."""
    visit: int


class Observed(Struct, frozen=True, array_like=True):
    """What was reported: the first errors, and how many there were beyond."""

    errors: tuple[ObservedError, ...] = ()
    more: int = 0

    def plus(self, error: ObservedError, limit: int) -> "Observed":
        """The same with one error more, of which `limit` are listed."""
        if len(self.errors) < limit:
            return Observed((*self.errors, error), self.more)
        return Observed(self.errors, self.more + 1)

    def with_all(self, others: "Observed", limit: int) -> "Observed":
        """The same with others, of which all together `limit` are listed."""
        both = self
        for error in others.errors:
            both = both.plus(error, limit)
        return Observed(both.errors, both.more + others.more)


class Migrated(Struct, frozen=True, tag="migrated"):
    """The run goes on under another version of its graph: what follows is written in that version's form."""

    since: str
    to: str
    fingerprint: str
    """Hash of the graph under which it goes on."""


Detail: TypeAlias = (
    Failure
    | Resolution
    | Note
    | Attempt
    | Forked
    | Joined
    | Asked
    | Noted
    | Kept
    | Withdrawn
    | Rewind
    | Sent
    | Called
    | Returned
    | Taken
    | Migrated
)


class Step(Struct, frozen=True, array_like=True, gc=False):
    """A visit that enters the frontier."""

    visit: int
    place: str
    edge: int = -1
    """The counted edge that led here, or -1."""
    opening: Opening | None = None
    path: str = ""
    k: int = 0
    """How often this visit was asked about before it opened."""
    ticket: int = 0
    """In a dataflow, which of the completed inputs are this visit's."""


class Record(Struct, frozen=True, array_like=True, gc=False):
    """One commit: all of it is stored, or none."""

    seq: int
    kind: Kind
    epoch: int
    at: float
    """UNIX time, seconds."""
    status: RunStatus
    """The run's status after this commit."""
    event_id: int
    """Id of the first event that this commit tells; the others follow without a hole."""
    visit: int = 0
    place: str = ""
    outcome: VisitStatus | None = None
    """The visit's status after this commit."""
    attempt: int = 0
    steps: tuple[Step, ...] = ()
    mutations: tuple[Recorded, ...] = ()
    detail: Detail | None = None
    path: str = ""
    parks: bool = False
    """Whether the run is to be PAUSED as soon as nothing of it is live."""
    observed: Observed | None = None
    """Errors that the visit reported and that did not end it."""
    checkpoint: str | None = None
    """The label of the checkpoint that its node asked for, which may be empty; None where it asked for none."""


def failure_of(record: Record) -> Failure | None:
    """Why the run failed with this commit, or None for one that does not fail it."""
    if record.status is not RunStatus.FAILED:
        return None
    return failure_in(record)


def failure_in(record: Record) -> Failure | None:
    """Why what this commit is about failed, or None if it did not."""
    made = record.detail.failure if isinstance(record.detail, Resolution | Joined) else record.detail
    return made if isinstance(made, Failure) else None


Durability: TypeAlias = Literal["commits", "barriers", "exit"]
"""When commits are written: at once; when a barrier opens, the run rests or it ends; or the same by another name."""
DURABILITIES: Final[tuple[Durability, ...]] = get_args(Durability)
OnCompletion: TypeAlias = Literal["keep", "delete"]
"""What becomes of a run that has ended."""
COMPLETIONS: Final[tuple[OnCompletion, ...]] = get_args(OnCompletion)


class RunHeader(Struct, frozen=True):
    """What `submit` said; it never changes."""

    run_id: str
    graph: str
    version: str
    fingerprint: str
    """Hash over the graph's structure and schemas when the run was submitted."""
    input_digest: str
    """Hash of graph, version and encoded input: same id and same digest is the same run."""
    at: float
    key: str = ""
    """Idempotency key, or empty."""
    max_steps: int = 10_000
    auto_approve: bool = False
    metadata: dict[str, str | int | float | bool] = {}
    parent: str = ""
    deadline: float | None = None
    """Seconds that the run has, from its submit."""
    deadline_parked: bool = False
    """Whether the time counts that it waits for people or is paused."""
    durability: Durability = "commits"
    """When its commits are written."""
    thread: str = ""
    """The thread that it continues, or empty."""
    line: int = 0
    """Its place among the runs that were under way on its thread when it was submitted; 0 when none was."""
    from_head: bool = False
    """Whether it begins with the final state of its thread's head; else with the one that it was given."""
    state_schema: str = ""
    """Hash over the type of its state; given for runs on a thread."""
    checkpoints: CheckpointPolicy | None = None
    """Which commits carry a snapshot; None: when the deltas since the last one outweigh it."""
    recorded: tuple[Recorded, ...] = ()
    """What is applied to the state of its thread's head when it begins with that."""
    on_completion: OnCompletion = "keep"
    """What becomes of it when it has ended."""


class BarrierRow(Struct, frozen=True):
    """A barrier as it is listed for whoever may decide it."""

    run_id: str
    barrier: str
    """`name@visit`, unique in the run."""
    name: str
    visit: int
    status: BarrierStatus
    opened: float
    deadline: float | None = None
    payload: bytes = b"\xc0"
    """msgpack."""
    reconcile: bool = False
    decision: str = ""
    source: str = ""
    resolved: float | None = None


class Write(Struct, frozen=True, gc=False):
    """One commit as the persistence actor hands it to a store: applied whole, or refused whole."""

    run_id: str
    expect: int
    """Epoch that the stored run must have (0 for the first)."""
    epoch: int
    """Epoch that it has afterwards."""
    seq: int
    at: float
    status: RunStatus
    event_id: int
    """Id of the last event that this commit tells."""
    body: bytes
    """The encoded `Record`."""
    moved: bool = True
    """False when neither status nor epoch changes, so that the run's row may stay untouched."""
    snapshot: bytes | None = None
    barriers: tuple[BarrierRow, ...] = ()
    header: RunHeader | None = None
    """Given by the first commit only: it creates the run."""
    code: str = ""
    message: str = ""
    timer: float | None = None
    """UNIX time of the run's next barrier deadline, seconds; written whenever `moved`."""
    kind: Kind = Kind.VISIT
    """What the commit is about, for whoever counts; it is part of the body too."""
    thread: str = ""
    """The thread whose head the run becomes with this commit, which then also `moved`."""
    blobs: tuple[str, ...] = ()
    """Digests of the blobs that it names, and that the run therefore keeps."""
    base: str | None = None
    """The head of the run's thread from which the run begins with this commit, empty for none; None: it does not."""


class RunRow(Struct, frozen=True):
    """A run as a store lists it."""

    header: RunHeader
    status: RunStatus
    epoch: int
    seq: int
    """The last durable commit."""
    event_id: int
    """The last durable event."""
    updated: float
    code: str = ""
    message: str = ""
    timer: float | None = None
    first: int = 1
    """The first commit from which all are left; 1 unless the log was pruned."""
    damaged: str = ""
    """Why nothing is told but the id: what is stored is not what was stored. Empty for a row that can be believed."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.header.run_id


class Head(Struct, frozen=True):
    """Where a thread is: the run from whose end the next one starts."""

    thread: str
    run_id: str
    moved: float
    """UNIX time since which it is there, seconds."""


class Applied(Struct, frozen=True):
    """The write is durable (as far as the store is), now or since an earlier try."""


class Stale(Struct, frozen=True):
    """The run has another epoch; nothing was written."""

    current: int


class Exists(Struct, frozen=True):
    """A run with this id or idempotency key is there already; nothing was written."""

    row: RunRow


class Overtaken(Struct, frozen=True):
    """The run's thread has gone on since the write was made; nothing was written."""

    run_id: str
    """Who joined its line meanwhile, or has become its head; empty where it has none any more."""


class Rejected(Struct, frozen=True):
    """This write can never be stored; the others of its group were."""

    reason: str
    final: bool = True
    """False when nobody knows whether it is there: the persistence actor stopped first, or the run is damaged."""


Outcome: TypeAlias = Applied | Stale | Exists | Overtaken | Rejected


class Posted(Struct, frozen=True):
    """A command that another process left for the run's owner."""

    command_id: str
    run_id: str
    body: bytes
    """The encoded command."""
    at: float
    receipt: bytes | None = None
    """The encoded receipt, once the owner has answered."""
