"""What an everyday step tells, before anybody has asked for it."""

from msgspec import Struct

from .events import NodeFinished, NodeStarted


class Stepped(Struct, frozen=True, gc=False):
    """A visit has finished and the one that follows begins: two events in one value, made when somebody reads them."""

    id: int
    """Of the first event; the second has the next one."""
    run_id: str
    at: float
    """When the visit finished, UNIX time in seconds."""
    node: str
    visit: int
    seq: int
    mutations: int
    next_node: str
    next_visit: int
    attempt: int
    next_at: float
    """When the next one began."""

    @property
    def finished(self) -> NodeFinished:
        """The first event."""
        return NodeFinished(
            id=self.id,
            run_id=self.run_id,
            at=self.at,
            node=self.node,
            visit=self.visit,
            seq=self.seq,
            mutations=self.mutations,
        )

    @property
    def started(self) -> NodeStarted:
        """The second one."""
        return NodeStarted(
            id=self.id + 1,
            run_id=self.run_id,
            at=self.next_at,
            node=self.next_node,
            visit=self.next_visit,
            attempt=self.attempt,
        )


def begun_after(event: NodeFinished, node: str, visit: int, attempt: int, at: float) -> Stepped:
    """What an event of a visit and the beginning of the next one are together."""
    first, run, before = event.id, event.run_id, event.visit
    return Stepped(first, run, event.at, event.node, before, event.seq, event.mutations, node, visit, attempt, at)
