"""`terzetto_protocol.open_barriers`: the index says what a look at every visit would say (SEMANTICS 6.4, 6.5)."""

from hypothesis import given, strategies as st

from terzetto_protocol.open_barriers import OpenBarriers
from terzetto_protocol.pending import Pending
from terzetto_protocol.records import Opening

deadlines = st.none() | st.integers(0, 9).map(float)
acts = st.lists(st.tuples(st.sampled_from(["open", "close"]), st.integers(1, 6), deadlines), max_size=40)


@given(acts, st.integers(0, 10).map(float))
def test_it_is_what_the_visits_say(history, now):
    index, visits = OpenBarriers(), dict[int, Pending]()
    for act, number, deadline in history:
        entry = visits.get(number)
        if act == "open" and entry is None:
            entry = visits[number] = Pending(number, "gate", opening=Opening(deadline), asked=1)
            index.add_all(entry)
        elif act == "close" and entry is not None:
            index.drop_all(visits.pop(number))
    opened = {entry.barrier: entry.opening.deadline for entry in visits.values() if entry.opening is not None}
    assert list(opened) == list(index.by_id)
    assert min((each for each in opened.values() if each is not None), default=None) == index.next_moment
    assert [each for each, deadline in opened.items() if deadline is not None and deadline <= now] == index.due(now)
    assert (index.next_moment, list(opened)) == (index.next_moment, list(index.by_id))  # asking changes nothing


def test_a_barrier_that_opens_again_with_another_deadline():
    index, entry = OpenBarriers(), Pending(3, "gate", opening=Opening(5.0), asked=1)
    index.add_all(entry)
    index.drop("gate@3")
    index.add(entry, "gate@3", "gate", Opening(9.0))
    assert (9.0, []) == (index.next_moment, index.due(5.0))
