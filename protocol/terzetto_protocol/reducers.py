"""How values that several writers give to one field come together: in sequence, and from parallel branches.

A mark belongs to the annotation, outside of everything else: `Annotated[list[str], terzetto.append]`. Where
annotations are nested, the outermost reducer counts.
"""

import inspect
import operator
import types
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Final, Union, get_args, get_origin

from msgspec import Struct

from .errors import ReducerFailed
from .fields import field_types


class Reducer(Struct, frozen=True, eq=False):
    """A named, deterministic way in which the value that a field has and one that is put become one.

    `combine(old, new)` returns the merged value, of the field's type, and changes neither of the two.
    """

    name: str
    combine: Callable[[Any, Any], Any]
    parallel: bool = True
    """Whether several parallel branches may change the field, combined in order of declaration."""
    types: tuple[type[Any], ...] = ()
    """What it can combine; empty: `combine` says so itself, by raising."""

    def __post_init__(self) -> None:
        if not callable(self.combine):
            raise TypeError(f"reducer {self.name!r}: 'combine' must be callable, not {self.combine!r:.80}")

    def reduce(self, key: str, old: Any, new: Any) -> Any:
        """The merged value; raises `ReducerFailed`, which names the key, for whatever `combine` raises."""
        try:
            return self.combine(old, new)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's function may raise anything
            raise ReducerFailed(key, self.name, error) from error

    def suits(self, hint: Any) -> bool:
        """Whether values of this declared type can be combined, as far as the type tells."""
        origin = get_origin(hint)
        if origin is Annotated:
            return self.suits(get_args(hint)[0])
        if origin in (Union, types.UnionType):
            return all(map(self.suits, get_args(hint)))
        cls = origin or hint
        return not self.types or not isinstance(cls, type) or issubclass(cls, self.types)


def _new(old: Any, new: Any) -> Any:
    return new


def _both(old: Any, new: Any) -> Any:
    return old | new


error: Final = Reducer("error", _new, parallel=False)
"""The new value; two branches that change the field are in conflict. What a field without a reducer has."""
replace: Final = Reducer("replace", _new)
"""The new value; of several branches the one declared last wins."""
append: Final = Reducer("append", operator.add, types=(list, tuple))
"""The old items, then the new ones."""
merge: Final = Reducer("merge", _both, types=(dict, set, frozenset))
"""Both; where two have the same key, the new value, and of several branches the one declared last, wins whole."""
add: Final = Reducer("add", operator.add, types=(int, float, Decimal, timedelta))
"""The sum."""
minimum: Final = Reducer("minimum", min)
"""The smaller one."""
maximum: Final = Reducer("maximum", max)
"""The larger one."""


class Replayed:
    """Marks a field that several parallel branches may change: their mutations are applied in order of declaration."""

    def __repr__(self) -> str:
        return "replayed"


replayed: Final = Replayed()


def reducer_of(hint: Any) -> Reducer:
    """The outermost reducer of a declared type; `error` when there is none."""
    found = [mark for mark in _marks(hint) if isinstance(mark, Reducer)]
    return found[-1] if found else error


def bare_functions(hint: Any) -> list[Callable[..., Any]]:
    """Functions among the marks of a declared type, which mark nothing: elsewhere they would be reducers."""
    return [mark for mark in _marks(hint) if inspect.isroutine(mark)]


def mergeable_fields(of: type[Any]) -> frozenset[str]:
    """Names of the fields that several parallel branches may change without a conflict.

    These are the ones marked `replayed` and the ones with a parallel reducer. Outside of a `KeyedState` a reducer
    says no more than `replayed`: how the mutations of the branches combine is up to their `apply`.
    """
    return frozenset(name for name, hint in field_types(of).items() if _merges(hint))


def _merges(hint: Any) -> bool:
    return reducer_of(hint).parallel or any(isinstance(mark, Replayed) for mark in _marks(hint))


def _marks(hint: Any) -> tuple[Any, ...]:
    return get_args(hint)[1:] if get_origin(hint) is Annotated else ()
