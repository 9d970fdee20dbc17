"""The audit log: a line for each command that came from outside, whether or not it was done."""

from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from .errors import one_line
from .limits import ID_LENGTH

AUDIT_LOGGER: Final = "terzetto.audit"
"""The logger that has the lines."""


class AuditLine(Struct, frozen=True):
    """Who commanded what, and what became of it."""

    who: str
    """Whose token it was; empty for nobody in particular."""
    client: str
    """What the client says that it is, or its address."""
    request: int | None
    """The id of the request on its connection, if it has one."""
    command: str
    run: str
    command_id: str
    outcome: str

    def text(self) -> str:
        """One line of JSON: what comes from outside can neither begin another one nor be longer than an id."""
        named = {name: one_line(getattr(self, name), ID_LENGTH) for name in ("client", "command", "run", "command_id")}
        return msgspec.json.encode(replace(self, **named)).decode()
