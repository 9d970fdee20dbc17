"""Bearer tokens: who somebody is by what they know, and what they may do."""

import hmac
import re
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Final, get_args

from attrs import Factory, field, frozen

from .errors import InvalidRequest
from .limits import ID_LENGTH
from .wire_asks import Scope

ALL_SCOPES: Final[frozenset[Scope]] = frozenset(get_args(Scope))
TOKEN_LENGTH: Final = 16
"""Shortest token, characters: `secrets.token_urlsafe()` makes longer ones."""

_SYNTAX: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.ASCII | re.IGNORECASE)


def _scopes(given: Iterable[Scope]) -> frozenset[Scope]:
    return frozenset(given)


@frozen(eq=False)
class Token:
    """What a client says in `Authorization: Bearer ...`; its text is in no `repr`, and so in no log.

    Raises `InvalidRequest` for a token that is too short, has other characters than such a header, or no scopes.

    Args:
        secret: 16 characters or more that nobody can guess: `secrets.token_urlsafe()`.
        scopes: `"read"` looks, `"decide"` answers barriers, `"control"` does everything else; none includes another.
        who: whose it is, as decisions without a source and the audit log name it.
    """

    secret: str = field(repr=False)
    scopes: frozenset[Scope] = field(default=Factory(lambda: ALL_SCOPES), converter=_scopes)
    who: str = ""

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.secret, str) or not _SYNTAX.fullmatch(self.secret):
            raise InvalidRequest(f"token {self.who!r}: letters, digits and ._~+/- only (secrets.token_urlsafe())")
        if len(self.secret) < TOKEN_LENGTH:
            raise InvalidRequest(f"token {self.who!r} has less than {TOKEN_LENGTH} characters")
        if not self.scopes or not self.scopes <= ALL_SCOPES:
            raise InvalidRequest(f"token {self.who!r}: scopes are some of {', '.join(sorted(ALL_SCOPES))}")
        if not isinstance(self.who, str) or len(self.who) > ID_LENGTH or not self.who.isprintable():
            raise InvalidRequest(f"whose a token is, is a text of at most {ID_LENGTH} characters")


class Tokens:
    """The tokens that a server takes; each is compared in a time that says nothing about it.

    Raises `InvalidRequest` for two with the same text.
    """

    def __init__(self, tokens: Collection[Token] = ()) -> None:
        self._known: Final = [(_digest(token.secret), token) for token in tokens]
        if len({digest for digest, _ in self._known}) < len(self._known):
            raise InvalidRequest("two tokens have the same text: nobody could tell whose it is")

    def __len__(self) -> int:
        return len(self._known)

    def holder(self, authorizations: Collection[str]) -> Token | None:
        """The token of a request, by all its `Authorization` headers; None without one, or with one that is unknown."""
        given = _BEARER.fullmatch(next(iter(authorizations))) if len(authorizations) == 1 else None
        digest = _digest("" if given is None else given[1])
        found = [token for known, token in self._known if hmac.compare_digest(known, digest)]  # each one, always
        return found[0] if found else None


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
