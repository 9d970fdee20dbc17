"""What can go wrong, and whose doing it was.

One base, `TerzettoError`. Each leaf keeps its data as attributes and says in its message which run,
node and value it is about and what to do.
"""

from collections.abc import Callable, Sequence
from typing import Final

from .limits import ERROR_LENGTH, ID_LENGTH

_TOLD: Final = 5  # failed branches, or fields, that a message names


class TerzettoError(Exception):
    """Base of everything that Terzetto raises on purpose."""


class GraphError(TerzettoError):
    """The graph's author declared something that cannot run; `mistakes` has all of it at once."""

    def __init__(self, graph: str, mistakes: Sequence[str]) -> None:
        self.graph = graph
        self.mistakes = tuple(mistakes)
        lines = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        super().__init__(f"graph {graph!r} cannot be built:\n{lines}")


class InvalidRequest(TerzettoError, ValueError):
    """The caller passed a value that is not acceptable anywhere; nothing was done."""


class Refused(TerzettoError):
    """The call is well-formed but not acceptable now; nothing changed."""

    def __init__(self, run_id: str, message: str) -> None:
        self.run_id = run_id
        super().__init__(f"run {run_id!r}: {message}")


class IllegalTransition(Refused):
    """A status may not follow another; nothing was written."""

    def __init__(self, run_id: str, machine: str, source: str | None, target: str, hint: str = "") -> None:
        self.machine, self.source, self.target = machine, source, target
        message = f"a {machine} may not go from {source or 'nothing'} to {target}"
        super().__init__(run_id, f"{message} ({hint})" if hint else message)


class NotStorable(TerzettoError, ValueError):
    """A value would not come back from the store as it is; the node that made it is to blame."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} cannot be stored: {reason}")


class Malformed(TerzettoError, ValueError):
    """Bytes from outside are not a message of the expected type; their sender is to blame."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} is malformed: {reason}")


class MutationFailed(TerzettoError):
    """A mutation's `apply` raised; the state is as it was before the whole batch."""

    def __init__(self, mutation: str, error: BaseException) -> None:
        self.mutation = mutation
        super().__init__(f"mutation {mutation} could not be applied: {describe(error)}")


class NonDeterministicMutation(MutationFailed):
    """A mutation, applied twice to the same state, made two different ones; only strict mode looks."""

    def __init__(self, mutation: str, fields: Sequence[str]) -> None:
        self.mutation, self.fields = mutation, tuple(fields)
        TerzettoError.__init__(
            self,
            f"mutation {mutation} is not deterministic: applied twice to the same state it made two, which differ in "
            f"{_listed(self.fields)} (let the node find out what it needs, and record that)",
        )


class InputMutated(TerzettoError):
    """A node, or the predicate of an edge, changed the state that it was lent; only strict mode looks."""

    def __init__(self, who: str, fields: Sequence[str], run_id: str = "") -> None:
        self.who, self.fields, self.run_id = who, tuple(fields), run_id
        where = f" in run {run_id!r}" if run_id else ""
        super().__init__(
            f"{who}{where} changed the state that it was lent, in {_listed(self.fields)} "
            "(only a mutation that a node records changes the state)"
        )


class MigrationFailed(TerzettoError):
    """A migration raised, or returned what is no plain data; the run stays as it is."""

    def __init__(self, graph: str, since: str, what: str, reason: str) -> None:
        self.graph, self.since, self.what, self.reason = graph, since, what, reason
        super().__init__(f"the migration of graph {graph!r} since {since!r} did not take {what}: {reason}")


class ReducerFailed(TerzettoError):
    """A reducer raised, or cannot combine these two values; the key has the value that it had."""

    def __init__(self, key: str, reducer: str, error: BaseException) -> None:
        self.key, self.reducer = key, reducer
        super().__init__(f"key {key!r}: reducer {reducer!r} raised {describe(error)}")


class RetryAfter(TerzettoError):
    """A node raises it to say: try again, but not before `retry_after` seconds have passed."""

    def __init__(self, seconds: float, message: str = "") -> None:
        self.retry_after = seconds
        super().__init__(message or f"try again in {seconds:g} s")


class NodeTimeout(TerzettoError):
    """One attempt of a node took too long, and was cancelled."""

    def __init__(self, option: str, seconds: float) -> None:
        self.option, self.seconds = option, seconds
        super().__init__(f"its {option} of {seconds:g} s has passed")


class StuckNode(TerzettoError):
    """A node ignored its cancel for the whole grace: its run went on or ended without it, and its task still runs."""

    def __init__(self, run_id: str, node: str, visit: int, seconds: float, stack: Sequence[str]) -> None:
        self.run_id, self.node, self.visit = run_id, node, visit
        self.seconds, self.stack = seconds, tuple(stack)
        super().__init__(
            f"run {run_id!r}: node {node!r} (visit {visit}) was told to leave {seconds:.3g} s ago and still runs: "
            "let its `await`s be cancelled, or give what it waits for a timeout"
        )


class DecisionTimeout(TerzettoError):
    """Nobody decided in time what a node waits for, and it asked to fail then."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"nobody decided {name!r} in time" + (f": {reason}" if reason else ""))


class InvalidInput(TerzettoError, ValueError):
    """A visit of a dataflow did not begin: what came in for a pin is not what its node takes."""

    def __init__(self, node: str, pin: str, reason: str) -> None:
        self.node, self.pin, self.reason = node, pin, reason
        super().__init__(f"node {node!r}: input {pin!r}: {reason}" if pin else f"node {node!r}: {reason}")


class SubgraphFailed(TerzettoError):
    """A graph that a node runs has failed; raised by `ctx.run`, and the state outside is what it was."""

    def __init__(self, graph: str, code: str, message: str) -> None:
        self.graph, self.code = graph, code
        super().__init__(f"graph {graph!r} failed ({code}): {message}")


class NonDeterministicOutput(TerzettoError):
    """A node that ran again sent something else in the place of what it had sent, and others have seen, before."""

    def __init__(self, run_id: str, node: str, number: int, output: str) -> None:
        self.run_id, self.node, self.number, self.output = run_id, node, number, output
        super().__init__(
            f"run {run_id!r}, node {node!r}: what it sends as number {number} (now {output!r}) was another value in an "
            "earlier attempt, which has gone on; send the same again, or take it from `ctx.effect`"
        )


class MergeConflict(TerzettoError):
    """Branches changed the same field of the state; nothing of them was folded."""

    def __init__(self, place: str, field: str, branches: Sequence[str]) -> None:
        self.place, self.field, self.branches = place, field, tuple(branches)
        super().__init__(
            f"field {field!r} was changed by {' and '.join(branches)}: mark it Annotated[..., terzetto.replayed], "
            f'or give {place!r} merge="replay" or a function of its own'
        )


class BranchesFailed(TerzettoError):
    """Some branches of a place with `errors="collect"` failed; the others were folded."""

    def __init__(self, place: str, failures: Sequence[tuple[str, str]], count: int) -> None:
        self.place, self.failures = place, tuple(failures)
        told = "; ".join(f"{path}: {text}" for path, text in self.failures[:_TOLD])
        more = f"; and {len(self.failures) - _TOLD} more" if len(self.failures) > _TOLD else ""
        super().__init__(f"{len(self.failures)} of {count} branches of {place!r} failed: {told}{more}")


class UnknownRun(TerzettoError, LookupError):
    """No run has this id; reading did not create one."""

    def __init__(self, run_id: str, where: str = "this store (list them with `terzetto runs`)") -> None:
        self.run_id = run_id
        super().__init__(f"no run {run_id!r} in {where}")


class UnknownBlob(TerzettoError, LookupError):
    """No blob of this store has this digest: it was never put here, or nobody named it for too long."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        super().__init__(f"no {digest} in this store (a blob is kept by the runs whose input or records name it)")


class CommitPruned(Refused):
    """The commit is not there any more: the run's log begins later; `earliest` is where."""

    def __init__(self, run_id: str, seq: int, earliest: int) -> None:
        self.seq, self.earliest = seq, earliest
        super().__init__(run_id, f"commit {seq} was pruned: all commits from {earliest} on are left")


class RunConflict(Refused):
    """The id (or idempotency key) belongs to a run with another graph or input."""


class CarriedElsewhere(Refused):
    """Another owner of the store carries the run and lives: what is said to it goes there."""

    def __init__(self, run_id: str, owner: str) -> None:
        self.owner = owner
        super().__init__(run_id, f"{owner} carries it, another owner of this store")


class UnknownGraph(Refused):
    """This runtime was not given the graph; another owner of the store may have it."""

    def __init__(self, graph: str, version: str, message: str, run_id: str = "") -> None:
        self.graph, self.version, self.run_id = graph, version, run_id
        TerzettoError.__init__(self, f"run {run_id!r}: {message}" if run_id else message)


class ThreadBusy(Refused):
    """A run is under way on the thread, and the new one was not to wait for it; nothing was accepted."""

    def __init__(self, thread: str, run_id: str, status: str) -> None:
        self.thread, self.status = thread, status
        super().__init__(
            run_id,
            f"thread {thread!r} is busy with it ({status}): wait for its end, "
            'or submit with busy="enqueue", "interrupt" or "rollback"',
        )


class HeadMissing(TerzettoError, LookupError):
    """No run of the thread has SUCCEEDED yet, or the last one was rolled back: there is no state to begin with."""

    def __init__(self, thread: str) -> None:
        self.thread = thread
        super().__init__(f"thread {thread!r} has no head: no run on it has SUCCEEDED, so the next one needs a state")


class QueueFull(TerzettoError):
    """Every slot and every place in the queue (of the pool, or of `thread`) is taken; nothing was accepted."""

    def __init__(self, waiting: int, retry_after: float, thread: str = "") -> None:
        self.waiting, self.retry_after, self.thread = waiting, retry_after, thread
        place = f"on thread {thread!r}" if thread else "for a slot"
        super().__init__(f"{waiting} runs are waiting {place} already; try again in {retry_after:g} s")


class RunFailed(TerzettoError):
    """`runtime.run()` or `terzetto.run()` ended without success; `code` and `status` say how."""

    def __init__(self, run_id: str, status: str, code: str, message: str) -> None:
        self.run_id, self.status, self.code = run_id, status, code
        super().__init__(f"run {run_id!r} ended {status}{f' ({code})' if code else ''}: {message}")


class StoreError(TerzettoError):
    """The store did not do what was asked."""


class StoreUnavailable(StoreError):
    """The store is gone for now: running work waits for it, new work is refused."""


class StoreMissing(StoreUnavailable):
    """Nothing is there yet: no file, or one that its first owner was stopped from making into a store."""


class StoreRejected(StoreError):
    """The store will never take this write, however often it is tried."""


class StoreInUse(StoreError):
    """Another process owns the store."""


class StoreTooNew(StoreError):
    """A newer Terzetto wrote this store; this one would damage it."""


class StoreDamaged(StoreError):
    """What the store has of a run is not what was stored: it stays as it is, and other runs go on.

    Args:
        store: where it is.
        run_id: whose it is; empty for what is no run's.
        place: which part of it.
        reason: how that shows.
    """

    def __init__(self, store: str, run_id: str, place: str, reason: str) -> None:
        self.store, self.run_id, self.place, self.reason = store, run_id, place, reason
        whose = f"run {run_id!r}: " if run_id else ""
        super().__init__(
            f"{whose}{place} in store {store} is damaged: {reason} "
            "(`terzetto doctor --deep` looks at all of it; restore a copy)"
        )


class BlobDamaged(StoreError):
    """What the store has under a digest are other bytes."""

    def __init__(self, digest: str, reason: str) -> None:
        self.digest = digest
        super().__init__(f"{digest} is damaged: {reason} (see `terzetto doctor`)")


class StaleEpoch(StoreError):
    """Somebody else has claimed the run since; what this process still wants to write is refused."""

    def __init__(self, run_id: str, epoch: int, current: int) -> None:
        self.run_id, self.epoch, self.current = run_id, epoch, current
        super().__init__(f"run {run_id!r} was claimed again: epoch {epoch} is stale, {current} owns it")


class BlocksTheLoop(TerzettoError, RuntimeError):
    """A call that blocks was made by a task of a Trio loop, which it would have stopped; nothing was done."""

    def __init__(self, what: str, instead: str) -> None:
        self.what, self.instead = what, instead
        super().__init__(
            f"{what} blocks, and a task of a Trio loop called it: await {instead}, or call it in a thread "
            "(trio.to_thread.run_sync)"
        )


class ActorStopped(TerzettoError):
    """The actor that was asked ended before it answered."""

    def __init__(self, actor: str) -> None:
        self.actor = actor
        super().__init__(f"{actor} has stopped")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more


def describe(error: BaseException) -> str:
    """One bounded line about an exception: whatever raises in it, and an empty message becomes the type's name."""
    name = _asked(lambda: type(error).__name__, ID_LENGTH) or "an exception whose type has no name"
    text = _asked(lambda: str(error), ERROR_LENGTH)
    if text is None:
        return f"{name} (its message cannot be shown)"
    return f"{name}: {text}" if text else name


def _asked(ask: Callable[[], str], length: int) -> str | None:
    """What a part of somebody's exception says of itself, or None."""
    try:
        return one_line(ask(), length)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's __str__ may raise anything, and this runs while reporting it
        return None


def one_line(text: str, length: int) -> str:
    """The text in one line that can be stored and shown, cut after so many characters."""
    line = " ".join(part.strip() for part in text.splitlines())
    line = line.encode("utf-8", "backslashreplace").decode("utf-8").strip()
    return line if len(line) <= length else f"{line[:length]}... ({len(line)} characters)"
