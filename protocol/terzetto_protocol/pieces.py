"""Long answers: a JSON text in pieces that are put together again, and lists that end where they become too long."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from .errors import InvalidRequest, Malformed
from .limits import WIRE_PIECE
from .views import CommitView
from .wire_answers import History, Piece
from .wire_asks import ReadCommit, ReadDiff, ReadState

T = TypeVar("T")

Paged = ReadState | ReadDiff | ReadCommit
"""Queries that are answered in pieces."""

_DIGEST: Final = 32
_encode = msgspec.json.Encoder().encode


def text_of(value: Any) -> bytes:
    """What is shown in pieces, as the same JSON text each time."""
    return _encode(value)


def piece_of(
    text: bytes, of: Literal["state", "diff", "commit"], run_id: str, seq: int, *, offset: int, size: int = WIRE_PIECE
) -> Piece:
    """The piece that begins at an offset, of `size` bytes or a few less: no character is cut.

    Raises `InvalidRequest` for an offset at which none begins.
    """
    if not (0 <= offset < len(text)) or _is_inside(text, offset):
        raise InvalidRequest(f"no piece of this {of} begins at {offset}: say what the last one called `next`")
    end = min(offset + size, len(text))
    while end < len(text) and _is_inside(text, end):
        end -= 1
    following = end if end < len(text) else None
    digest = hashlib.sha256(text).hexdigest()[:_DIGEST]
    return Piece(of, run_id, seq, offset, len(text), following, digest, text[offset:end].decode())


def _is_inside(text: bytes, offset: int) -> bool:
    """Whether a character goes on here that began before."""
    return text[offset] & 0xC0 == 0x80


class Assembly:
    """Puts the pieces of one text together; they come in order, each asked for with what `take` gives."""

    def __init__(self, ask: Paged) -> None:
        self._ask = ask
        self._parts: list[str] = []
        self._offset = 0
        self._digest = ""

    def take(self, piece: Piece) -> Paged | None:
        """Take the next piece, and give what is to be asked now: None after the last one.

        Raises `Malformed` for a piece of another text: then begin anew.
        """
        if piece.offset != self._offset or self._digest not in ("", piece.digest):
            raise Malformed("a piece", "it does not follow the one before; what was asked for has changed meanwhile")
        self._digest = piece.digest
        self._parts.append(piece.text)
        if piece.next is None:
            return None
        self._offset = piece.next
        return _onwards(self._ask, piece.seq, piece.next)

    def value(self, type: Any = Any) -> Any:
        """What all pieces together say; raises `Malformed` for what is not JSON of this type."""
        try:
            return msgspec.json.decode("".join(self._parts), type=type)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Malformed("what the pieces say", str(error)) from error


def _onwards(ask: Paged, seq: int, offset: int) -> Paged:
    if isinstance(ask, ReadState):
        return ReadState(ask.run_id, seq, offset)
    if isinstance(ask, ReadDiff):
        return ReadDiff(ask.run_id, ask.before, seq, offset)
    return ReadCommit(ask.run_id, ask.seq, offset)


def fitting(items: Iterable[T], size: int = WIRE_PIECE) -> list[T]:
    """The first items, as many as make an answer of this many bytes, and one at least."""
    taken: list[T] = []
    room = size
    for item in items:
        room -= len(_encode(item)) + 1
        if taken and room < 0:
            break
        taken.append(item)
    return taken


def history_of(run_id: str, commits: Sequence[CommitView], size: int = WIRE_PIECE) -> History:
    """An answer with as many of these commits as fit; what is too large by itself comes cut.

    Args:
        run_id: whose they are.
        commits: those that were asked for, newest first.
        size: bytes.
    """
    told = fitting([each if len(_encode(each)) <= size else _cut(each) for each in commits], size)
    cut = tuple(each.seq for each, whole in zip(told, commits, strict=False) if each is not whole)
    return History(run_id, tuple(told), cut, told[-1].seq if told and told[-1].seq > 1 else None)


def _cut(commit: CommitView) -> CommitView:
    return replace(commit, mutations=(), events=(), detail=None)
