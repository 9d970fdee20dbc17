"""`terzetto_protocol.foreign_reader`: one reader's place in the stream of a foreign producer (SEMANTICS 8.2, 8.3)."""

from hypothesis import given, strategies as st

from terzetto_protocol.bridge import CANCELLED_SENTINEL, END_SENTINEL, gap
from terzetto_protocol.foreign_reader import ForeignReader
from terzetto_protocol.foreign_stream import BridgeTerms, ForeignStream
from terzetto_protocol.statuses import StreamStatus


def stream(window=3) -> ForeignStream:
    return ForeignStream("r", 7, 0.0, BridgeTerms(window=window))


def publish(made: ForeignStream, count: int) -> None:
    for _ in range(count):
        made.publish("e", None, 1, 0.0)


def ids(items):
    return [item.id for item in items]


def test_what_is_there_and_then_what_comes():
    made = stream()
    publish(made, 2)
    reader = ForeignReader(made, None)

    assert ["7-1", "7-2"] == ids(reader.take(10))
    assert [] == reader.take(10)
    publish(made, 1)
    assert ["7-3"] == ids(reader.take(10))
    assert not reader.done


def test_who_falls_behind_is_told_how_much_is_gone():
    """8.2: the same Gap, never a silent jump."""
    made = stream()
    publish(made, 2)
    reader = ForeignReader(made, None)
    reader.take(1)
    publish(made, 6)

    found = reader.take(2)
    assert gap("7-1", 4) == found[0]
    assert ["", "7-6", "7-7"] == ids(found)
    assert ["7-8"] == ids(reader.take(2))


def test_the_end_is_last_and_said_once():
    """8.3: no sentinel after the terminal event; END at once for whoever has seen it."""
    made = stream()
    publish(made, 1)
    last = made.end(StreamStatus.CANCELLED, None, 1, 0.0)
    reader = ForeignReader(made, None)

    assert ["7-1", last.id] == ids(reader.take(10))
    assert (True, []) == (reader.done, reader.take(10))
    again = ForeignReader(made, last.id)
    assert ([END_SENTINEL], True, []) == (again.take(10), again.done, again.take(10))


def test_what_was_cleaned_up_before_its_end_is_cancelled_for_its_readers():
    made = stream()
    publish(made, 1)
    reader, late = ForeignReader(made, None), ForeignReader(made, None)
    reader.take(10)
    made.cleaned = True

    assert [CANCELLED_SENTINEL] == reader.take(10)
    assert ["7-1"] == ids(late.take(10))
    assert [CANCELLED_SENTINEL] == late.take(10)
    assert (True, []) == (late.done, late.take(10))


def test_what_was_cleaned_up_after_its_end_is_read_to_its_end():
    made = stream()
    publish(made, 1)
    reader = ForeignReader(made, None)
    last = made.end(StreamStatus.ENDED, None, 1, 0.0)
    made.cleaned = True

    assert ["7-1", last.id] == ids(reader.take(10))
    assert [] == reader.take(10)


@given(steps=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 4)), max_size=12))
def test_every_event_is_given_once_or_counted(steps):
    made, items = stream(), []
    reader = ForeignReader(made, None)
    for count, limit in steps:
        publish(made, count)
        items += reader.take(limit)
    made.end(StreamStatus.ENDED, None, 1, 0.0)
    while found := reader.take(2):
        items += found
    missed = sum(item.data["missed"] for item in items if not item.id)
    given = [int(item.id[2:]) for item in items if item.id]

    assert sorted(set(given)) == given
    assert made.tail == missed + len(given)
