"""What every node may say while it works: chunks to show, errors that end nothing, signs of life."""

from typing import Final, get_args

from msgspec import Raw
from msgspec.structs import replace

from .codec import check_text, pack_plain
from .errors import InvalidRequest, describe
from .limits import OBSERVED_LENGTH, OBSERVED_VISIT
from .port import Custom, Phase, Port, Thinking, Tool, Visit
from .records import ErrorLevel, Observed, ObservedError
from .remarks import Remarks

_PHASES: Final[tuple[str, ...]] = get_args(Phase)
_LEVELS: Final[tuple[str, ...]] = get_args(ErrorLevel)


class Speaking:
    """The part of a context by which a node is heard while it works."""

    __slots__ = ()
    visit: Visit
    port: Port
    remarks: Remarks

    def emit_text(self, text: str, /) -> None:
        """Show a piece of text to whoever is listening now; it is not stored. Not a checkpoint."""
        if type(text) is not str or not text.isascii():  # what may not be storable, or no text; asked here, for speed
            check_text(text, "emitted text")
        self.port.emit(self.visit.visit, text)

    def emit_thinking(self, text: str, /) -> None:
        """Show a piece of reasoning; it is not stored. Not a checkpoint."""
        self.port.emit(self.visit.visit, Thinking(check_text(text, "emitted text")))

    def emit_tool(self, call_id: str, tool: str, phase: Phase, text: str = "") -> None:
        """Show a step in the life of a tool call; it is not stored. Not a checkpoint."""
        for part in (call_id, tool, text):
            check_text(part, "emitted text")
        if phase not in _PHASES:
            raise InvalidRequest(f"{phase!r} is no phase of a tool call: they are {', '.join(_PHASES)}")
        self.port.emit(self.visit.visit, Tool(call_id, tool, phase, text))

    def emit(self, name: str, data: object = None, /) -> None:
        """Show something of the application's own, made of plain data; it is not stored. Not a checkpoint.

        Raises:
            NotStorable: it is not plain data, or holds a NaN, an infinity or a lone surrogate.
        """
        packed = pack_plain(data, f"chunk {check_text(name, 'the name of a chunk')}")
        self.port.emit(self.visit.visit, Custom(name, Raw(packed)))

    def report(self, error: BaseException | str, /, *, level: ErrorLevel = "warning") -> None:
        """Say that something went wrong which ends neither this node nor its run. Not a checkpoint.

        It is stored with the commit of this attempt, also of one that fails, and is then an `ErrorObserved` and
        part of the run's result. An attempt that is cancelled commits nothing, and reports nothing.

        Args:
            error: what happened; of an exception its type and message are kept, and nothing else.
            level: `"warning"` is worth a look; `"degraded"`: the result is worse than it should be;
                `"partial_failure"`: a part of it is missing.
        """
        if level not in _LEVELS:
            raise InvalidRequest(f"{level!r} is no level of an error: they are {', '.join(_LEVELS)}")
        self.port.beat()
        text = check_text(error, "a reported error") if isinstance(error, str) else describe(error)
        if len(text) > OBSERVED_LENGTH:
            text = f"{text[:OBSERVED_LENGTH]}... ({len(text)} characters)"
        visit = self.visit
        node = f"{visit.path}/{visit.node}" if visit.path else visit.node
        reported = ObservedError(level, text, node, visit.visit)
        observed = (self.remarks.observed or Observed()).plus(reported, OBSERVED_VISIT)
        self.remarks = replace(self.remarks, observed=observed)  # type: ignore[misc]  # a field of every context

    def heartbeat(self) -> None:
        """Say that this node still works, which is what its `idle_timeout` waits for. Not a checkpoint.

        `record`, `report` and the `emit` family say so too.
        """
        self.port.beat()

    def is_cancelled(self) -> bool:
        """Whether the run is being cancelled or stopped, so that a long computation can leave early.

        To a plain `def` in its thread it says that this function was cancelled or has timed out: whatever it still
        does, returns or raises counts for nothing.
        """
        return self.port.is_cancelled()
