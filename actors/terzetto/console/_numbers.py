"""Statistics as plain data: under the names of the Python API, with texts instead of errors."""

from collections.abc import Mapping
from typing import Any, cast

import attrs

from terzetto_protocol.errors import TerzettoError
from terzetto_protocol.views import plain


def numbers_of(statistics: Any) -> dict[str, Any]:
    """Every field by its name, as JSON can say it; what is stuck is named without its stack."""
    return cast("dict[str, Any]", _plain(statistics))


def _plain(value: Any) -> Any:
    kind: Any = type(cast("object", value))
    if attrs.has(kind):
        return {each.name: _plain(getattr(value, each.name)) for each in attrs.fields(kind)}
    if isinstance(value, TerzettoError):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[object, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value if value is None or isinstance(value, bool | int | float | str) else plain(value)
