"""Who may do what: tokens, compared in constant time and shown to nobody."""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from typing import Final, get_args

from attrs import field, frozen

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.wire import SUBPROTOCOL
from terzetto_protocol.wire_asks import Scope

TOKEN_PROTOCOL: Final = "terzetto.token."  # noqa: S105 - what stands before one
"""What a subprotocol begins with that carries a token: browsers can send no header with a websocket."""
SCOPES_OF_ALL: Final[frozenset[Scope]] = frozenset(get_args(Scope))
_SHORTEST: Final = 16
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


def _scopes(scopes: Collection[Scope]) -> frozenset[Scope]:
    return frozenset(scopes)


@frozen
class Token:
    """A secret, and what whoever has it may do; its text and its `repr` do not show it.

    Args:
        secret: 16 or more visible ASCII characters; `secrets.token_urlsafe()` makes one.
        scopes: some of `"read"`, `"decide"` and `"control"`.
        who: whose it is, as decisions and the audit log name it.
    """

    secret: str = field(repr=False)
    scopes: frozenset[Scope] = field(default=SCOPES_OF_ALL, converter=_scopes)
    who: str = ""

    def __attrs_post_init__(self) -> None:
        if len(self.secret) < _SHORTEST or not _TOKEN.fullmatch(self.secret):
            text = f"a token of the console has {_SHORTEST} or more visible ASCII characters"
            raise InvalidRequest(f"{text}: `secrets.token_urlsafe()` makes one")
        if wrong := self.scopes - SCOPES_OF_ALL:
            raise InvalidRequest(f"no scope {', '.join(map(repr, sorted(wrong)))}: read, decide and control")


class Access:
    """Finds the token that a client shows.

    Args:
        tokens: all that there are; without any everybody may do everything.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._known: Final = [(_digest(token.secret.encode()), token) for token in tokens]

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return not self._known

    def of(self, authorization: str, subprotocols: Sequence[str] = ()) -> "Grant | None":
        """What a client may do that shows this; None for one that has to be turned away. Not a checkpoint."""
        if self.is_open:
            return Grant(SCOPES_OF_ALL, "")
        shown = _digest(_shown(authorization, subprotocols))
        found: Token | None = None
        for digest, token in self._known:  # all of them, whichever it is
            if hmac.compare_digest(digest, shown):
                found = token
        return None if found is None else Grant(found.scopes, found.who)


@frozen
class Grant:
    """What a connection may do, and whose it is."""

    scopes: frozenset[Scope]
    who: str


def protocols_for(token: str) -> list[str]:
    """The subprotocols that a client offers which can send no header."""
    return [SUBPROTOCOL, *([TOKEN_PROTOCOL + _encoded(token)] if token else [])]


def _shown(authorization: str, subprotocols: Sequence[str]) -> bytes:
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip().encode()
    offered = [each.removeprefix(TOKEN_PROTOCOL) for each in subprotocols if each.startswith(TOKEN_PROTOCOL)]
    return _decoded(offered[0]) if len(offered) == 1 else b""


def _encoded(token: str) -> str:
    return base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
