"""`terzetto_protocol.event_reader`: what one reader is given, against a model that only knows the ids."""

from typing import Any

import pytest
from hypothesis import event as note, given, settings, strategies as st

from terzetto_protocol.event_log import EventLog
from terzetto_protocol.event_reader import Reader
from terzetto_protocol.events import Cursor, Event, Gap, NodeFinished, RunEnded, StreamItem, TextChunk
from terzetto_protocol.ids import event_id, split_event_id
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus


def chunk(number: int) -> TextChunk:
    return TextChunk(id=number, run_id="r", at=0.0, node="n", visit=1, text="x")


def done(number: int) -> NodeFinished:
    return NodeFinished(id=number, run_id="r", at=0.0, node="n", visit=1, seq=1, mutations=0)


def ended(number: int) -> RunEnded:
    return RunEnded(id=number, run_id="r", at=0.0, status=RunStatus.SUCCEEDED)


def fill(log: EventLog, *events: Event) -> EventLog:
    for event in events:
        log.append(event)
    return log


def take(reader: Reader, store: list[Event], page: int = 1000) -> list[StreamItem]:
    """Everything that there is for this reader, as the hub would fetch it."""
    items: list[StreamItem] = []
    while not reader.ended:
        if reader.last < reader.goal:
            items += reader.recall(*read(store, reader.last, reader.goal, page))
        elif taken := reader.take(3):
            items += taken
        else:
            return items
    return items


def read(store: list[Event], after: int, goal: int, page: int) -> tuple[list[Event], int]:
    found = [event for event in store if event.id > after][:page]
    return found, min(goal, found[-1].id) if len(found) == page else goal


def brief(items: list[StreamItem]) -> list[Any]:
    return [("gap", item.after, item.missed) if isinstance(item, Gap) else item.id for item in items]  # type: ignore[union-attr]


def test_a_reader_that_falls_behind_gets_the_gap_and_the_durable_events():
    """SEMANTICS 8.2: a connected reader that falls behind gets the same Gap, never a silent jump."""
    log, store = EventLog(window=4), [done(1), done(5)]
    reader = Reader(fill(log, done(1), chunk(2)))
    assert brief(take(reader, store)) == [1, 2]

    fill(log, chunk(3), chunk(4), done(5), *map(chunk, range(6, 13)))
    assert log.floor == 8
    assert brief(take(reader, store)) == [("gap", 2, 5), 5, 9, 10, 11, 12]
    assert reader.gaps == 1


def test_a_gap_names_the_last_event_that_was_seen():
    """What the Cursor counted was not seen either."""
    log = fill(EventLog(window=4), *map(chunk, range(1, 11)))
    reader = Reader(log, 1)
    assert reader.resume.missed == log.floor - 1
    assert reader.recall([], reader.goal) == []

    before, _ = log.floor, fill(log, *map(chunk, range(11, 21)))
    assert reader.recall([], reader.goal) == [Gap(1, log.floor - before)]


def test_only_durable_events_left_is_no_gap():
    """SEMANTICS 8.1: durable events older than the window are read from the store."""
    log, store = EventLog(window=4), [done(number) for number in range(1, 20)]
    reader = Reader(log)
    fill(log, *store)

    assert brief(take(reader, store, page=3)) == list(range(1, 20))


def test_a_hole_in_the_window_is_a_gap():
    """SEMANTICS 8.2: chunks that were lost on their way here are missing for everyone who crosses the hole."""
    log = fill(EventLog(), done(1), chunk(5), chunk(6), done(event_id(1, 1)))

    reader = Reader(log)
    assert brief(take(reader, [])) == [1, ("gap", 1, 3), 5, 6, event_id(1, 1)]
    assert 1 == reader.gaps
    assert brief(take(Reader(log, 5), [])) == [6, event_id(1, 1)]


def test_a_gap_over_epochs_has_no_number():
    """SEMANTICS 8.2: exact inside an epoch, else unknown."""
    log, store = EventLog(window=2), [done(1), done(event_id(1, 1))]
    reader = Reader(fill(log, done(1)))
    assert brief(take(reader, store)) == [1]

    fill(log, done(event_id(1, 1)), *[chunk(event_id(1, number)) for number in range(2, 6)])
    assert brief(take(reader, store))[:3] == [("gap", 1, None), event_id(1, 1), event_id(1, 4)]


def test_durable_events_that_are_not_published_yet_are_not_given():
    """SEMANTICS 3, D4: a run's events are seen in order, also the chunks before one that only the store has."""
    log = fill(EventLog(window=2), *map(done, range(1, 5)))
    store = [done(1), done(2), done(3), done(4), done(6)]
    reader = Reader(log)
    assert brief(take(reader, store)) == [1, 2, 3, 4]

    fill(log, chunk(5), done(6))
    assert brief(take(reader, store)) == [5, 6]


def test_the_cursor_counts_what_does_not_come_back():
    """SEMANTICS 8.2: evicted, with the gap count."""
    log = fill(EventLog(window=2), *map(chunk, range(1, 10)))
    reader = Reader(log, 3)
    floor = log.floor

    assert reader.counts
    assert reader.cursor(returning=2) == Cursor("evicted", floor - 3 - 2)
    assert not reader.ended


def test_a_cursor_that_misses_nothing_has_resumed():
    """SEMANTICS 7: the reader resumes from its id: no gap, no duplicate."""
    store = [done(number) for number in range(1, 10)]
    reader = Reader(fill(EventLog(window=2), *store), 3, strict=True)

    assert reader.cursor(returning=len([event for event in store if 3 < event.id <= reader.goal])) == Cursor(
        "resumed", 0
    )
    assert brief(take(reader, store)) == list(range(4, 10))


def test_strict_ends_where_something_is_gone():
    """SEMANTICS 8.2: `strict` ends instead."""
    reader = Reader(fill(EventLog(window=2), *map(chunk, range(1, 10))), 3, strict=True)

    assert reader.cursor(0).how == "evicted"
    assert reader.ended


@pytest.mark.parametrize("replayable", [True, False])
def test_the_terminal_event_ends_a_reader(replayable):
    """SEMANTICS 8.3: the terminal event is last; a cursor at it gives END at once."""
    log = fill(EventLog(replayable=replayable), done(1), ended(2))
    reader = Reader(log)

    assert brief(take(reader, [])) == [1, 2]
    assert reader.ended
    assert Reader(log, 2).ended
    assert not Reader(log, 1).ended
    assert not Reader(log, 3).ended, "never issued: from the beginning"


def row(store: list[Event], status: RunStatus) -> RunRow:
    last = store[-1].id if store else 0
    header = RunHeader("r", "g", "1", "", "", 0.0)
    return RunRow(header=header, status=status, epoch=split_event_id(last)[0], seq=1, event_id=last, updated=0.0)


class Model:
    """A run whose events are published one after the other, to a log that may be lost, and readers at any time."""

    def __init__(self, data: st.DataObject, *, replayable: bool) -> None:
        self.data, self.replayable = data, replayable
        self.script = self.tell()
        self.published = 0
        self.store: list[Event] = []
        self.readers: list[tuple[int, Reader, list[StreamItem]]] = []
        self.log = self.new_log()
        self.forgotten = False
        self.hand_over(1)

    def tell(self) -> list[Event]:
        """Some epochs of durable events and chunks, with chunks missing, and maybe an end."""
        script: list[Event] = [done(1)]
        for epoch in range(1, 1 + self.data.draw(st.integers(1, 3))):
            number = event_id(epoch, 1)
            script.append(done(number))
            for kind in self.data.draw(st.lists(st.sampled_from("dcccch"), min_size=2, max_size=25)):
                number += 3 if kind == "h" else 1
                script.append(done(number) if kind == "d" else chunk(number))
        if self.data.draw(st.booleans()):
            script.append(ended(script[-1].id + 1))
        return script

    def new_log(self) -> EventLog:
        return EventLog(window=self.data.draw(st.integers(1, 6), "window"), replayable=self.replayable)

    def publish(self, most: int) -> None:
        if self.published < len(self.script):
            self.hand_over(self.data.draw(st.integers(0, most), "count"), self.data.draw(st.integers(0, 3), "ahead"))

    def hand_over(self, count: int, ahead: int = 0) -> None:
        """The store may be ahead of what is published, and never behind."""
        for event in self.script[self.published : self.published + count]:
            self.log.append(event)
            self.published += 1
        durable = [event for event in self.script if event.durable]
        published = sum(event.durable for event in self.script[: self.published])
        self.store = durable[: max(len(self.store), published + ahead)]

    def forget(self) -> None:
        """The log is dropped (the run has parked), or lost with its process."""
        if not self.readers and self.replayable:
            self.log, self.forgotten = self.new_log(), True

    def stand_in(self) -> None:
        """As the hub does for a run that has no log, when somebody wants to read it."""
        last, rest = self.script[self.published - 1], self.script[self.published :]
        parked = last == self.store[-1] and (not rest or split_event_id(rest[0].id)[0] > split_event_id(last.id)[0])
        self.log.begin_after(row(self.store, RunStatus.AWAITING_INPUT if parked else RunStatus.RUNNING))

    def attach(self) -> None:
        if self.forgotten and not len(self.log):
            self.stand_in()
        known = [None, *(event.id for event in self.script[: self.published])]
        cursor = self.data.draw(st.sampled_from(known) | st.integers(-2, event_id(3, 40)) | st.just("x"), "cursor")
        reader = Reader(self.log, cursor)
        goal = reader.goal
        behind = self.store if self.replayable else self.log.kept_after(0)
        returning = sum(reader.last < event.id <= goal for event in behind) if reader.counts else 0
        start = reader.last if reader.resume.how in ("resumed", "evicted") else 0
        self.readers.append((start, reader, [reader.cursor(returning)]))
        note(f"cursor {reader.resume.how}")

    def step(self, index: int) -> None:
        """One fetch of one reader; the run may go on between asking and getting."""
        _, reader, items = self.readers[index]
        last, goal = reader.last, reader.goal
        if reader.ended:
            return
        if last < goal:
            behind = self.store if self.replayable else self.log.kept_after(last)
            found, through = read(behind, last, goal, self.data.draw(st.integers(1, 9), "page"))
            self.publish(4)
            items += reader.recall(found, through)
        else:
            items += reader.take(self.data.draw(st.integers(1, 5), "limit"))
            self.publish(4)

    def drain(self) -> None:
        self.hand_over(len(self.script))
        for index, (_, reader, _) in enumerate(self.readers):
            while not reader.ended and reader.last < max(reader.goal, self.log.tail):
                self.step(index)

    def check(self, start: int, items: list[StreamItem]) -> None:
        given_ids = [item.id for item in items[1:] if not isinstance(item, Gap)]  # type: ignore[union-attr]
        missed = [item.missed for item in items if isinstance(item, Cursor | Gap)]
        assert given_ids == sorted(set(given_ids)), "ids rise, and nothing comes twice"
        assert all(number > start for number in given_ids)
        durable = [event.id for event in self.script if event.durable and event.id > start]
        assert set(durable) <= set(given_ids), "no durable event is ever missing"
        assert isinstance(items[0], Cursor)
        assert all(item.missed is None or item.missed > 0 for item in items[1:] if isinstance(item, Gap))
        known = sum(count for count in missed if count is not None)
        there = self.ids_after(start)
        assert len(given_ids) + known <= there
        if not self.forgotten and split_event_id(start)[0] == split_event_id(self.script[-1].id)[0]:
            assert None not in missed, "inside an epoch the count is exact"
        if None not in missed:
            assert len(given_ids) + known == there, "what is missing was counted"
            note("everything counted")

    def ids_after(self, start: int) -> int:
        """How many ids the run used after this one: holes are used too."""
        numbers = [event.id for event in self.script]
        last_of = {split_event_id(number)[0]: split_event_id(number)[1] for number in numbers}
        epoch, counter = split_event_id(start)
        return sum(last for e, last in last_of.items() if e > epoch) + max(0, last_of.get(epoch, 0) - counter)


@pytest.mark.parametrize("replayable", [True, False])
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_reader_gets_everything_after_its_cursor_but_what_was_counted(replayable, data):
    """SEMANTICS 8.1, 8.2, 8.5 and 3 D4, for any order of publishing, reading, losing the log and joining."""
    model = Model(data, replayable=replayable)
    moves = st.sampled_from(["publish", "publish", "attach", "step", "step", "step", "forget"])
    for move in ["attach", *data.draw(st.lists(moves, max_size=25), "moves")]:
        if move == "publish":
            model.publish(8)
        elif move == "attach":
            model.attach()
        elif move == "forget" and model.published:
            model.forget()
        elif model.readers:
            model.step(data.draw(st.integers(0, len(model.readers) - 1), "reader"))
    model.drain()
    for start, _, items in model.readers:
        model.check(start, items)
