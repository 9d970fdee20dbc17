"""What a store keeps of one run, for tests of the machine."""

from attrs import define, field

from terzetto_protocol.records import BarrierRow, Record, Write
from terzetto_protocol.statuses import BARRIER_MOVES, BarrierStatus

from .witness import record_of


@define
class Disk:
    """What a store keeps of one run; it takes writes in order, and refuses one with a stale epoch."""

    writes: list[Write] = field(factory=list)
    records: list[Record] = field(factory=list)
    barriers: dict[str, BarrierRow] = field(factory=dict)
    row: Write | None = None
    """The last write that touched the run's row."""

    @property
    def seq(self) -> int:
        return len(self.writes)

    def put(self, write: Write) -> None:
        """Apply a write whole."""
        assert (write.header is not None) == (write.seq == 1), "the first write creates the run, and no other"
        assert write.seq == self.seq + 1, f"write {write.seq} came after {self.seq}"
        if self.row is not None:
            assert write.expect == self.writes[-1].epoch, "a write expects the epoch that is there"
            assert write.moved or (write.status, write.epoch) == (self.row.status, self.row.epoch), "the row is stale"
        for row in write.barriers:
            old = self.barriers.get(row.barrier)
            source = None if old is None else old.status
            assert row.status in BARRIER_MOVES[source], f"{row.barrier}: {source} -> {row.status}"
            self.barriers[row.barrier] = row
        self.writes.append(write)
        self.records.append(record_of(write))
        if write.moved:
            self.row = write

    def log(self) -> tuple[bytes, list[bytes]]:
        """The newest snapshot, and the commits after it."""
        bodies: list[bytes] = []
        for write in reversed(self.writes):
            if write.snapshot is not None:
                return write.snapshot, bodies[::-1]
            bodies.append(write.body)
        raise AssertionError("the first write carries a snapshot")

    def open_barriers(self) -> list[str]:
        return [row.barrier for row in self.barriers.values() if row.status is BarrierStatus.OPEN]
