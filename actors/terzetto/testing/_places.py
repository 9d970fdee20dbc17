"""How a rule of a fault plan is said: a place, which of its passes, and what happens there.

Each place has the actions that make sense there as methods, so that type checkers know them; anything else is
refused when it is said.
"""

from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Self, TypeVar

import trio
from attrs import Factory, evolve, field, frozen

from terzetto_protocol.context import NodeContext
from terzetto_protocol.errors import StoreUnavailable
from terzetto_protocol.port import Visit

from ._actions import Action, Error, Strike, Twist, TwistKind, come_last, delay, fail, hang, kill, name_of, wait_for
from ._rules import ImpossibleFault, Kind, Rule

if TYPE_CHECKING:
    from ._plan import FaultPlan

W = TypeVar("W")
"""What passes."""

ACTIONS: Final = (
    "kills", "raises", "calls", "delays", "hangs", "waits_for", "drops", "duplicates", "reorders", "corrupts",
    "loses_answer", "rejects", "tears",
)  # fmt: skip
"""All that a plan can do somewhere."""


@frozen
class StoreCall:
    """A call of a store."""

    name: str
    arguments: tuple[Any, ...]
    """Those without a name, such as the writes of a `commit`."""
    options: Mapping[str, Any]


@frozen
class Place(Generic[W]):
    """Somewhere, and which of its passes; all of them unless it is said. What a method returns is a new one."""

    _plan: "FaultPlan" = field(repr=False)
    _kind: Kind
    _name: str | None
    _said: str
    """The sentence so far."""
    _first: int = 1
    _last: float = inf
    _chance: float = 1.0
    _predicates: tuple[Callable[[W], bool], ...] = ()
    _key: object = field(repr=False, default=Factory(lambda self: self._plan.begin(self._said), takes_self=True))

    possible: ClassVar[tuple[str, ...]] = ("kills", "raises")
    """What can happen here."""

    # -- when --------------------------------------------------------------------------------------------------

    def on_pass(self, number: int, /) -> Self:
        """The `number`-th pass alone, from 1 on."""
        return self._window(f"on_pass({number})", number, number)

    def from_pass(self, number: int, /) -> Self:
        """The `number`-th pass and every one after it."""
        return self._window(f"from_pass({number})", number, inf)

    def first(self, count: int, /) -> Self:
        """The first `count` passes."""
        return self._window(f"first({count})", 1, count)

    def when(self, predicate: Callable[[W], bool], /) -> Self:
        """Only passes of which this is true count at all; it is called with what passes."""
        return evolve(self, predicates=(*self._predicates, predicate), said=f"{self._said}.when({name_of(predicate)})")

    def with_probability(self, probability: float, /) -> Self:
        """Each of the passes with this probability, by the random numbers of the plan."""
        if not 0 <= probability <= 1:
            raise ImpossibleFault(f"{self._said}: {probability!r} is no probability")
        return evolve(self, chance=probability, said=f"{self._said}.with_probability({probability:g})")

    def _window(self, said: str, first: int, last: float) -> Self:
        if (self._first, self._last) != (1, inf):
            raise ImpossibleFault(f"{self._said} says already which passes, so .{said} cannot follow")
        if first < 1 or last < 1:
            raise ImpossibleFault(f"{self._said}.{said}: passes are counted from 1 on")
        return evolve(self, first=first, last=last, said=f"{self._said}.{said}")

    # -- what --------------------------------------------------------------------------------------------------

    def kills(self) -> "FaultPlan":
        """End the process at once, as by `kill -9`."""
        return self._add("kills()", kill())

    def raises(self, error: Error, /) -> "FaultPlan":
        """Raise this error, or what this class or function makes."""
        return self._add(f"raises({name_of(error)})", fail(error))

    def _add(self, said: str, action: Action) -> "FaultPlan":
        sentence = f"{self._said}.{said}"
        rule = Rule(self._kind, self._name, sentence, action, self._predicates, self._first, self._last, self._chance)
        return self._plan.add(rule, self._key)

    if not TYPE_CHECKING:  # a type checker finds it without running anything

        def __getattr__(self, name: str) -> Any:
            if name in ACTIONS:
                possible = ", ".join(self.possible)
                raise ImpossibleFault(f"{self._said} cannot say {name}: possible are {possible}", name, self.possible)
            raise AttributeError(f"{type(self).__name__} has no {name!r}")


@frozen
class AtPoint(Place[Any]):
    """A named point: a moment in which nobody waits."""

    possible: ClassVar = ("kills", "raises", "calls")

    def calls(self, fn: Callable[[], object], /) -> "FaultPlan":
        """Call a function, which may not wait either."""
        return self._add(f"calls({name_of(fn)})", Strike(f"calls {name_of(fn)}", fn))


@frozen
class Waiting(Place[W]):
    """A place where somebody may be made to wait."""

    def delays(self, seconds: float, /) -> "FaultPlan":
        """Let so much time pass first, by Trio's clock."""
        if not (isfinite(seconds) and seconds >= 0):
            raise ImpossibleFault(f"{self._said}: nobody can be delayed by {seconds!r} s (for ever is hangs())")
        return self._add(f"delays({seconds:g})", delay(seconds))

    def hangs(self) -> "FaultPlan":
        """Do nothing any more, until cancelled."""
        return self._add("hangs()", hang())

    def waits_for(self, event: trio.Event, /) -> "FaultPlan":
        """Wait until the test sets this event."""
        return self._add("waits_for(...)", wait_for(event))


@frozen
class OnNode(Waiting[NodeContext[Any, Any]]):
    """The body of a node, before it begins."""

    possible: ClassVar = ("kills", "raises", "delays", "hangs", "waits_for", "duplicates")

    def duplicates(self) -> "FaultPlan":
        """Run the body twice, as after a crash that forgot the first time: what that recorded is dropped.

        A `once` body is never doubled, and neither is one of a dataflow.
        """
        return self._add("duplicates()", Twist("duplicates"))


@frozen
class AfterNode(Waiting[NodeContext[Any, Any]]):
    """The body of a node, when it has returned and nobody knows."""

    possible: ClassVar = ("kills", "raises", "delays", "hangs", "waits_for")


@frozen
class OnDispatch(Waiting[Visit]):
    """The dispatcher, before it starts a visit: the node's own time limits do not run yet."""

    possible: ClassVar = ("kills", "raises", "delays", "hangs", "waits_for", "reorders")

    def reorders(self) -> "FaultPlan":
        """Start the visit when everything else has gone as far as it goes."""
        return self._add("reorders()", come_last())


@frozen
class OnMailbox(Waiting[Any]):
    """A mailbox, where its actor takes a message."""

    possible: ClassVar = (
        "kills", "raises", "delays", "hangs", "waits_for", "drops", "duplicates", "reorders", "corrupts",
    )  # fmt: skip

    def drops(self) -> "FaultPlan":
        """Lose the message: whoever waits for an answer waits on."""
        return self._add("drops()", Twist("drops"))

    def duplicates(self) -> "FaultPlan":
        """Take the message twice."""
        return self._add("duplicates()", Twist("duplicates"))

    def reorders(self) -> "FaultPlan":
        """Take the message that follows first, if one comes as long as anything moves."""
        return self._add("reorders()", Twist("reorders"))

    def corrupts(self, change: Callable[[Any], Any], /) -> "FaultPlan":
        """Take what this function makes of the message."""
        return self._add(f"corrupts({name_of(change)})", Twist("corrupts", change))


WRITING: Final = (
    "commit", "move_head", "prune", "delete", "post", "answer", "decline", "put_chunk", "keep_blob", "sweep_blobs",
    "renew",
)  # fmt: skip
"""Calls that change what is stored."""
REPEATABLE: Final = ("commit", "post", "answer", "decline", "put_chunk", "keep_blob", "sweep_blobs", "renew")
"""Those of them that say the same when they are said twice."""
SILENT: Final = ("commit", "post", "answer", "decline", "put_chunk", "renew")
"""Those of them whose success can be told without them."""
BYTES: Final = ("records", "records_by_event", "snapshot", "blob_chunk", "receipt")
"""Calls that answer with bytes."""
READING: Final = (
    *BYTES, "run", "load", "run_by_key", "runs", "unfinished", "foreign", "timers", "head", "checkpoints",
    "barriers", "posted", "health",
)  # fmt: skip
CALLS: Final = ("open", "reopen", "wait_posted", *WRITING, *READING)
"""Every call of a store; `open` is its `__aenter__`."""


@frozen
class OnStore(Waiting[StoreCall]):
    """A call of a store."""

    possible: ClassVar = (
        "kills", "raises", "delays", "hangs", "waits_for",
        "drops", "duplicates", "corrupts", "loses_answer", "rejects", "tears",
    )  # fmt: skip

    def drops(self) -> "FaultPlan":
        """Do nothing, and answer that it was done: a store that lies."""
        return self._add("drops()", Twist(self._only("drops", SILENT)))

    def duplicates(self) -> "FaultPlan":
        """Make the call twice."""
        return self._add("duplicates()", Twist(self._only("duplicates", REPEATABLE)))

    def loses_answer(self) -> "FaultPlan":
        """Make the call, and raise `StoreUnavailable` in place of its answer."""
        return self._add("loses_answer()", Twist(self._only("loses_answer", WRITING), StoreUnavailable))

    def rejects(self, reason: str = "the plan says so", /) -> "FaultPlan":
        """Answer that what is to be written can never be stored."""
        return self._add(f"rejects({reason!r})", Twist(self._only("rejects", ("commit",)), reason))

    def tears(self) -> "FaultPlan":
        """Apply the first half of a group of writes, and then raise `StoreUnavailable`."""
        return self._add("tears()", Twist(self._only("tears", ("commit",))))

    def corrupts(self, change: Callable[[Any], Any] | None = None, /) -> "FaultPlan":
        """Answer what this function makes of the answer; without one, turn a bit of the last bytes in it."""
        kind = self._only("corrupts", BYTES if change is None else READING)
        return self._add("corrupts()" if change is None else f"corrupts({name_of(change)})", Twist(kind, change))

    def _only(self, action: TwistKind, calls: tuple[str, ...]) -> TwistKind:
        if self._name not in calls:
            names = ", ".join(calls)
            raise ImpossibleFault(f"{self._said} cannot say {action}: it is possible for {names}", action, calls)
        return action
