"""What waits for the log: effects that may be seen, and visits that may start, once a seq is durable."""

from collections.abc import Callable, Container
from typing import Final, Literal, TypeAlias, get_args

from .events import Chunk
from .limits import EVENT_WINDOW
from .turn import Effect, Finish

_CHUNKS: Final = frozenset[type](get_args(Chunk))

Mode: TypeAlias = Literal["start", "body", "probe"]
"""`start` writes the intent of a `once` visit first, `body` has it written, `probe` asks what became of one."""


class Waits:
    """Two queues with a needed seq each; the outbox is first in, first out, whatever it waits for.

    Chunks that wait are bounded by the window of the stream behind them: the oldest goes first, and
    readers see the hole in the ids as a Gap. Nothing else is ever dropped.
    """

    __slots__ = ("_chunks", "gate", "outbox")

    def __init__(self) -> None:
        self.outbox: list[tuple[int, Effect]] = []
        self.gate: list[tuple[int, int, Mode]] = []
        """(needed seq, visit, mode) of visits that are to go."""
        self._chunks = 0

    def post(self, need: int, effect: Effect) -> None:
        """Queue an effect that may be seen when `need` is durable; needs never fall."""
        if type(effect) in _CHUNKS:
            self._chunks += 1
            if self._chunks > EVENT_WINDOW:
                self._drop_chunk()
        self.outbox.append((need, effect))

    def ready(self, durable: int) -> list[Effect]:
        """Take out everything that may be seen now, in the order in which it was posted."""
        count = 0
        for need, _ in self.outbox:
            if need > durable:
                break
            count += 1
        taken = [effect for _, effect in self.outbox[:count]]
        del self.outbox[:count]
        if self._chunks:
            self._chunks -= sum(type(effect) in _CHUNKS for effect in taken)
        return taken

    def go_on(self) -> None:
        """Take back an announced rest that nobody has heard of: the run does not rest any more."""
        self.outbox = [(need, effect) for need, effect in self.outbox if not isinstance(effect, Finish)]

    def hold(self, need: int, visit: int, mode: Mode = "start") -> None:
        """Let a visit go when `need` is durable."""
        self.gate.append((need, visit, mode))

    def open(
        self, durable: int, *, only_begun: bool, has_room: Callable[[int], bool] = lambda _: True
    ) -> tuple[int, Mode] | None:
        """Take out the next visit that may go, if there is one; `only_begun` leaves those without an intent waiting."""
        for position, (need, visit, mode) in enumerate(self.gate):
            if need <= durable and (mode == "body" or (not only_begun and has_room(visit))):
                del self.gate[position]
                return visit, mode
        return None

    def forget(self, visits: Container[int]) -> None:
        """Let none of these visits go."""
        self.gate = [waiting for waiting in self.gate if waiting[1] not in visits]

    def begun(self) -> list[int]:
        """Visits whose intent is written and whose body has not started yet."""
        return [visit for _, visit, mode in self.gate if mode == "body"]

    def clear(self) -> None:
        """Forget both: nobody may see any of it."""
        self.outbox.clear()
        self.gate.clear()
        self._chunks = 0

    def _drop_chunk(self) -> None:
        for position, (_, effect) in enumerate(self.outbox):
            if type(effect) in _CHUNKS:
                del self.outbox[position]
                self._chunks -= 1
                return
