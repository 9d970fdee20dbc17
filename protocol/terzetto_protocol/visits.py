"""What the end of a visit means: its commit, its failure, its cancellation, and what became of its effect."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from .ahead import Ahead, Next
from .blueprint import EasyWay
from .chunks import chunk_of
from .errors import MutationFailed, NotStorable, Refused, describe
from .fold import Pending
from .inputs import (
    Emitted,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    Probed,
)
from .places import Node
from .records import Failure, Kind, Opening
from .routing import NoWay, Way, after_failure, after_success
from .scribe import RESTING
from .state import Entry
from .statuses import FailureCode, RunStatus, VisitStatus
from .turn import Turn

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


def _choose(ways: tuple[EasyWay[S], ...], state: S) -> Node[S, Any] | None:
    """Where to go; None where the general path has to say why not."""
    try:
        for when, node in ways:
            if when is None or when(state):
                return node
    except (Exception, SystemExit, GeneratorExit):  # noqa: BLE001 - a predicate may raise anything: it is asked again
        return None
    return None


class Visits(Ahead[S], Generic[S]):
    """The part of a run's machine that nodes speak to."""

    __slots__ = ()

    # -- the everyday path -----------------------------------------------------------------------------------
    #
    # A lone visit that ends well, with one plain edge on to a node that needs nothing special: the same records,
    # events and moves as the general path below (a property test runs both on the same inputs), without asking
    # what cannot be the case. It is most of what a run does, and the general path takes three times as long.

    def _is_everyday(self, msg: NodeFinished) -> bool:
        image = self.fold.image
        return (
            image.status is _R.RUNNING
            and msg.visit in self.live
            and len(image.frontier) == 1
            and image.visits < self.fold.header.max_steps
            and not msg.pause
            and self.halting is None
            and not self.fenced
        )

    def _follow(self, entry: Pending, ways: tuple[EasyWay[S], ...], msg: NodeFinished) -> Turn | None:
        """The everyday turn; None, and nothing moved, when the batch or the way on needs the general path's words."""
        fold = self.fold
        try:
            fold.apply(msg.batch)
        except MutationFailed:
            return None
        successor = _choose(ways, fold.state)
        if successor is None:
            fold.drop(msg.batch)
            return None
        try:
            state = self._checkpoint(msg.batch, _R.RUNNING)
        except NotStorable:
            fold.drop(msg.batch)
            return None
        left = (entry.visit, entry.place, entry.attempt)
        fold.follow(entry, successor.name, self.told + 1)
        self.live.clear()
        return self.go_on_everyday(entry, left, msg, state, pure=successor.options.effects == "pure")

    # -- every path ------------------------------------------------------------------------------------------

    def _leave(self, visit: int) -> Pending:
        """Take a visit out of the live ones; raises `Refused` when it is not one of them."""
        if visit not in self.live:
            raise Refused(self.run_id, f"visit {visit} is not running (late, or never started)")
        self.live.discard(visit)
        return self.fold.image.frontier[visit]

    def _on_finished(self, msg: NodeFinished) -> None:
        entry = self._leave(msg.visit)
        if self.status is not _R.RUNNING:
            self.fold.cleanse()
            self._unwound(msg.at)  # D6: nothing commits after an acknowledged cancel
            return
        try:
            self.fold.apply(msg.batch)
        except MutationFailed as error:
            self._fail_visit(entry, self._failure(entry, error), msg.at, final=True)
            return
        way = self._ways(entry, msg)
        ahead = self._next(entry, way, msg.at, pause=msg.pause)
        try:
            state = self._checkpoint(msg.batch, ahead.status)
        except NotStorable as error:
            self.fold.drop(msg.batch)
            self._fail_visit(entry, self._failure(entry, error), msg.at)
            return
        self._commit_visit(entry, ahead, msg, state)

    def _ways(self, entry: Pending, msg: NodeFinished) -> Way[S] | NoWay | str:
        if msg.next is None:
            return after_success(self.blueprint, entry.place, "", self.fold.state, self.fold.image.edges)
        if msg.next and msg.next not in self.blueprint.places:
            return NoWay(FailureCode.UNROUTED, f"goto: the graph has no node {msg.next!r}")
        return msg.next or Way(None)

    def _commit_visit(self, entry: Pending, ahead: Next, msg: NodeFinished, state: bytes | None) -> None:
        self.commit(
            Kind.VISIT,
            msg.at,
            ahead.status,
            entry=entry,
            outcome=_V.SUCCEEDED,
            attempt=entry.attempt,
            steps=ahead.steps,
            mutations=msg.batch,
            detail=ahead.failure,
            state=state,
        )
        self._go_on(ahead, msg.at)

    def _on_failed(self, msg: NodeFailed) -> None:
        entry = self._leave(msg.visit)
        self.fold.cleanse()
        if self.status is _R.RUNNING:
            self._fail_visit(entry, msg.failure, msg.at)
        else:
            self._unwound(msg.at)

    def _fail_visit(self, entry: Pending, failure: Failure, at: float, *, final: bool = False) -> None:
        """Commit a failed visit; an `on_error` edge leads on, unless the failure is `final`."""
        image = self.fold.image
        way: Way[S] | NoWay = Way(None)
        if not final:
            way = after_failure(self.blueprint, entry.place, self.fold.state, image.edges)
            if isinstance(way, NoWay):
                failure = msgspec.structs.replace(failure, message=f"{failure.message}; then {way.message}")
        leads_on = isinstance(way, Way) and way.edge is not None
        ahead = self._next(entry, way, at) if leads_on else Next(_R.FAILED, (), failure)
        detail = ahead.failure or failure
        self.commit(
            Kind.VISIT,
            at,
            ahead.status,
            entry=entry,
            outcome=_V.FAILED,
            attempt=entry.attempt,
            steps=ahead.steps,
            detail=detail,
        )
        self._go_on(ahead, at)

    def _on_node_cancelled(self, msg: NodeCancelled) -> None:
        self._leave(msg.visit)
        self.fold.cleanse()
        if self.status is _R.RUNNING and self.halting is None:
            self.halting = "its scope was cancelled"
        self._unwound(msg.at)

    def _recover_effect(self, entry: Pending, at: float) -> None:
        node = self.blueprint.node(entry.place)
        if node is not None and node.options.probe is not None:
            self.waits.hold(self.fold.image.seq, entry.visit, "probe")
        else:
            self._ask_what_became(entry, at)

    def _ask_what_became(self, entry: Pending, at: float) -> None:
        self._open(Kind.UNKNOWN, entry, Opening(reconcile=True, at=at), at)

    def _on_probed(self, msg: Probed) -> None:
        asked = self.fold.image.frontier.get(msg.visit)
        if asked is not None and asked.status is not _V.RUNNING:
            raise Refused(self.run_id, f"visit {msg.visit} has no intent to ask about")
        entry = self._leave(msg.visit)
        if self.status is not _R.RUNNING:
            self.fold.cleanse()
            self._unwound(msg.at)
        elif msg.happened:
            self.live.add(msg.visit)
            self._on_finished(NodeFinished(msg.visit, msg.batch, msg.at))
        elif msg.happened is None:
            self.fold.cleanse()
            self._ask_what_became(entry, msg.at)
        else:
            self.fold.cleanse()
            self.waits.hold(self.fold.image.seq, msg.visit)
            self._unwound(msg.at)

    def _on_emitted(self, msg: Emitted) -> None:
        entry = self.fold.image.frontier.get(msg.visit)
        if msg.visit not in self.live or entry is None:
            return  # a task that outlived its visit still talks: nobody may hear it
        self.told = self.next_event_id(self.fold.image.epoch)
        node = f"{entry.path}/{entry.place}" if entry.path else entry.place
        chunk = chunk_of(msg.emission, self.told, run_id=self.run_id, at=msg.at, node=node, visit=msg.visit)
        self.waits.post(self.fold.image.seq, chunk)

    def _checkpoint(self, batch: Sequence[Entry], status: RunStatus) -> bytes | None:
        """The encoded state, if the coming commit is to carry a snapshot; raises `NotStorable`."""
        if not self.logged:
            self.fold.forget()
            return None
        weight = 0
        for entry in batch:
            weight += len(entry.body)  # type: ignore[union-attr]  # with a log every entry is encoded
        due = self.fold.snapshot_due(weight)
        return self.blueprint.state.pack(self.fold.state) if due or status in RESTING else None

    def _failure(self, entry: Pending, error: Exception) -> Failure:
        return Failure(FailureCode.NODE_ERROR, f"node {entry.place!r}: {describe(error)}", (describe(error),))

    HEARS: ClassVar[Mapping[type, Callable[..., None]]] = {
        NodeFinished: _on_finished,
        NodeFailed: _on_failed,
        NodeCancelled: _on_node_cancelled,
        Probed: _on_probed,
        Emitted: _on_emitted,
    }
