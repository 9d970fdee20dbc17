"""State and mutations: how a user's types are encoded, checked and applied.

What is applied is what is stored: with a log, a recorded mutation is encoded at once and the decoded
copy is applied, so that the live state and a later fold of the log cannot differ, and nothing that
the node still holds can change what it recorded. Without a log a mutation whose type is frozen all
the way down is applied as it is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs
import msgspec
from msgspec import Raw

from .blobs import MARK, NAME_BYTES
from .codec import check_json
from .decisions import Proved, Recorded
from .errors import InvalidRequest, Malformed, MutationFailed, NotStorable, describe
from .fields import (
    Checker,
    Transient,
    argument_of,
    checker_of,
    comes_back,
    field_defaults,
    field_types,
    is_deeply_frozen,
    is_frozen,
    no_field,
    stored_names,
    transient,
    transient_fields,
)
from .forms import Form, is_same
from .limits import MESSAGE_BYTES, STATE_BYTES

__all__ = [
    "Entry",
    "Form",
    "Mutation",
    "StateForm",
    "Transient",
    "Vocabulary",
    "field_types",
    "is_deeply_frozen",
    "is_frozen",
    "transient",
    "transient_fields",
]

_encode = msgspec.msgpack.Encoder().encode

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Mutation(Protocol[S_contra]):
    """A frozen, typed command that changes a state: the only way in which a state ever changes."""

    def apply(self, state: S_contra, /) -> None:
        """Change the state in place; must be deterministic and must not keep the state."""


Entry: TypeAlias = Recorded | Mutation[Any]
"""A recorded mutation: encoded, or as it is where nothing is stored and its type is deeply frozen."""


def stored(entries: Iterable[Entry]) -> tuple[Recorded, ...]:
    """A batch as the log holds it; with a log every entry is encoded when it is recorded."""
    return tuple(
        [Recorded(entry.name, entry.body) if type(entry) is Proved else cast("Recorded", entry) for entry in entries]
    )


def pairs_of(entries: Sequence[Entry]) -> tuple[tuple[str, Raw], ...]:
    """A batch as the log holds it, each entry as the array that a `Recorded` is encoded as."""
    batch: Any = entries  # with a log every entry is encoded when it is recorded
    if len(batch) == 1:  # nearly always, and a comprehension is another call
        return ((batch[0].name, batch[0].body),)
    return tuple([(entry.name, entry.body) for entry in batch])


def weight_of(entries: Sequence[Entry]) -> int:
    """Bytes of a batch; with a log every entry is encoded when it is recorded."""
    batch: Any = entries
    if len(batch) == 1:  # as in `pairs_of`
        return len(batch[0].body)
    weight = 0
    entry: Any  # a recorded one
    for entry in entries:
        weight += len(entry.body)
    return weight


def names_blobs(entries: Sequence[Entry]) -> bool:
    """Whether a batch names a blob; with a log every entry is encoded when it is recorded."""
    entry: Any  # as in `weight_of`
    for entry in entries:  # noqa: SIM110 - as in `_checker_of_fields`, for every commit of the memory store
        if len(entry.body) >= NAME_BYTES and MARK in bytes(entry.body):
            return True
    return False


def pairs_to_keep(entries: Sequence[Entry]) -> tuple[tuple[tuple[str, Raw], ...], int] | None:
    """`pairs_of` a batch and its `weight_of`; None where it `names_blobs`. In one call, for steps in memory."""
    if len(entries) != 1:
        return None if names_blobs(entries) else (pairs_of(entries), weight_of(entries))
    entry: Any = entries[0]
    body = entry.body
    weight = len(body)
    return None if weight >= NAME_BYTES and MARK in bytes(body) else (((entry.name, body),), weight)


class StateForm(Generic[S]):
    """Encodes a graph's state as a projection: transient fields are left out, and rebuilt by `restore` afterwards."""

    def __init__(self, of: type[S], restore: Callable[[S], None] | None = None) -> None:
        self.type = of
        self._restore = restore
        self._what = f"state {of.__name__}"
        self.transient = frozenset(transient_fields(of))
        self.stored: type[Any] = projection(of, self.transient) if self.transient else of
        """The type that is stored: the state's own, or one with its lasting fields."""
        self._kept = [name for name in field_types(of) if name not in self.transient]
        self._form: Form[Any] = Form(self.stored)

    def pack(self, state: S) -> bytes:
        """Encode; raises `NotStorable` for what would not come back as it is."""
        return self._form.pack(self._project(state), self._what, STATE_BYTES)

    def try_pack(self, state: S) -> bytes | None:
        """The encoded state, or None for one that cannot be stored."""
        try:
            return self.pack(state)
        except NotStorable:
            return None

    def unpack(self, data: bytes) -> S:
        """Decode and run the restore hook; raises `Malformed`."""
        return self._rebuild(self.lasting(data))

    def lasting(self, data: bytes) -> Any:
        """An object with the lasting fields alone, as they were encoded; runs no hook. Raises `Malformed`."""
        return self._form.unpack(data, self._what)

    def copy(self, state: object) -> tuple[bytes, S]:
        """Encode and decode again; raises `InvalidRequest` for another type and `NotStorable`."""
        if type(state) is not self.type:  # a subclass would come back as its base
            raise InvalidRequest(f"the state must be a {self.type.__name__}, not {type(state).__name__} {state!r:.80}")
        lasting = self._project(state)
        data, value = self._form.copy(lasting, self._what, STATE_BYTES)
        back = self._rebuild(value)
        if not is_same(lasting, self._project(back)):
            reason = "its lasting fields would come back changed (by its constructor or `restore`)"
            raise NotStorable(self._what, reason)
        return data, back

    def from_json(self, data: bytes) -> S:
        """Decode JSON from outside; raises `Malformed` with the path of the mistake, and for a name that is no field's.

        (What a store has may have more fields than the class of today.)
        """
        check_json(data, "input", STATE_BYTES)
        known = stored_names(self.stored)
        for name in _keys(data):
            if name not in known:
                raise Malformed("input", f"{self.type.__name__} {no_field(name, self._kept)}")
        return self._rebuild(self._form.from_json(data, "input"))

    def _project(self, state: S) -> Any:
        return self.stored(**{name: getattr(state, name) for name in self._kept}) if self.transient else state

    def _rebuild(self, value: Any) -> S:
        state: S = value
        try:
            if self.transient:
                state = _revive(self.type, {name: getattr(value, name) for name in self._kept})
            if self._restore is not None:
                self._restore(state)
        except Exception as error:  # the hook and the constructor are a user's, and may raise anything
            raise Malformed(self._what, f"it could not be restored: {describe(error)}") from error
        return state


def _keys(data: bytes) -> Iterable[str]:
    """What a JSON object has; nothing, where it is none: whoever decodes it says so."""
    try:
        return msgspec.json.decode(data, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()


def projection(of: type[Any], left_out: Iterable[str]) -> type[Any]:
    """A class with the lasting fields of a state, their types and their defaults."""
    defaults = field_defaults(of)
    kept = {name: hint for name, hint in field_types(of).items() if name not in left_out}
    fields = {
        name: attrs.field(type=hint, default=defaults.get(name, attrs.NOTHING), alias=name, kw_only=True)
        for name, hint in kept.items()
    }
    return attrs.make_class(of.__name__, fields, slots=True)


def _revive(of: type[S], values: dict[str, Any]) -> S:
    """Make a state of its lasting fields; fields that the constructor does not take are set afterwards."""
    taken: dict[str, Any] = {}
    later: dict[str, Any] = {}
    for name, value in values.items():
        argument = argument_of(of, name)
        (taken if argument else later)[argument or name] = value
    state = of(**taken)
    for name, value in later.items():
        object.__setattr__(state, name, value)  # past the guard of a frozen class, as its constructor does
    return state


class Vocabulary(Generic[S]):
    """The mutations of a graph by their registered names."""

    def __init__(
        self, mutations: Iterable[type[Mutation[S]]], others: "Mapping[str, Callable[[Raw], Mutation[S]]] | None" = None
    ) -> None:
        self.types: dict[str, type[Mutation[S]]] = {cls.__name__: cls for cls in mutations}
        self._forms: dict[str, Form[Mutation[S]]] = {name: Form(cls) for name, cls in self.types.items()}
        self._names = {cls: name for name, cls in self.types.items()}
        checks = {cls: checker_of(cls) for cls in self._names}
        self._others = others or {}
        """What revives mutations that no node records, by their names."""
        self._bare: dict[type[Any], Checker] = {cls: check for cls, check in checks.items() if check is not None}
        exact = (cls for cls in self._bare if self._forms[cls.__name__].is_plain and comes_back(cls))
        self._exact: dict[type[Any], tuple[str, Checker]] = {cls: (cls.__name__, self._bare[cls]) for cls in exact}
        """Those that need not be decoded to know what will be."""

    def note(self, mutation: Mutation[S]) -> Recorded:
        """Encode a mutation for the log; raises `NotStorable`, also for an unlisted one."""
        try:
            name = self._names[type(mutation)]
        except KeyError:
            raise self._unlisted(mutation) from None
        data, _ = self._forms[name].copy(mutation, f"mutation {name}")
        return Recorded(name, Raw(data))

    def record(self, mutation: Mutation[S]) -> Recorded:
        """As `note`, for what a node records: it is not decoded where nobody need look at what comes back."""
        known = self._exact.get(type(mutation))
        if known is None or not known[1](mutation):
            return self.note(mutation)
        try:
            data = _encode(mutation)  # its checker lets no number and no text pass that would not come back
        except Exception:  # noqa: BLE001 - whatever is wrong with it, the other way says so in words
            return self.note(mutation)
        return self.note(mutation) if len(data) > MESSAGE_BYTES else Proved(known[0], Raw(data), mutation)

    def keep(self, mutation: Mutation[S]) -> Entry:
        """As `note`, for runs without a log: a mutation that cannot change stays what it is, all others are copied."""
        check = self._bare.get(type(mutation))
        return mutation if check is not None and check(mutation) else self.note(mutation)

    def revive(self, entry: Entry) -> Mutation[S]:
        """The mutation of a stored entry; raises `Malformed` when the graph does not know it or its form."""
        if not isinstance(entry, Recorded):
            return entry
        form = self._forms.get(entry.name)
        if form is None and entry.name in self._others:
            return self._others[entry.name](entry.body)
        if form is None:
            raise Malformed(f"mutation {entry.name}", "the graph does not list it")
        return form.unpack(entry.body, f"mutation {entry.name}")

    def apply(self, entries: Iterable[Entry], state: S) -> None:
        """Apply in order; raises `MutationFailed` (or `Malformed`), after which the state must be rebuilt."""
        for entry in entries:
            mutation: Any = entry
            if type(entry) is Proved:
                mutation = entry.value
            elif type(entry) is Recorded:
                mutation = self.revive(entry)
            try:
                mutation.apply(state)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a user's apply may raise anything
                name = entry.name if isinstance(entry, Recorded) else type(entry).__name__
                raise MutationFailed(name, error) from error

    def replay(self, entries: Iterable[Entry], state: S) -> None:
        """Apply again what was applied before, and is therefore not looked at; raises as `apply`."""
        Vocabulary[S].apply(self, entries, state)

    def _unlisted(self, mutation: object) -> NotStorable:
        name = type(mutation).__name__
        if isinstance(mutation, type):
            return NotStorable(f"the class {mutation.__name__}", f"record one of it: {mutation.__name__}(...)")
        if not hasattr(mutation, "apply"):
            known = ", ".join(self.types) or "none yet"
            return NotStorable(f"a {name}", f"it is no mutation: those of this graph are {known}")
        return NotStorable(f"mutation {name}", f"it is not listed: say Graph(..., mutations=[{name}])")
