"""Who may do what: the token that a client shows, in a header or as a subprotocol."""

import base64
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from terzetto_protocol.tokens import ALL_SCOPES, Token, Tokens
from terzetto_protocol.wire_asks import Scope

TOKEN_PROTOCOL: Final = "terzetto.token."  # noqa: S105 - what stands before one
"""What a subprotocol begins with that carries a token: browsers can send no header with a websocket."""


@frozen
class Grant:
    """What a connection may do, and whose it is."""

    scopes: frozenset[Scope]
    who: str


class Access:
    """Finds the token that a client shows.

    Args:
        tokens: all that there are; without any everybody may do everything.
    """

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens: Final = Tokens(tokens)

    def of(self, authorizations: Sequence[str], subprotocols: Sequence[str] = ()) -> Grant | None:
        """What a client may do that shows this; None for one that has to be turned away. Not a checkpoint."""
        if not len(self._tokens):
            return Grant(ALL_SCOPES, "")
        holder = self._tokens.holder(authorizations or _offered(subprotocols))
        return None if holder is None else Grant(holder.scopes, holder.who)


def _offered(subprotocols: Sequence[str]) -> list[str]:
    """The tokens among the subprotocols, as the headers would have them."""
    offered = [each.removeprefix(TOKEN_PROTOCOL) for each in subprotocols if each.startswith(TOKEN_PROTOCOL)]
    return [f"Bearer {_decoded(each)}" for each in offered]


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
        return ""
