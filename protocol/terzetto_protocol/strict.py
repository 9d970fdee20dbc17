"""Strict mode: what other runs take on trust, looked at every time.

Nodes and predicates only read the state that they are lent, and a mutation does the same whenever it is applied to the
same state: the log counts on both. To look costs an encoded state per visit, and two states more per batch, so it is
for tests. What a program's author must keep is the same in every run.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

from msgspec import Raw
from msgspec.structs import replace

from .decisions import Recorded
from .errors import InputMutated, NonDeterministicMutation, describe
from .fields import field_names
from .merging import Fields
from .places import Edge
from .state import Entry, Mutation, StateForm, Vocabulary

S = TypeVar("S")

_ORDER: Final = ("the order of its keys",)


class Watch(Generic[S]):
    """A state that is lent, and what it was then. One that cannot be stored is not watched."""

    def __init__(self, form: StateForm[S], state: S) -> None:
        self._form: Final = form
        self._state: Final = state
        self._before: Final = form.try_pack(state)

    def changed(self) -> tuple[str, ...]:
        """The fields that are not as they were; transient ones are not looked at. Never raises."""
        if self._before is None:
            return ()
        try:
            after = self._form.try_pack(self._state)
            if after == self._before:
                return ()
            now = self._state if after is None else self._form.lasting(after)
            return Comparison(self._form).differing(self._form.lasting(self._before), now) or _ORDER
        except Exception as error:  # noqa: BLE001 - what is left of a user's object may raise anything
            return (f"something that cannot be compared ({describe(error)})",)


class Comparison:
    """Tells in which fields two states differ, but the transient ones."""

    def __init__(self, form: StateForm[Any]) -> None:
        self._fields: Final[Fields[Any]] = Fields(form)
        self._names: Final = frozenset(field_names(form.type))

    def differing(self, one: object, other: object) -> tuple[str, ...]:
        """Their names, in order of declaration."""
        return self._fields.changed(one, other, whole=self._names)


def watching(form: StateForm[S], edge: Edge[S]) -> Edge[S]:
    """The same edge with a predicate that raises `InputMutated` if it changes the state that it is asked about."""
    when = edge.when
    if when is None:
        return edge

    @functools.wraps(when)
    def ask(state: S) -> bool:
        data = form.try_pack(state)
        lent = state if data is None else form.unpack(data)  # the run's own stays as it is
        watch = Watch(form, lent)
        holds = when(lent)
        if fields := watch.changed():
            raise InputMutated(f"the predicate {edge.predicate!r}", fields)
        return holds

    return replace(edge, when=ask)


class StrictVocabulary(Vocabulary[S], Generic[S]):
    """Applies every batch to two copies of the state before it applies it to the state itself."""

    def __init__(
        self,
        mutations: Iterable[type[Mutation[S]]],
        others: Mapping[str, Callable[[Raw], Mutation[S]]],
        form: StateForm[S],
    ) -> None:
        super().__init__(mutations, others)
        self._form, self._comparison = form, Comparison(form)

    def apply(self, entries: Iterable[Entry], state: S) -> None:
        """As every vocabulary; raises `NonDeterministicMutation` too, before the state itself was touched."""
        batch = tuple(entries)
        before = self._form.try_pack(state) if batch else None
        if before is not None and (fields := self._twice(batch, before)):
            raise self._culprit(batch, before, fields)
        super().apply(batch, state)

    def _twice(self, batch: tuple[Entry, ...], before: bytes) -> tuple[str, ...]:
        one, other = self._form.unpack(before), self._form.unpack(before)
        super().apply(batch, one)
        super().apply(batch, other)
        fields = self._comparison.differing(one, other)
        if fields and self._form.try_pack(one) is None and self._form.try_pack(other) is None:
            return ()  # it cannot be stored, and whoever stores it says so
        return fields

    def _culprit(self, batch: tuple[Entry, ...], before: bytes, fields: tuple[str, ...]) -> NonDeterministicMutation:
        """The first mutation that does it again; all of them where none does, for chance has no memory."""
        state = self._form.unpack(before)
        for entry in batch:
            data = self._form.try_pack(state)
            if data is not None and (found := self._twice((entry,), data)):
                return NonDeterministicMutation(_name(entry), found)
            super().apply((entry,), state)
        return NonDeterministicMutation(" or ".join(dict.fromkeys(map(_name, batch))), fields)


def _name(entry: Any) -> str:
    return entry.name if isinstance(entry, Recorded) else type(entry).__name__
