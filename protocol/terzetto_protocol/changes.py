"""Changes of a state field by field, as a person makes them: checked against the declared types."""

from collections.abc import Mapping
from typing import Any, Final, Generic, TypeVar

from msgspec import Raw, Struct, msgpack

from .codec import pack_plain
from .decisions import Recorded
from .errors import InvalidRequest
from .fields import field_types, no_field
from .forms import Form
from .state import StateForm

S = TypeVar("S")

CHANGES: Final = "@changes"
"""The name under which changes are recorded; no class can have it."""


class Changed(Struct, Generic[S], frozen=True):
    """New values of some fields, as a mutation."""

    values: Mapping[str, Any]

    def apply(self, state: S) -> None:
        """Set them."""
        for name, value in self.values.items():
            setattr(state, name, value)


def fields_of(entry: object) -> tuple[str, ...]:
    """The fields that a recorded entry puts whole, if it does that."""
    if not isinstance(entry, Recorded) or entry.name != CHANGES:
        return ()
    return tuple(msgpack.decode(entry.body, type=dict[str, Raw]))


class Changes(Generic[S]):
    """The fields of a state that a person may change, and their types."""

    def __init__(self, form: StateForm[S]) -> None:
        kept = {name: hint for name, hint in field_types(form.type).items() if name not in form.transient}
        self._forms: Final[Mapping[str, Form[Any]]] = {name: Form(hint) for name, hint in kept.items()}
        self._state: Final = form.type.__name__

    def note(self, values: Mapping[str, Any]) -> Recorded:
        """Changes as they are stored. Raises `InvalidRequest` for an unknown field and `Malformed` for a wrong type."""
        body = Raw(pack_plain(dict(values), "the changes"))
        self.revive(body)
        return Recorded(CHANGES, body)

    def between(self, before: S, after: S) -> Recorded:
        """The fields that are not the same, with their new values; raises `NotStorable`."""
        changed = {
            name: Raw(form.pack(getattr(after, name), f"field {name}"))
            for name, form in self._forms.items()
            if form.canonical(getattr(before, name), name) != form.canonical(getattr(after, name), name)
        }
        return Recorded(CHANGES, Raw(msgpack.encode(changed)))

    def revive(self, body: Raw) -> Changed[S]:
        """The mutation that stored changes are."""
        raws = msgpack.decode(body, type=dict[str, Raw])
        return Changed({name: self._form(name).unpack(raw, f"field {name}") for name, raw in raws.items()})

    def _form(self, name: str) -> Form[Any]:
        if name not in self._forms:
            raise InvalidRequest(f"{self._state} {no_field(name, self._forms)}")
        return self._forms[name]
