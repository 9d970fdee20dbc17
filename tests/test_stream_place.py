"""`terzetto_protocol.stream_place`: what a reader is given when its connection was cut, case by case.

That it adds up over any cuts is a law of `test_client_session`.
"""

from terzetto_protocol.events import Cursor, Gap, Heartbeat, NodeFinished, RunEnded
from terzetto_protocol.ids import event_id
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.stream_place import StreamPlace


def done(*numbers):
    return [NodeFinished(id=n, run_id="r", at=0.0, node="n", visit=1, seq=1, mutations=0) for n in numbers]


def begun(missed=0, *numbers, after=None):
    place = StreamPlace(after)
    assert [Cursor("evicted", missed), *done(*numbers)] == place.take([Cursor("evicted", missed), *done(*numbers)])
    return place


def test_the_first_cursor_is_given_and_no_other_that_misses_nothing():
    place = begun(0, 1, 2)

    assert [] == place.take([Cursor("resumed")])
    assert done(3) == place.take(done(3))
    assert 3 == place.last_event_id


def test_an_event_that_was_given_is_not_given_again():
    place = begun(0, 4, 5)

    assert done(6) == place.take([Cursor("evicted"), *done(3, 4, 5, 6)])


def test_what_is_missing_beyond_what_was_told_is_a_gap():
    place = begun(5, 4, after=1)  # two of the five are behind us

    assert [Gap(4, 2), *done(10)] == place.take([Cursor("evicted", 5), *done(10)])
    assert [] == place.take([Cursor("evicted", 0)])


def test_what_was_told_and_lies_ahead_is_not_told_again():
    place = begun(5, after=1)

    assert [] == place.take([Cursor("evicted", 5)])
    assert [Gap(1, 1)] == place.take([Cursor("evicted", 6)])


def test_a_gap_is_told_once_although_the_cut_is_in_front_of_the_next_event():
    place = begun(0, 1)
    assert [Gap(1, 3)] == place.take([Gap(1, 3)])

    assert [] == place.take([Cursor("evicted", 3)])
    assert done(3) == place.take(done(3))  # one of them is behind us
    assert [] == place.take([Cursor("evicted", 2)])
    assert [Gap(3, 1)] == place.take([Cursor("evicted", 3)])


def test_what_nobody_can_count_is_told_once_where_it_is():
    place = begun(0, 1)

    assert [Gap(1, None)] == place.take([Cursor("resumed", None)])
    assert [] == place.take([Cursor("evicted", None)]) + place.take([Cursor("evicted", 7)])
    assert done(2) == place.take(done(2))
    assert [Gap(2, None)] == place.take([Cursor("evicted", None)])


def test_what_nobody_could_count_in_the_first_place_is_not_told_again():
    place = begun(None)

    assert [] == place.take([Cursor("evicted", None)])


def test_an_unknown_gap_covers_a_cut_behind_it():
    place = begun(0, 1)

    assert [Gap(1, None)] == place.take([Gap(1, None)])
    assert [] == place.take([Cursor("evicted", None)])


def test_another_epoch_leaves_all_that_was_missing_behind():
    place = begun(5, 1)
    place.take(done(event_id(1, 1)))

    assert [Gap(event_id(1, 1), 2)] == place.take([Cursor("evicted", 2)])


def test_a_server_that_does_not_know_the_run_any_more_begins_anew():
    place = begun(0, 7, 8)

    for how in ("unknown", "invalid"):
        assert [Cursor(how), *done(1, 2)] == place.take([Cursor(how), *done(1, 2)])
        assert 2 == place.last_event_id


def test_the_last_event_ends_it():
    place = begun(0, 1)
    assert [Heartbeat()] == place.take([Heartbeat()])
    assert not place.ended

    place.take([RunEnded(id=2, run_id="r", at=0.0, status=RunStatus.SUCCEEDED)])
    assert place.ended


def test_who_has_seen_nothing_asks_for_everything():
    assert None is StreamPlace().last_event_id
    assert 5 == StreamPlace(5).last_event_id
    assert done(6) == StreamPlace(5).take(done(5, 6))
