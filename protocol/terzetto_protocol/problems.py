"""What an HTTP client is told of an error: problem details (RFC 9457), with the codes that the console has too.

Of what the server itself suffers a client hears that there is something, and when to come again.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import Struct

from .wire_errors import CODES, explained

MEDIA_TYPE: Final = "application/problem+json"

HttpCode: TypeAlias = Literal[
    "insecure",
    "wrong_host",
    "wrong_origin",
    "unauthenticated",
    "unknown_path",
    "wrong_method",
    "wrong_media_type",
    "too_slow",
]
"""Codes that only an HTTP server has."""

_STATUSES: Final[Mapping[int, tuple[str, ...]]] = {
    400: ("malformed",),
    401: ("unauthenticated",),
    403: ("not_allowed", "wrong_origin", "insecure"),
    404: ("unknown_path", "unknown_graph", "unknown_run", "unknown_blob"),
    405: ("wrong_method",),
    408: ("too_slow",),
    409: ("refused", "illegal_transition", "run_conflict", "thread_busy", "head_missing", "migration_failed"),
    410: ("commit_pruned",),
    413: ("too_large",),
    415: ("wrong_media_type",),
    421: ("wrong_host",),
    422: ("invalid_request", "not_storable", "mutation_failed", "reducer_failed", "invalid_input"),
    429: ("rate_limited",),
    503: ("queue_full", "actor_stopped", "store_unavailable", "store_missing", "stale_epoch", "carried_elsewhere"),
    505: ("other_version",),
}
STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    dict.fromkeys(("internal", *CODES.values()), 500)
    | {code: status for status, codes in _STATUSES.items() for code in codes}
)
"""The HTTP status of each code."""
_UNTOLD: Final = "something went wrong in the server; its log says what"


class Problem(Struct, frozen=True, omit_defaults=True):
    """A problem as it is sent."""

    type: str
    """`urn:terzetto:` and the code."""
    title: str
    status: int
    detail: str
    code: str
    """What is wrong, by a name that stays what it is."""
    path: str = ""
    """Where in what was sent the mistake is, such as `$.state`."""
    data: dict[str, Any] = {}
    """More about it, by the code, such as `run_id`."""

    @property
    def retry_after(self) -> float | None:
        """Seconds after which it may go well, where that is known."""
        found = self.data.get("retry_after")
        return found if isinstance(found, int | float) else None

    def body(self) -> bytes:
        """Its JSON."""
        return msgspec.json.encode(self)


def problem_of(error: BaseException) -> Problem:
    """What a client is told of an error, whatever it is; of one in the server no more than that."""
    frame = explained(None, error)
    status = STATUSES.get(frame.code, 500)
    kind, title = f"urn:terzetto:{frame.code}", frame.code.replace("_", " ").capitalize()
    if status >= 500 and "retry_after" not in frame.data:
        detail = _UNTOLD if status == 500 else frame.message
        return Problem(kind, title, status, detail, frame.code)
    return Problem(kind, title, status, frame.message, frame.code, frame.path, frame.data)


assert set(get_args(HttpCode)) <= STATUSES.keys()
assert not set(get_args(HttpCode)) & set(CODES.values())
