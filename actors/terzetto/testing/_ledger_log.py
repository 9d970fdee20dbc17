"""One run as the second book of a simulation has it: every commit of it that ever was durable."""

from typing import Final

from attrs import Factory, define

from terzetto_protocol.records import Record, RunHeader, Write

ENDS: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
_RESTING: Final = frozenset({*ENDS, "AWAITING_INPUT", "PAUSED"})


@define(eq=False)
class Log:
    """One run, as far as it is durable."""

    run_id: str
    records: list[Record] = Factory(list[Record])
    writes: list[Write] = Factory(list[Write])
    status: str = ""
    visits: dict[int, str] = Factory(dict[int, str])
    """Visits and their statuses."""
    intents: set[tuple[int, int]] = Factory(set[tuple[int, int]])
    """Visits of `once` nodes that were meant to begin, by their attempts."""
    retries: dict[int, int] = Factory(dict[int, int])
    """How often a person had a visit started again whose effect was unknown."""
    decided: dict[str, int] = Factory(dict[str, int])
    """Barriers that were decided, by the commit that says so."""
    resolved: set[str] = Factory(set[str])
    """Barriers that somebody answered, whatever came of it."""
    open: set[str] = Factory(set[str])
    """Barriers that wait."""
    closed: set[str] = Factory(set[str])
    """Barriers that do not wait any more, decided or not."""
    begins_elsewhere: bool = False
    """Whether some of its visits come from another run, or from its own past."""
    first: int = 1
    """The first commit from which all are left."""
    base: str | None = None
    """The head of its thread when its turn came; None before that, and where it is on none."""

    @property
    def header(self) -> RunHeader:
        """What was said when it was submitted."""
        header = self.writes[0].header
        assert header is not None, "the first commit creates the run"
        return header

    @property
    def event_id(self) -> int:
        """Its last durable event."""
        return self.writes[-1].event_id

    @property
    def has_ended(self) -> bool:
        """Whether nothing may follow."""
        return self.status in ENDS

    @property
    def rests(self) -> bool:
        """Whether it has ended, or waits for nobody but people."""
        return self.status in _RESTING or self.asks

    @property
    def asks(self) -> bool:
        """Whether it waits for a person, and keeps its slot meanwhile."""
        return self.status == "RUNNING" and bool(self.open)

    @property
    def holds_back(self) -> bool:
        """Whether it was asked to promise less."""
        return self.header.durability != "commits"

    def tells(self, event_id: int) -> bool:
        """Whether this is the id of a durable event."""
        return any(
            record.event_id <= event_id <= write.event_id
            for record, write in zip(self.records, self.writes, strict=True)
        )

    def told_between(self, after: int, before: int) -> list[int]:
        """Ids of the durable events after one and before another, but those of commits that were pruned."""
        ids = [
            number
            for record, write in zip(self.records, self.writes, strict=True)
            if write.event_id > after and record.event_id < before and record.seq >= self.first
            for number in range(record.event_id, write.event_id + 1)
        ]
        return [number for number in ids if after < number < before]
