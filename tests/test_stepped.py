"""`terzetto_protocol.stepped`: two events in one value are those that the general path makes."""

import pytest

from terzetto_protocol.events import NodeFinished, NodeStarted, told_by
from terzetto_protocol.image import read_record
from terzetto_protocol.stepped import Stepped, begun_after
from terzetto_protocol.turn import Effect, Turn

from . import machines
from .machines import Driver, effects_of
from .sketches import Add, sketch

STEP = Stepped(7, "r", 1.5, "a", 2, 4, 3, "b", 5, 1, 2.5)
FINISHED = NodeFinished(id=7, run_id="r", at=1.5, node="a", visit=2, seq=4, mutations=3)
STARTED = NodeStarted(id=8, run_id="r", at=2.5, node="b", visit=5, attempt=1)


def test_what_it_tells():
    assert (FINISHED, STARTED) == (STEP.finished, STEP.started)
    assert STEP == begun_after(FINISHED, "b", 5, 1, 2.5)


@pytest.mark.parametrize("acks", ["settled", "now"])
@pytest.mark.parametrize("kind", ["repeatable", "pure"])
def test_every_way_to_make_one(monkeypatch, acks, kind):
    """SEMANTICS 3: whether the store answers at once or not, and whether the next node waits for it or not."""
    found: list[Stepped] = []

    def noting(turn: Turn) -> list[Effect]:
        found.extend(effect for effect in (turn.event, *turn.more) if isinstance(effect, Stepped))
        return effects_of(turn)

    monkeypatch.setattr(machines, "effects_of", noting)
    driver = Driver(sketch(f"a:{kind} b:{kind} c:{kind}", "a>b>c"), acks=acks).claim()
    for name in "abc":
        driver.finish(Add(1), node=name)
    driver.settle()

    assert [("a", "b", 1, 2), ("b", "c", 2, 3)] == [(t.node, t.next_node, t.visit, t.next_visit) for t in found]
    records = [read_record(write.body) for write in driver.disk.writes]
    stored = [event for record in records for event in told_by("r", record) if isinstance(event, NodeFinished)]
    assert [told.finished for told in found] == stored[:2]
