"""What a node may ask and have done while it works: decisions, parts whose results are stored, blobs, checkpoints."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast, overload

from msgspec import Raw
from msgspec.structs import replace

from .blobs import Blob, BlobData, BlobKeeper, BlobReader
from .checkpoints import check_label
from .codec import pack_plain, unpack_plain
from .decisions import Answering, Exiting, Fail, Reject
from .errors import InvalidRequest
from .forms import Form
from .ids import check_name, check_seconds, effect_key
from .limits import BLOB_READ
from .port import Port, Visit
from .questions import AskDecision, Part, key_of
from .remarks import Remarks

T = TypeVar("T")


class Asking:
    """The part of a context by which a node waits for what is stored with its visit."""

    __slots__ = ()
    visit: Visit
    port: Port
    asked: dict[str, int] | None
    remarks: Remarks

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.visit.run_id

    @property
    def key(self) -> str:
        """The idempotency key of this visit: the same for every attempt, epoch and process.

        Give it to whatever performs an effect, so that a second attempt is recognised there.
        """
        return effect_key(self.visit.run_id, self.visit.path, self.visit.visit)

    @property
    def fence(self) -> int:
        """Rises with every claim of the run; a receiver that refuses lower ones is safe from frozen processes."""
        return self.visit.fence

    def decision(
        self,
        name: str,
        /,
        *,
        payload: object = None,
        timeout: float | None = None,
        on_timeout: Exiting | Fail | None = None,
        exits: Sequence[str] = ("approved", "rejected"),
    ) -> Awaitable[Answering]:
        """Wait inside this node until somebody decides; the decision is durable when this returns. A checkpoint.

        The run stays RUNNING and keeps its slot: a barrier node is cheaper where people take their time. No timeout of
        the node passes meanwhile. After a restart the node runs again from its top, and is told what was decided
        before at once. Cancelled, the question stays open until the visit ends. Not for `once` nodes.

        Args:
            name: how it is shown and decided; the second question of a name in one visit is another one.
            payload: what the person is shown: plain data. Of a dict, `Modify` may answer with other values of the same
                kind, for the body to take up.
            timeout: seconds until it decides by itself.
            on_timeout: what it decides then (`Reject()` unless said otherwise), or `Fail()`, which raises.
            exits: what may be decided: `Approve()` (or `Modify`), `Reject()`, or `Choose(name)`.

        Raises:
            DecisionTimeout: nobody decided in time, and `on_timeout` is `Fail()`.
            Refused: nobody could decide: in `terzetto.run` without a `decider=`.
            InvalidRequest: what it would decide by itself is none of its exits.
        """
        number, in_the_end = self._count(f"decision:{name}"), Reject() if on_timeout is None else on_timeout
        if not isinstance(cast("object", in_the_end), Exiting | Fail):
            raise InvalidRequest(f"decision {name!r}: on_timeout={on_timeout!r:.80} is neither a way out nor Fail()")
        if timeout is not None and not isinstance(in_the_end, Fail) and in_the_end.exit not in exits:
            text = f"decision {name!r} has the exits {', '.join(exits)}, and in time would leave by {in_the_end.exit!r}"
            raise InvalidRequest(f"{text}: say which with on_timeout=")
        question = AskDecision(
            key_of("decision", name, number),
            check_name(name),
            number,
            Raw(pack_plain(payload, f"the payload of {name}")),
            check_seconds(timeout, "timeout"),
            in_the_end,
            tuple(exits),
        )
        return self.port.decide(self.visit.visit, question)

    @overload
    def effect(self, name: str, fn: Callable[[str], Awaitable[T]], /, *, result: type[T]) -> Awaitable[T]: ...
    @overload
    def effect(self, name: str, fn: Callable[[str], Awaitable[T]], /) -> Awaitable[T]: ...
    def effect(self, name: str, fn: Callable[[str], Awaitable[Any]], /, *, result: Any = None) -> Awaitable[Any]:
        """Do a part of this node's work whose result is stored, so that a node that runs again does not repeat it.

        `fn` gets an idempotency key of its own, the same on every attempt: a process that dies between the
        effect and its store does it again under the same key. The result is durable when this returns. A
        checkpoint. Cancelled, the effect may have happened, and is then done again by whoever runs the node next.

        Args:
            name: the part; the second of a name in one visit is another one.
            fn: `await fn(key)` does it and returns what came of it.
            result: the type of what it returns, if that is more than plain data.

        Raises:
            InvalidRequest: the name is none: 1 to 64 letters, digits, _ and -, no digit first.
            NotStorable: the result would not come back from the store as it is.
        """
        key = key_of("effect", check_name(name), self._count(f"effect:{name}"))  # a name has no dot: no two are one
        what, form = f"the result of {key}", None if result is None else Form[Any](result)
        part = Part(
            key,
            effect_key(self.visit.run_id, self.visit.path, self.visit.visit, key),
            fn,
            lambda made: pack_plain(made, what) if form is None else form.pack(made, what),
            lambda data: unpack_plain(data) if form is None else form.unpack(data, what),
        )
        return self.port.do(self.visit.visit, part)

    def blob(
        self, data: BlobData, /, *, media_type: str = "application/octet-stream", name: str = ""
    ) -> Awaitable[Blob]:
        """Store what is too large for a state, and return the name to record; it is durable when this returns.

        A checkpoint. Bytes that the store has already are not stored again. Pieces are read and stored one after the
        other, so that any of them is in memory for a moment only. Cancelled, nothing of it can be read by anybody, and
        what was stored is swept. A blob is kept as long as a run is kept that has put it, or whose input or records
        name it.

        Args:
            data: bytes, or an iterable of them: a plain one is asked for each piece on the event loop, an asynchronous
                one (a file, a stream, a response) is closed if it is a generator.
            media_type: what the bytes are.
            name: how people know it.

        Raises:
            NotStorable: there are too many bytes, or one of the texts cannot be stored.
        """
        return self._blobs.put(data, media_type=media_type, name=name, run_id=self.visit.run_id)

    def open_blob(self, blob: Blob, /) -> BlobReader:
        """Read a blob chunk by chunk: `async with ctx.open_blob(blob) as reader: async for chunk in reader`.

        Not a checkpoint, which each chunk is.
        """
        return self._blobs.open(blob)

    def blob_bytes(self, blob: Blob, /, *, limit: int = BLOB_READ) -> Awaitable[bytes]:
        """All bytes of a blob at once. A checkpoint; raises as a reader does.

        Args:
            blob: its name.
            limit: bytes; more are refused with `InvalidRequest`.
        """
        return self._blobs.read(blob, limit=limit)

    def checkpoint(self, label: str = "", /) -> None:
        """Make the commit of this visit a checkpoint that stays until `run.truncate` says otherwise.

        It carries a snapshot, a `Retention` leaves it, and its label is shown in the history. It is written at once,
        also in a run that keeps its commits together. Of several in one visit the last one counts; a visit that fails
        makes none. Not a checkpoint in the sense of Trio.

        Raises:
            InvalidRequest: the label is longer than 200 characters.
        """
        remarks = replace(self.remarks, checkpoint=check_label(label))
        self.remarks = remarks  # type: ignore[misc]  # a field of every context that asks

    @property
    def _blobs(self) -> BlobKeeper:
        if self.port.blobs is None:
            raise InvalidRequest("blobs need a runtime, terzetto.run, or testing.context")
        return self.port.blobs

    def _count(self, question: str) -> int:
        """How often this was asked before in this visit."""
        if self.asked is None:
            self.asked = {}  # type: ignore[misc]  # a field of every context that asks
        number = self.asked.get(question, 0)
        self.asked[question] = number + 1
        return number
