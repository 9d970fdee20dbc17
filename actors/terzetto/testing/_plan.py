"""The fault plan: what is to go wrong, where and when; and what passed and was done."""

from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from types import TracebackType
from typing import Any, Final, Self, final

from terzetto_protocol.places import Node
from terzetto_protocol.records import Write
from terzetto_protocol.turn import Start

from .. import _faults
from .._mailbox import Envelope
from .._node import Lent
from ..stores import Store
from ._actions import Action, Strike
from ._fault_store import FaultStore
from ._faulty_mailboxes import pass_letter, pass_writes
from ._faulty_nodes import carry
from ._places import CALLS, AfterNode, AtPoint, OnDispatch, OnMailbox, OnNode, OnStore
from ._rules import Fault, ImpossibleFault, Kind, Rule, known


@final
class FaultPlan:
    """Says what goes wrong while a `with` block lasts, and tells afterwards what passed and what was done.

    `with FaultPlan().at("commit_sent").on_pass(3).kills(): ...`. A rule is a sentence: a place, which of its passes
    (all, unless it says), and what happens; a plan may have any number, which apply in their order. Within the block
    `open_runtime` has a `FaultStore` around its store. There is one plan at a time in a process, and after the block
    there is none.

    Args:
        seed: of the random numbers of this plan.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed: Final = seed
        self.passed: Final[list[str]] = []
        """Everything that passed while the plan was in force, in order: `"commit_sent"`, `"node charge"`."""
        self.done: Final[list[Fault]] = []
        """What the plan did, in order."""
        self.random: Final = Random(seed)  # noqa: S311 - luck, and no secret
        self._rules: list[Rule] = []
        self._begun: dict[object, str] = {}
        """Sentences that do not say yet what happens."""
        self._numbers: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"FaultPlan(seed={self.seed})" + "".join(f".{sentence}" for sentence in self.rules)

    # -- where -------------------------------------------------------------------------------------------------

    def at(self, point: str, /) -> AtPoint:
        """A named point, one of `points`."""
        known("point", point, tuple(_faults.POINTS))
        return AtPoint(self, "point", point, f"at({point!r})")

    def on_node(self, name: str | None = None, /) -> OnNode:
        """The body of a node, before it begins; of every node, without a name."""
        return OnNode(self, "node", name, f"on_node({_quoted(name)})")

    def after_node(self, name: str | None = None, /) -> AfterNode:
        """The body of a node, when it has returned and before anything is known of it."""
        return AfterNode(self, "after", name, f"after_node({_quoted(name)})")

    def on_dispatch(self, name: str | None = None, /) -> OnDispatch:
        """The dispatcher, before it starts a visit of this node; of every node, without a name."""
        return OnDispatch(self, "dispatch", name, f"on_dispatch({_quoted(name)})")

    def on_mailbox(self, name: str, /) -> OnMailbox:
        """A mailbox, by the name that `open_mailbox` was given; `"persistence"` takes all writes to the store."""
        return OnMailbox(self, "mailbox", name, f"on_mailbox({name!r})")

    def on_store(self, call: str | None = None, /) -> OnStore:
        """A call of the store by its name; every call, without one. `"open"` is what opens it."""
        if call is not None:
            known("call of a store", call, CALLS)
        return OnStore(self, "store", call, f"on_store({_quoted(call)})")

    def begin(self, said: str) -> object:
        """Note a sentence that does not say yet what happens, and return what it is known by; the places do."""
        self._begun[key := object()] = said
        return key

    def add(self, rule: Rule, key: object) -> Self:
        """Add a rule; the places do."""
        self._begun.pop(key, None)
        self._rules.append(rule)
        return self

    # -- the block ---------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._begun:
            raise ImpossibleFault(f"{', '.join(self._begun.values())}: the plan does not say what happens there")
        if _faults.hook is not None:
            raise ImpossibleFault(f"there is one plan at a time, and {_faults.hook!r} is in force")
        _faults.hook = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        _faults.hook = None

    @property
    def rules(self) -> list[str]:
        """All rules, as they were written."""
        return [rule.sentence for rule in self._rules]

    @property
    def unused(self) -> list[str]:
        """Rules that have never applied, as they were written."""
        return [rule.sentence for rule in self._rules if not rule.applied]

    @property
    def missed(self) -> list[str]:
        """Unused rules that luck has nothing to do with: what they wait for has not come, or not often enough."""
        return [rule.sentence for rule in self._rules if rule.missed] + list(self._begun.values())

    # -- what passes -------------------------------------------------------------------------------------------

    def due(
        self, kind: Kind, name: str, what: object, suits: Callable[[Action], bool] = lambda action: True
    ) -> list[Action]:
        """Note that something passes, and return what is to happen to it."""
        where = name if kind == "point" else f"{kind} {name}"
        self.passed.append(where)
        self._numbers[where] += 1
        due: list[Action] = []
        for rule in self._rules:
            if rule.kind == kind and suits(rule.action) and rule.takes(name, what, self.random):
                self.done.append(Fault(where, self._numbers[where], rule.action.text))
                due.append(rule.action)
        return due

    def __call__(self, point: str, what: object, /) -> None:
        """Pass a point."""
        for action in self.due("point", point, what):
            assert isinstance(action, Strike)
            action.strike()

    def body(
        self, handle: Callable[..., Awaitable[Any]], node: Node[Any, Any], start: Start, lent: Lent, world: Any
    ) -> Awaitable[Any]:
        """Carry a visit."""
        return carry(self, node, start, lent, lambda node: handle(node, start, lent, world))

    async def letters(
        self, mailbox: str, letter: Envelope[Any, Any], more: Callable[[], Envelope[Any, Any] | None]
    ) -> list[Envelope[Any, Any]]:
        """Let a message pass; a checkpoint if that takes time."""
        return await pass_letter(self, mailbox, letter, more)

    async def writes(self, waiting: list[tuple[Write, Any]], count: int) -> None:
        """Let writes pass; a checkpoint if that takes time."""
        await pass_writes(self, waiting, count)

    def store(self, store: Store) -> Store:
        """Have the calls of a store pass."""
        return store if isinstance(store, FaultStore) else FaultStore(store)


def _quoted(name: str | None) -> str:
    return "" if name is None else repr(name)
