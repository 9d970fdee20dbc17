"""`terzetto_protocol.event_log`: the window of a run's events, and what a cursor means in it."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import Raw, structs

from terzetto_protocol.errors import IllegalTransition, Refused
from terzetto_protocol.event_log import KEPT_EVENTS, EventLog, Resume, distance
from terzetto_protocol.events import BarrierOpened, Event, NodeFinished, NodeStarted, RunEnded, TextChunk
from terzetto_protocol.ids import LAST_EVENT_ID, event_id, split_event_id
from terzetto_protocol.limits import EVENT_WINDOW, EVENT_WINDOW_BYTES
from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import RunStatus, StreamStatus
from terzetto_protocol.stepped import Stepped


def chunk(number: int, text: str = "x") -> TextChunk:
    return TextChunk(id=number, run_id="r", at=0.0, node="n", visit=1, text=text)


def done(number: int) -> NodeFinished:
    return NodeFinished(id=number, run_id="r", at=0.0, node="n", visit=1, seq=1, mutations=0)


def ended(number: int, status: RunStatus = RunStatus.SUCCEEDED) -> RunEnded:
    return RunEnded(id=number, run_id="r", at=0.0, status=status)


def row(event: int, status: RunStatus) -> RunRow:
    header = RunHeader("r", "g", "1", "", "", 0.0)
    return RunRow(header=header, status=status, epoch=split_event_id(event)[0], seq=1, event_id=event, updated=0.0)


def fill(log: EventLog, *events: Event) -> EventLog:
    for event in events:
        log.append(event)
    return log


def ids(log: EventLog) -> list[int]:
    return [event.id for event in log.after(0, 10_000)]


def test_the_window_keeps_the_last_events_and_a_quarter_more_at_most():
    """SEMANTICS 8.1: per run a window in memory (256 events by default)."""
    log, seen = EventLog(), 5000
    sizes = [len(fill(log, done(number))) for number in range(1, seen + 1)]

    assert max(sizes) == EVENT_WINDOW * 5 // 4
    assert min(sizes[EVENT_WINDOW:]) >= EVENT_WINDOW
    assert ids(log) == list(range(seen - len(log) + 1, seen + 1))
    assert log.floor == seen - len(log) == log.evicted
    assert log.dropped == 0


def test_the_window_is_bounded_in_bytes_too():
    """SEMANTICS 8.1: 10 MiB by default, whatever the events are."""
    log, mib = EventLog(), "x" * (1 << 20)
    for number in range(1, 101):
        log.append(chunk(number, mib))
        assert len(log) == min(number, EVENT_WINDOW_BYTES >> 20), "no more leave than have to"
    assert ids(log) == list(range(91, 101))
    assert log.dropped == 90

    barrier = BarrierOpened(id=101, run_id="r", at=0.0, barrier="b@1", name="b", payload=Raw(b"x" * EVENT_WINDOW_BYTES))
    log.append(barrier)
    assert ids(log) == [101]


def test_one_event_stays_however_large_it_is():
    log = fill(EventLog(window_bytes=10), chunk(1, "a"), chunk(2, "b" * 11))

    assert ids(log) == [2]
    assert ids(fill(log, chunk(3, "c"))) == [3]


def test_small_chunks_do_not_add_up_to_an_eviction():
    """Bytes of events that have left do not count."""
    log = EventLog(window=8, window_bytes=100)
    for number in range(1, 1000):
        log.append(chunk(number, "x" * 10))

    assert len(log) >= 8


def test_a_flood_of_chunks_never_drops_what_cannot_be_read_back():
    """SEMANTICS 8.5: control events are never dropped by a flood of chunks."""
    log = EventLog(replayable=False)
    flood = [done(number) if number % 1000 == 0 else chunk(number) for number in range(1, 10_001)]
    fill(log, *flood, ended(10_001))

    kept = [event.id for event in log.kept_after(0)]
    durable = [number for number in range(1000, 10_001, 1000) if number <= log.floor]
    assert kept == durable
    assert [event.id for event in log.kept_after(3000)] == [number for number in durable if number > 3000]
    assert len(log) <= EVENT_WINDOW * 5 // 4


def test_kept_durable_events_have_a_bound_of_their_own():
    log = fill(EventLog(replayable=False, window=4), *map(done, range(1, KEPT_EVENTS + 101)))

    kept = log.kept_after(0)
    assert len(kept) == KEPT_EVENTS
    assert kept[-1].id == log.floor
    assert log.dropped == log.floor - KEPT_EVENTS


def test_with_a_store_behind_nothing_is_kept_twice():
    log = fill(EventLog(window=4), *map(done, range(1, 100)))

    assert log.kept_after(0) == []
    assert log.dropped == 0


@pytest.mark.parametrize(
    "status, stream",
    [
        (RunStatus.SUCCEEDED, StreamStatus.ENDED),
        (RunStatus.FAILED, StreamStatus.ERRORED),
        (RunStatus.CANCELLED, StreamStatus.CANCELLED),
    ],
)
def test_the_terminal_event_is_last_and_a_second_one_is_the_first(status, stream):
    """SEMANTICS 8.3: a second terminal returns the first id; publishing after it raises."""
    log = fill(EventLog(), done(1))
    assert log.status is StreamStatus.ACTIVE

    assert log.append(ended(2, status)) == 2
    assert log.append(ended(3, RunStatus.FAILED)) == 2
    assert log.append(ended(2, status)) == 2
    with pytest.raises(IllegalTransition, match=r"'r'.*stream.*ACTIVE.*event 3 .*terminal event 2") as refused:
        log.append(chunk(3))
    assert (refused.value.source, refused.value.target) == (stream, StreamStatus.ACTIVE)
    assert (ids(log), log.terminal, log.status) == ([1, 2], 2, stream)


def test_the_terminal_event_is_kept_in_the_smallest_window():
    """SEMANTICS 8.3: always kept, always last."""
    log = fill(EventLog(window=1, window_bytes=1), chunk(1, "long"), chunk(2, "longer"), ended(3))

    assert ids(log) == [3]
    assert log.resolve(3) == Resume("resumed", 3, 0, None)


@pytest.mark.parametrize("number", [0, -1, 4, 5])
def test_ids_rise_from_one(number):
    """SEMANTICS 3, D4: ids rise strictly."""
    log = fill(EventLog(), chunk(4), chunk(5))
    with pytest.raises(Refused, match=rf"'r'.*event {number} cannot follow event 5"):
        log.append(chunk(number))
    assert ids(log) == [4, 5]

    with pytest.raises(Refused):
        EventLog().append(chunk(min(number, 0)))


def test_a_hole_inside_an_epoch_stays_in_the_window():
    """Chunks that waited too long for a commit are lost before they get here; what was there stays."""
    log = fill(EventLog(), done(1), chunk(5))

    assert (ids(log), log.floor) == ([1, 5], 0)


def test_a_skipped_epoch_was_somebody_elses():
    """What this process has not seen is not in the window, and neither is what came before."""
    log = fill(EventLog(), done(event_id(1, 9)), done(event_id(2, 1)))
    assert len(log) == 2

    log.append(done(event_id(4, 1)))
    assert (ids(log), log.floor) == ([event_id(4, 1)], event_id(4, 0))


def test_an_epoch_that_told_nothing_is_no_hole():
    """SEMANTICS 8.2: a Gap is what is missing; a run that came to rest in an epoch tells nothing more in that."""
    log = fill(EventLog(), done(event_id(1, 1)))
    log.rest(2)
    log.rest(3)
    log.append(done(event_id(4, 1)))
    assert (len(log), log.floor) == (2, event_id(1, 0))

    log.rest(6)  # somebody else had the fifth
    log.append(done(event_id(7, 1)))
    assert (len(log), log.floor) == (1, event_id(7, 0))


def test_a_row_knows_of_epochs_that_told_nothing():
    log = EventLog()
    log.begin_after(structs.replace(row(event_id(1, 9), RunStatus.AWAITING_INPUT), epoch=3))
    for epoch in (3, 4):
        log.append(done(event_id(epoch, 1)))

    assert (len(log), log.floor) == (2, event_id(1, 9))


def test_what_follows_a_row_is_bounded_in_bytes():
    """SEMANTICS 8.1: per run a window in memory."""
    log = EventLog(window_bytes=10)
    log.begin_after(row(event_id(1, 9), RunStatus.AWAITING_INPUT))
    fill(log, done(event_id(2, 1)), chunk(event_id(2, 2), "x" * 6), chunk(event_id(2, 3), "y" * 6))

    assert ids(log) == [event_id(2, 3)]


def test_a_log_that_begins_in_the_middle_says_so():
    log = fill(EventLog(), done(event_id(1, 7)))

    assert log.resolve(None) == Resume("fresh", event_id(1, 6), None, 0)
    assert log.resolve(event_id(1, 4)) == Resume("evicted", event_id(1, 6), 2, event_id(1, 4))


FLOOR = event_id(1, 93)


@pytest.fixture
def window() -> EventLog:
    """Three events of epoch 0, a hundred of epoch 1, of which 94..100 are still there, and one of epoch 2."""
    log = fill(EventLog(window=8), *map(done, range(1, 4)))
    fill(log, *[chunk(event_id(1, number)) for number in range(1, 101)])
    log.append(done(event_id(2, 0)))
    assert log.floor == FLOOR
    return log


@pytest.mark.parametrize(
    "cursor, how, position, missed, replay_after",
    [
        (None, "fresh", FLOOR, None, 0),
        (0, "fresh", FLOOR, None, 0),
        ("0", "fresh", FLOOR, None, 0),
        (event_id(1, 95), "resumed", event_id(1, 95), 0, None),
        (str(event_id(1, 95)), "resumed", event_id(1, 95), 0, None),
        (FLOOR, "resumed", FLOOR, 0, None),
        (event_id(1, 92), "evicted", FLOOR, 1, event_id(1, 92)),
        (event_id(1, 1), "evicted", FLOOR, 92, event_id(1, 1)),
        (2, "evicted", FLOOR, None, 2),
        (event_id(2, 0), "resumed", event_id(2, 0), 0, None),
        (event_id(1, 101), "unknown", FLOOR, None, 0),
        (event_id(2, 1), "unknown", FLOOR, None, 0),
        (LAST_EVENT_ID, "unknown", FLOOR, None, 0),
        (LAST_EVENT_ID + 1, "invalid", FLOOR, None, 0),
        (-1, "invalid", FLOOR, None, 0),
        *(
            (text, "invalid", FLOOR, None, 0)
            for text in ("", "x", "1.0", "-1", "+1", " 1", "1_0", "٣", "9" * 17, "9" * 5000)
        ),
    ],
)
def test_how_a_cursor_is_resolved(window, cursor, how, position, missed, replay_after):
    """SEMANTICS 8.2: fresh, resumed, evicted (the count is exact inside an epoch, else unknown), invalid, unknown."""
    assert window.resolve(cursor) == Resume(how, position, missed, replay_after)


def test_a_whole_log_needs_no_store():
    log = fill(EventLog(), *map(done, range(1, 10)))

    assert log.resolve(None) == Resume("fresh", 0, 0, None)
    assert log.resolve("x") == Resume("invalid", 0, 0, None)
    assert log.resolve(10) == Resume("unknown", 0, 0, None)


@given(number=st.integers(1, 300), window=st.integers(1, 40), events=st.integers(1, 300))
def test_a_count_inside_an_epoch_is_exact(number, window, events):
    """SEMANTICS 8.2: evicted with the gap count, exact inside an epoch."""
    log = fill(EventLog(window=window), *[chunk(event_id(1, n)) for n in range(1, events + 1)])
    resume = log.resolve(event_id(1, number))

    if number > events:
        assert resume.how == "unknown"
    else:
        assert resume.missed == events - number - len(log.after(max(event_id(1, number), log.floor), 1000))
        assert resume.how == ("evicted" if resume.missed else "resumed")


def test_a_row_stands_in_for_a_run_that_is_not_in_memory():
    """SEMANTICS 8.1: durable events older than the window are read from the store."""
    log = EventLog()
    log.begin_after(row(event_id(1, 20), RunStatus.AWAITING_INPUT))

    assert log.resolve(None) == Resume("fresh", event_id(1, 20), None, 0)
    assert log.resolve(event_id(1, 20)) == Resume("resumed", event_id(1, 20), 0, None)
    assert log.resolve(event_id(1, 18)) == Resume("evicted", event_id(1, 20), 2, event_id(1, 18))
    assert log.resolve(event_id(1, 21)) == Resume("unknown", event_id(1, 20), None, 0)
    assert fill(log, done(event_id(1, 21))).floor == event_id(1, 20)


def test_a_run_that_died_may_have_shown_more_than_its_row_knows():
    """SEMANTICS 7: event published, then the process dies: the reader resumes from its id."""
    log = EventLog()
    log.begin_after(row(event_id(1, 20), RunStatus.RUNNING))

    assert log.resolve(event_id(1, 20)) == Resume("resumed", event_id(1, 20), None, None)
    assert log.resolve(event_id(1, 25)) == Resume("resumed", event_id(1, 25), None, None)
    assert log.resolve(event_id(2, 0)).how == "unknown"
    assert log.resolve(event_id(1, 18)) == Resume("evicted", event_id(1, 20), None, event_id(1, 18))


def test_a_row_that_is_ahead_of_the_events_is_overtaken():
    """The row is durable before its events are published; then they are taken as they come."""
    log = EventLog()
    log.begin_after(row(12, RunStatus.SUCCEEDED))
    assert (log.terminal, log.status) == (12, StreamStatus.ENDED)

    fill(log, done(10), done(11))
    assert (log.floor, log.terminal, log.status) == (9, None, StreamStatus.ACTIVE)
    assert log.append(ended(12)) == 12
    assert (ids(log), log.terminal) == ([10, 11, 12], 12)


def test_nothing_comes_after_a_row_that_has_ended():
    """SEMANTICS 8.3: publishing after the terminal event raises."""
    log = EventLog()
    log.begin_after(row(12, RunStatus.FAILED))
    with pytest.raises(IllegalTransition):
        log.append(done(13))


def test_what_nobody_can_read_back_is_counted():
    started = NodeStarted(id=1, run_id="r", at=0.0, node="n", visit=1, attempt=1)
    log = fill(EventLog(), started, done(2), chunk(3))

    assert log.volatile() == 2


def test_what_came_after_an_id_is_counted_as_far_as_it_is_known():
    log = fill(EventLog(window=4), *map(done, range(1, 10)))
    assert (4, 5) == (log.floor, len(log))

    assert [9, 6, 5, 4, 0, 0] == [log.count_after(number) for number in (0, 3, 4, 5, 9, 12)]
    later = EventLog()
    later.begin_after(row(event_id(2, 3), RunStatus.PAUSED))
    fill(later, done(event_id(2, 4)))
    assert [4, 1, 0] == [later.count_after(number) for number in (event_id(2, 0), event_id(2, 3), event_id(2, 4))]
    assert 1 == later.count_after(event_id(1, 7)), "nobody knows how many another epoch told"


def test_distance_knows_epochs():
    assert distance(event_id(1, 3), event_id(1, 3)) == 0
    assert distance(event_id(1, 3), event_id(1, 7)) == 4
    assert distance(event_id(1, 3), event_id(2, 7)) is None
    assert distance(event_id(2, 0) - 1, event_id(2, 7)) == 8, "from just before the first id of an epoch"
    assert distance(event_id(1, 3), event_id(2, 0) - 1) is None, "the end of an epoch is not an event"


def step(number: int) -> Stepped:
    return Stepped(number, "r", 1.0, "n", 1, number, 0, "m", 2, 1, 2.0)


def seen_of(log: EventLog, cursor: int) -> list[object]:
    """Everything that somebody can see of a log."""
    counts = [len(log), log.evicted, log.dropped, log.volatile(), log.count_after(cursor)]
    where = [log.floor, log.tail, log.before, log.terminal, log.status]
    return [*counts, *where, log.resolve(cursor), log.after(cursor, 3), log.after(0, 10_000), log.kept_after(cursor)]


LOOKS: dict[str, Callable[[EventLog, int], object]] = {
    "all": seen_of,
    "length": lambda log, _: len(log),
    "evicted": lambda log, _: log.evicted,
    "dropped": lambda log, _: log.dropped,
    "volatile": lambda log, _: log.volatile(),
    "count": lambda log, cursor: log.count_after(cursor),
    "floor": lambda log, _: log.floor,
    "tail": lambda log, _: log.tail,
    "before": lambda log, _: log.before,
    "place": lambda log, cursor: log.resolve(cursor),
    "window": lambda log, cursor: log.after(cursor, 3),
    "kept": lambda log, cursor: log.kept_after(cursor),
}


class Twins:
    """A log that takes steps, and one that takes each event of theirs."""

    def __init__(self, **options: Any) -> None:
        self.quick, self.plain = EventLog(**options), EventLog(**options)
        self.epoch, self.number = 1, 0

    def take(self, what: str) -> None:
        if what == "claim":
            self.epoch, self.number = self.epoch + 1, 0
        made = event_id(self.epoch, self.number + 1)
        if what == "step":
            self.step(step(made))
        else:
            event = {"chunk": chunk, "ended": ended}.get(what, done)(made)
            assert self.both(lambda log: log.append(event))
        self.number += 1 + (what == "step")

    def step(self, told: Stepped) -> None:
        said = [attempt(lambda: self.quick.append_step(told))]
        said.append(attempt(lambda: fill(self.plain, told.finished, told.started)))
        assert said[0] == said[1]

    def both(self, said: Callable[[EventLog], object]) -> bool:
        return attempt(lambda: said(self.quick)) == attempt(lambda: said(self.plain))

    def look(self, name: str, cursor: int) -> None:
        assert self.both(lambda log: LOOKS[name](log, cursor)), name


def attempt(said: Callable[[], object]) -> object:
    """What it said, or why it did not; a log that took something says nothing that matters."""
    try:
        made = said()
    except (Refused, IllegalTransition) as error:
        return str(error)
    return None if isinstance(made, EventLog) else made


@given(st.data(), st.booleans(), st.integers(1, 12), st.integers(1, 40))
def test_steps_leave_what_their_events_would(data, replayable, window, window_bytes):
    """Whatever else is told in between, whoever looks whenever, at whatever."""
    twins = Twins(replayable=replayable, window=window, window_bytes=window_bytes)
    told = st.sampled_from(["step"] * 6 + ["chunk", "done", "claim", "ended", *LOOKS])
    for what in data.draw(st.lists(told, max_size=60)):
        if what in LOOKS:
            twins.look(what, event_id(twins.epoch, data.draw(st.integers(0, 80), "cursor")))
        else:
            for _ in range(data.draw(st.integers(1, 20), "times") if what == "step" else 1):
                twins.take(what)
    twins.look("all", event_id(twins.epoch, twins.number // 2))


@pytest.mark.parametrize("number", [0, 4, 6, 9])
def test_a_step_that_does_not_follow_is_let_in_or_refused_like_its_events(number):
    twins = Twins(window=4)
    for what in ("done", "step", "step"):
        twins.take(what)
    twins.step(step(event_id(1, number)))
    twins.look("all", event_id(1, 3))


def test_events_of_steps_that_have_left_are_never_made(monkeypatch):
    """However many steps are told to nobody, no more stay than the window can hold."""
    log, made = fill(EventLog(), done(1)), []
    finished = Stepped.finished.fget
    monkeypatch.setattr(Stepped, "finished", property(lambda told: made.append(told.id) or finished(told)))
    for number in range(2, 20_002, 2):
        log.append_step(step(number))
        assert len(log._steps) <= EVENT_WINDOW * 5 // 4
    assert [] == made
    assert (20_001, 20_001) == (log.tail, log.evicted + len(log))
    assert EVENT_WINDOW <= len(log) <= EVENT_WINDOW * 5 // 4
    assert len(made) <= EVENT_WINDOW * 5 // 8 + 1
