"""What branches changed: the top-level fields of a state, one by one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from .errors import NotStorable
from .fields import field_types
from .forms import Form
from .reducers import mergeable_fields
from .state import StateForm

S = TypeVar("S")


class Fields(Generic[S]):
    """The fields of a state that only one branch may change: all but transient, replayed and reduced ones."""

    def __init__(self, form: StateForm[S]) -> None:
        free = mergeable_fields(form.type) | form.transient
        hints = {name: hint for name, hint in field_types(form.type).items() if name not in form.transient}
        self._forms: Final[Mapping[str, Form[Any]]] = {name: Form(hint) for name, hint in hints.items()}
        self._kept: Final = hints.keys() - free

    def changed(self, before: S, after: S, whole: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Those of them whose encoding is not the same in both; of all fields those that were put `whole`."""
        names = [name for name in self._forms if name in self._kept or name in whole]
        return tuple(name for name in names if self._differs(name, before, after))

    def _differs(self, name: str, before: S, after: S) -> bool:
        one, other, form = getattr(before, name), getattr(after, name), self._forms[name]
        try:
            return form.canonical(one, name) != form.canonical(other, name)
        except NotStorable:
            return True  # what one of them made cannot be stored: the next snapshot says so


def conflicts(changed: Sequence[Iterable[str]]) -> dict[str, list[int]]:
    """The fields that several branches changed, each with the numbers of these branches."""
    writers: dict[str, list[int]] = {}
    for number, names in enumerate(changed):
        for name in names:
            writers.setdefault(name, []).append(number)
    return {name: numbers for name, numbers in writers.items() if len(numbers) > 1}
