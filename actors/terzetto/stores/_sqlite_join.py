"""Many rows of a SQLite store come as one.

A row that is handed over costs an exchange of the interpreter with a busy loop, up to milliseconds
each. So SQLite joins what a query finds into one row: the columns as one JSON text, and the blobs,
one behind the other, as one blob. A damaged row in between changes nothing of the others.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar, get_args, get_type_hints

import apsw
import msgspec

from ._checksums import UNREADABLE
from ._schema import Value

MOST: Final = 2**63 - 1
"""The largest number that SQLite knows."""
NEVER: Final = -1
"""What no checksum is."""
_TYPES: Final[dict[type, str]] = {int: "integer", float: "real", str: "text"}

_decode = msgspec.json.Decoder(list[Any]).decode


C = TypeVar("C", bound=tuple[Any, ...])


class Join(Generic[C]):
    """A query whose rows arrive together: some columns and one blob of each.

    Args:
        row: a named tuple: the columns by name and type, `crc` among them, and last the length of the blob.
        blob: the column that is joined as bytes.
        query: what finds the rows, without its limit.
    """

    def __init__(self, row: type[C], blob: str, query: str) -> None:
        # The inner query has an order and a limit, and SQLite keeps the order of those that have. A text is bytes to
        # SQLite unless it is asked for letters, so joining blobs as texts changes nothing. What is damaged may be of
        # another type than its column: the casts make something of it that fits into JSON, and does not fit the sum.
        kinds = get_type_hints(row)
        columns = ", ".join(_cast(name, kind) for name, kind in list(kinds.items())[:-1])
        self._sql = (
            f"select cast(json_group_array(json_array({columns}, ifnull(octet_length({blob}), 0))) as blob), "  # noqa: S608 - our own words only
            f"cast(group_concat(cast({blob} as text), '') as blob) from ({query} limit ?)"
        )
        self._decode = msgspec.json.Decoder(list[row]).decode  # type: ignore[valid-type]  # a variable that is a type
        self._row, self._crc = row, list(kinds).index("crc")
        self._make: Callable[..., C] = row

    def read(self, connection: apsw.Connection, *values: Value) -> Iterator[tuple[C, bytes]]:
        """The rows; the last value is the limit, -1 for none."""
        [(columns, blobs)] = connection.execute(self._sql, values)
        start = 0
        for row in self._rows(columns):
            end = start + row[-1]
            yield row, blobs[start:end] if isinstance(blobs, bytes) else b""
            start = end

    def _rows(self, columns: bytes) -> list[C]:
        try:
            return self._decode(columns)
        except UNREADABLE:  # of some row: the others are as good as before
            return [self._salvaged(row) for row in _decode(columns.decode(errors="replace"))]

    def _salvaged(self, columns: list[Any]) -> C:
        try:
            msgspec.convert(columns, self._row)
            is_sound = not any(isinstance(each, str) and "\N{REPLACEMENT CHARACTER}" in each for each in columns)
        except msgspec.ValidationError:
            is_sound = False
        if columns[self._crc] is None and not is_sound:
            columns[self._crc] = NEVER
        return self._make(*columns)


def _cast(name: str, kind: Any) -> str:
    made = f"cast({name} as {next(_TYPES[one] for one in get_args(kind) or (kind,) if one in _TYPES)})"
    # The JSON of older SQLites keeps 15 digits of a float, and the checksum is of all: what is quoted keeps them.
    return f"json(lower(quote({made})))" if float in (kind, *get_args(kind)) else made


def limited(limit: int | None) -> int:
    """A limit as SQLite takes it."""
    return -1 if limit is None else min(max(limit, 0), MOST)
