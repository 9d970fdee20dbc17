"""A run machine and the world around it, for tests without Trio: a store, a clock, and nodes that do as told.

A `Driver` carries out turns in the order of their effects, as a run actor does. Its disk takes a write whole or
refuses it, and a crash forgets what the disk does not have. A `Witness` holds everything that becomes visible
against the promises, in every test.
"""

import pytest

from terzetto_protocol.codec import pack
from terzetto_protocol.dataflow import Dataflow
from terzetto_protocol.decisions import Approve, Decision, Recorded
from terzetto_protocol.errors import Refused, TerzettoError
from terzetto_protocol.fold import Fold
from terzetto_protocol.image import Snapshot, read_snapshot
from terzetto_protocol.inputs import (
    BodiesCancelled,
    BodyAsked,
    CancelRequested,
    Claimed,
    CommitDurable,
    CommitRefused,
    DeadlinePassed,
    Decided,
    Emitted,
    Halted,
    Input,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    NodeStuck,
    PauseRequested,
    Probed,
    ResumeRequested,
    RetryDue,
    StoreGaveUp,
    TimerFired,
)
from terzetto_protocol.machine import RunMachine
from terzetto_protocol.openings import due_retries
from terzetto_protocol.port import Emission
from terzetto_protocol.questions import Question, Sending
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import Answer, Failure, RunHeader, Write
from terzetto_protocol.remarks import NO_REMARKS, THE_END, Remarks
from terzetto_protocol.statuses import TERMINAL, RunStatus
from terzetto_protocol.stepped import Stepped
from terzetto_protocol.turn import Answered, CancelNodes, Effect, Finish, Rearm, Reply, Start, Turn

from .disk import Disk
from .sketches import Tally
from .witness import Witness


class Died(Exception):
    """The process ended in the middle of a turn."""


class Driver:
    """One run, from its submit on.

    Args:
        graph: what it runs.
        state: what it begins with.
        acks: `now`: every write is answered after the turn that made it; `later`: by `ack`; `settled`: it is
            durable when it has been carried out, and nobody answers.
        logged: False for a run without a store.
        alone: whether it is a run without a store of which nobody hears anything; it is under way at once.
        watch: False leaves out what costs time in proportion to the state.
        snapshot: another run of the graph, as it was: this one goes on from there.
        strict: whether its functions are held to what they promise.
        header: more fields of the run's header.
    """

    def __init__(
        self,
        graph,
        state=None,
        *,
        acks="now",
        logged=True,
        alone=False,
        watch=True,
        snapshot=None,
        strict=False,
        **header,
    ) -> None:
        self.blueprint = graph.build().strict if strict else graph.build()
        self.acks, self.logged, self.watch, self.now = acks, logged, watch, 0.0
        self.alone = alone
        header.setdefault("max_steps", self.blueprint.max_steps)
        self.header = RunHeader("r", graph.name, graph.version, "", "", 0.0, **header)
        self.first = state or (graph.begin() if isinstance(graph, Dataflow) else Tally())
        self.snapshot: Snapshot | None = snapshot
        self.disk = Disk()
        self.sent: list[Write] = []
        """Writes on their way to the disk."""
        self.unanswered: list[int] = []
        """Stored writes about which the machine has not heard."""
        self.running: dict[int, Start] = {}
        """Bodies and probes that were started and have not ended."""
        self.leaving: set[int] = set()
        """Visits whose bodies were told to leave."""
        self.doom: int | None = None
        """Effects that are still carried out before the process dies."""
        self.general = False
        """Whether everything takes the general path."""
        self.rejects = False
        """Whether a store that answers at once refuses the next write."""
        self.ownerless = False
        """Whether the run was loaded and nobody has claimed it since."""
        self.receipts: dict[str, list[Receipt]] = {}
        self.asked = 0
        """Sends so far, over all owners."""
        self.answers: dict[tuple[int, str], Answer] = {}
        """What bodies were told, over all owners."""
        self.finishes: list[Finish] = []
        self.witness = Witness(self)
        self.machine: RunMachine[Tally]
        self.submit()

    # -- what a test looks at --------------------------------------------------------------------------------

    @property
    def status(self) -> RunStatus:
        return self.machine.status

    @property
    def state(self) -> Tally:
        return self.machine.fold.state

    @property
    def frontier(self):
        return self.machine.fold.image.frontier

    @property
    def stored(self) -> Tally:
        """The state in the last write's snapshot."""
        return self.blueprint.state.unpack(read_snapshot(self.disk.writes[-1].snapshot).state)

    @property
    def failure(self) -> Failure | None:
        return self.machine.fold.image.failure

    @property
    def events(self) -> list[str]:
        """The names of what was seen."""
        return [type(event).__name__ for event in self.witness.seen]

    @property
    def started(self) -> list[str]:
        """Nodes in the order of their starts; a probe has a question mark."""
        return [f"{start.node}{'?' * start.probe}" for start in self.witness.starts]

    @property
    def barrier(self) -> str:
        """The id of the only open barrier."""
        (entry,) = (entry for entry in self.frontier.values() if entry.opening is not None)
        return entry.barrier

    # -- turns -----------------------------------------------------------------------------------------------

    def submit(self) -> None:
        settled, state = self.acks == "settled", self.blueprint.graph.first(self.first)
        if self.snapshot is not None:
            self.machine, turn = RunMachine.branch_off(self.blueprint, self.header, self.snapshot, settled=settled)
            self._perform(turn)
            return
        if self.alone:
            self.machine, turn = RunMachine.alone(self.blueprint, self.header, state, tells=False)
        else:
            begin = RunMachine.begin
            self.machine, turn = begin(self.blueprint, self.header, state, logged=self.logged, settled=settled)
        self._perform(turn)

    def feed(self, msg: Input) -> None:
        """Take a turn; a refused input is checked to have changed nothing, and raises."""
        self._feed(msg)
        if self.acks == "now":
            self.ack()

    def _feed(self, msg: Input) -> None:
        before = fingerprint(self.machine) if self.watch else ()
        try:
            turn = self._step(msg) or self.machine.feed(msg)
        except TerzettoError:
            assert not self.watch or fingerprint(self.machine) == before, f"a refused {msg} changed something"
            raise
        self.witness.hears(msg)
        self._perform(turn)

    def _step(self, msg: Input) -> Turn | None:
        """As a run actor does it whose store applies a write inside the call."""
        if type(msg) is not NodeFinished or self.acks != "settled" or not (self.logged and self.machine.tells):
            return None
        step = self.machine.commit_step(msg.visit, msg.batch, msg.at, msg.remarks)
        return None if step is None else Turn(step.write, step, (), Start(step.next_visit, step.next_node, 1))

    def _perform(self, turn: Turn) -> None:
        for effect in effects_of(turn):
            if self.doom == 0:
                raise Died
            self.doom = None if self.doom is None else self.doom - 1
            if self.rejects and isinstance(effect, Write):
                self.rejects = False
                self._feed(CommitRefused(effect.seq, "run 'r' was claimed again", self.now))
                return
            self._carry_out(effect)
        self.witness.compare()
        if self.acks == "now" and self.disk.seq == 0:
            self.ack()

    def _carry_out(self, effect: Effect) -> None:
        if isinstance(effect, Write):
            self.sent.append(effect)
            self.ownerless = False
            self.witness.wrote(effect)
            if self.acks == "settled":
                self._store(1)
                self.unanswered.clear()
        elif isinstance(effect, Start):
            self.witness.started(effect)
            self.running[effect.visit] = effect
        elif isinstance(effect, CancelNodes):
            self.leaving |= set(self.running if effect.visits is None else effect.visits)
        elif isinstance(effect, Answered):
            self.witness.answered(effect)
            self.answers[effect.visit, effect.key] = effect.answer
        elif isinstance(effect, Rearm):
            pass  # the driver looks at its clock when it wants to
        elif isinstance(effect, Reply):
            self.witness.replied(effect)
            self.receipts.setdefault(effect.command_id, []).append(effect.receipt)
        elif isinstance(effect, Finish):
            self.witness.finished(effect)
            self.finishes.append(effect)
        elif not self.alone:  # of which nobody hears
            self.witness.showed(effect)

    # -- the store -------------------------------------------------------------------------------------------

    def _store(self, count: int) -> None:
        for write in self.sent[:count]:
            self.disk.put(write)
            self.unanswered.append(write.seq)
        del self.sent[:count]

    def store(self, count: int = 1) -> None:
        """Make the first writes durable without telling anybody."""
        self._store(count)

    def ack(self, count: int | None = None, *, grouped: bool = False) -> None:
        """Make writes durable and answer; without a count, until nothing is on its way."""
        while self.sent or self.unanswered:
            self._store(len(self.sent) if count is None else count - len(self.unanswered))
            seqs, self.unanswered = self.unanswered, []
            for seq in seqs[-1:] if grouped else seqs:
                self._feed(CommitDurable(seq, self.now))
            if count is not None:
                return

    def refuse(self, reason: str = "run 'r' was claimed again") -> None:
        """The store refuses the first write under way (or the next, if it answers at once)."""
        if self.acks == "settled":
            self.rejects = True
            return
        write = self.sent[0]
        self.sent.clear()
        self.feed(CommitRefused(write.seq, reason, self.now))

    def crash(self, keep: int = 0) -> None:
        """The process dies when `keep` of the writes under way have been stored; another reads the log."""
        self._store(keep)
        self.sent.clear()
        self.unanswered.clear()
        self.running.clear()
        self.leaving.clear()
        self.rejects, self.doom = False, None
        self.ownerless = True
        self.witness.crashed()
        if self.disk.seq == 0:
            self.submit()
            return
        snapshot, bodies = self.disk.log()
        fold = Fold.load(self.blueprint, self.header, snapshot, bodies)
        self.machine = RunMachine(fold, settled=self.acks == "settled")
        self.witness.compare()

    # -- nodes -----------------------------------------------------------------------------------------------

    def batch(self, *mutations, at: str = ""):
        vocabulary = self.machine.fold.frame(at).blueprint.vocabulary
        pack_one = vocabulary.note if self.logged else vocabulary.keep
        return [pack_one(mutation) for mutation in mutations]

    def noted(self, batch):
        """A batch as somebody outside of the process says it."""
        vocabulary = self.blueprint.vocabulary
        return tuple(each if isinstance(each, Recorded) else vocabulary.note(each) for each in batch)

    def start_of(self, node: str | int = "") -> Start:
        """The body that runs for longest, or that of a node, which may be named by its path, or of a visit."""
        for start in self.running.values():
            if node in ("", start.node, label_of(start), start.visit):
                return start
        raise AssertionError(f"{node or 'nothing'} does not run; running: {list(self.running.values())}")

    def _end(self, node: str | int) -> int:
        visit = self.start_of(node).visit
        del self.running[visit]
        self.leaving.discard(visit)
        return visit

    def finish(
        self,
        *mutations,
        node: str | int = "",
        next: str | None = None,
        pause=False,
        observed=None,
        checkpoint: str | None = None,
    ) -> None:
        """A body that runs returns: the first, or that of a node."""
        batch = self.batch(*mutations, at=self.start_of(node).path)
        said = Remarks(next, pause, observed, checkpoint)
        said = NO_REMARKS if said == NO_REMARKS else THE_END if said == THE_END else said
        self.feed(NodeFinished(self._end(node), batch, self.now, said))

    def fail(self, message="ValueError: no", *, node: str | int = "", again=None, unknown=False, observed=None) -> None:
        failure = Failure("node_error", message)
        self.feed(NodeFailed(self._end(node), failure, self.now, again, unknown, observed))

    def ask(self, question: Question, *, node: str | int = "") -> None:
        """A body that runs asks something."""
        self.feed(BodyAsked(self.start_of(node).visit, question, self.now))

    def send(self, value: object = None, output: str = "out", *, node: str | int = "", key: str | None = None) -> str:
        """A body of a dataflow that runs sends something; gives the key under which it is answered."""
        self.asked += 1
        key = key or f"send:{self.asked}"
        self.feed(BodyAsked(self.start_of(node).visit, Sending(key, output, value), self.now))
        return key

    def wake(self) -> None:
        """Tell the machine of every attempt that is due."""
        for visit in due_retries(self.machine, self.now):
            self.feed(RetryDue(visit, self.now))

    def expire(self) -> None:
        """The run's time is over."""
        self.feed(DeadlinePassed(self.now))

    def leave(self, node: str | int = "") -> None:
        """A body that runs is cancelled."""
        self.feed(NodeCancelled(self._end(node), self.now))

    def leave_all(self) -> None:
        """Every body that runs is cancelled, at once."""
        visits = tuple(sorted(self.running))
        self.running.clear()
        self.leaving.clear()
        self.feed(BodiesCancelled(visits, self.now))

    def stick(self, node: str | int = "", *, timeout: str = "") -> None:
        """A body that was told to leave has not, and nobody waits for it any longer."""
        self.feed(NodeStuck(self._end(node), self.now, timeout, ("node.py:1 in body",)))

    def probed(self, happened: bool | None, *mutations, node: str | int = "", observed=None) -> None:
        batch = self.batch(*mutations, at=self.start_of(node).path)
        self.feed(Probed(self._end(node), happened, batch, self.now, observed))

    def emit(self, said: str | Emission = "...") -> None:
        """A body says something: as a run's actor does, or, if `general`, always by a turn."""
        visit, emission = next(iter(self.running)), said
        shown = None if self.general else self.machine.show(visit, emission, self.now)
        if shown is None:
            self.feed(Emitted(visit, emission, self.now))
        else:
            self.witness.hears(Emitted(visit, emission, self.now))
            self._perform(Turn(event=shown))

    # -- people and owners -----------------------------------------------------------------------------------

    def claim(self) -> "Driver":
        self.feed(Claimed(self.now))
        return self

    def decide(self, decision: Decision | None = None, command: str = "", *, barrier=None, slot=True) -> None:
        chosen = self.barrier if barrier is None else barrier
        self.feed(Decided(chosen, decision or Approve(), "ann", self.now, command, slot=slot))

    def fire(self, barrier: str | None = None, *, slot: bool = True) -> None:
        self.feed(TimerFired(self.barrier if barrier is None else barrier, self.now, slot=slot))

    def cancel(self, command: str = "") -> None:
        self.feed(CancelRequested("enough", self.now, command))

    def pause(self, command: str = "") -> None:
        self.feed(PauseRequested(self.now, command))

    def resume(self, command: str = "") -> None:
        self.feed(ResumeRequested(self.now, command))

    def halt(self, *, hard: bool = False) -> None:
        self.feed(Halted("shutting down", self.now, hard=hard))

    def give_up(self) -> None:
        self.feed(StoreGaveUp("too large", self.now))

    def settle(self) -> None:
        """Acknowledge everything and end everything that runs, until neither is left; then the run must rest."""
        while self.sent or self.unanswered or self.running or next_moment_of_rest(self.machine) is not None:
            self.ack()
            if not self.running:
                self.now = max(self.now, next_moment_of_rest(self.machine) or self.now)
                self.wake()
                continue
            leaving = [label_of(start) for visit, start in self.running.items() if visit in self.leaving]
            if leaving:
                self.leave(leaving[0])
            elif self.running and next(iter(self.running.values())).probe:
                self.probed(None)
            elif self.running:
                self.finish()
        self.witness.rests()


def label_of(start: Start) -> str:
    """The node with its path."""
    return f"{start.path}/{start.node}" if start.path else start.node


def next_moment_of_rest(machine: RunMachine[Tally]) -> float | None:
    """When the next attempt of a run that is carried begins."""
    if machine.status is not RunStatus.RUNNING or machine.fenced or machine.is_leaving:
        return None
    entries = machine.fold.image.frontier.values()
    return min((e.due for e in entries if e.due is not None and machine.is_resting(e)), default=None)


def effects_of(turn: Turn) -> list[Effect]:
    """Everything that a turn wants done, in order."""
    effects: list[Effect] = []
    for effect in (turn.commit, turn.event, *turn.more, turn.start):
        if isinstance(effect, Stepped):
            effects += [effect.finished, effect.started]
        elif effect is not None:
            effects.append(effect)
    return effects


def image_of(fold: Fold[Tally]) -> bytes:
    return pack(fold.image, "image")


def fingerprint(machine: RunMachine[Tally]) -> tuple[object, ...]:
    """Everything that a machine knows, whatever its parts are called."""
    parts: list[object] = [machine, machine.fold, machine.waits]
    known = [image_of(machine.fold)]
    for part in parts:
        for cls in type(part).__mro__:
            names = [name for name in getattr(cls, "__slots__", ()) if name not in ("blueprint", "fold", "waits")]
            known.extend(repr(getattr(part, name, None)) for name in names)
    return tuple(known)


def ended(driver: Driver) -> bool:
    return driver.status in TERMINAL


def claimed(graph, *args, **options) -> Driver:
    """A run in its first node, whose store is slow from now on."""
    driver = Driver(graph, *args, acks="later", **options)
    driver.ack()
    driver.claim()
    driver.ack()
    return driver


def refused(call, *args, error=Refused, **options) -> str:
    """The call is refused (the driver checks that nothing changed), and the message names the run."""
    with pytest.raises(error) as caught:
        call(*args, **options)
    assert caught.value.run_id == "r"
    return str(caught.value)
