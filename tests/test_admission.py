"""`terzetto_protocol.admission`: who gets a slot, and who may wait (SEMANTICS 10)."""

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from terzetto_protocol.admission import Admission
from terzetto_protocol.errors import QueueFull


def arrive(admission: Admission, *runs: str) -> None:
    for run in runs:
        admission.promise()
        admission.keep_promise()
        admission.enqueue(run, returning=False)


def given_slots(admission: Admission) -> list[str]:
    return list(iter(admission.next, None))


def test_slots_are_given_in_order_of_arrival():
    admission = Admission(2, 10)
    arrive(admission, "a", "b", "c", "d")

    assert ["a", "b"] == given_slots(admission)
    assert 2 == admission.waiting
    admission.leave("a")
    assert ["c"] == given_slots(admission)


def test_decided_runs_go_before_new_ones():
    """2: AWAITING_INPUT -> QUEUED: decided, waits for a slot, goes before new work."""
    admission = Admission(1, 10)
    arrive(admission, "running", "new-1", "new-2")
    assert ["running"] == given_slots(admission)
    admission.enqueue("decided-1", returning=True)
    admission.enqueue("decided-2", returning=True)

    order = []
    for _ in range(5):
        (holder,) = admission.holders
        order.append(holder)
        admission.leave(holder)
        admission.next()

    assert ["running", "decided-1", "decided-2", "new-1", "new-2"] == order
    assert not admission.holders


def test_a_full_queue_refuses_with_a_time_to_come_back():
    """10: overload = typed `QueueFull` with retry-after."""
    admission = Admission(1, 2)
    arrive(admission, "a")
    given_slots(admission)
    arrive(admission, "b", "c")

    with pytest.raises(QueueFull) as caught:
        admission.promise()
    assert 2 == caught.value.waiting
    assert caught.value.retry_after > 0


def test_promises_count():
    """Many submits on their way to the store are bounded together."""
    admission = Admission(1, 2)
    for _ in range(3):
        admission.promise()
    with pytest.raises(QueueFull):
        admission.promise()

    admission.keep_promise()
    admission.promise()


def test_who_leaves_makes_room():
    """A cancelled run that waited takes no place in the queue any more."""
    admission = Admission(1, 2)
    arrive(admission, "a")
    given_slots(admission)
    arrive(admission, "b", "c")
    admission.leave("b")
    admission.leave("c")

    arrive(admission, "d", "e")
    with pytest.raises(QueueFull):
        admission.promise()
    assert 2 == admission.waiting


def test_who_leaves_and_comes_again_is_last():
    admission = Admission(1, 10)
    arrive(admission, "a", "b", "c")
    assert ["a"] == given_slots(admission)
    admission.leave("b")
    arrive(admission, "b")

    admission.leave("a")
    assert ["c"] == given_slots(admission)


def test_returning_runs_are_never_refused():
    """10: nothing accepted is ever lost: a queue without room takes what was accepted before."""
    admission = Admission(1, 1)
    arrive(admission, "a")
    given_slots(admission)
    for number in range(5):
        admission.enqueue(f"decided-{number}", returning=True)

    assert 5 == admission.waiting
    arrive(admission, "new")  # and they take no new run's place
    with pytest.raises(QueueFull):
        admission.promise()


def test_nobody_waits_twice():
    admission = Admission(1, 10)
    arrive(admission, "a")
    admission.enqueue("a", returning=True)
    assert ["a"] == given_slots(admission)
    admission.enqueue("a", returning=True)

    assert 0 == admission.waiting
    admission.leave("a")
    assert admission.next() is None


def test_the_pool_changes_live():
    """10: pool size (changeable live)."""
    admission = Admission(1, 10)
    arrive(admission, "a", "b", "c")
    assert ["a"] == given_slots(admission)
    admission.pool_size = 2
    assert ["b"] == given_slots(admission)
    admission.pool_size = 1
    admission.leave("a")
    assert [] == given_slots(admission)
    admission.leave("b")
    assert ["c"] == given_slots(admission)


def test_free_means_that_nobody_is_passed():
    admission = Admission(2, 10)
    assert admission.free
    arrive(admission, "a")
    assert not admission.free, "who comes now would pass one who waits"
    given_slots(admission)
    assert admission.free
    admission.take("b")
    assert not admission.free


def test_forgetting_forgets_everybody():
    admission = Admission(1, 1)
    arrive(admission, "a")
    given_slots(admission)
    admission.promise()
    admission.clear()

    assert (0, set(), True) == (admission.waiting, admission.holders, admission.free)
    admission.promise()
    admission.promise()


class Anybody(RuleBasedStateMachine):
    """Against the plainest model: two lists and a set."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(2, 3)
        self.new: list[int] = []
        self.returning: list[int] = []
        self.holders: set[int] = set()
        self.number = 0

    @rule()
    def submit(self):
        room = max(0, self.admission.pool_size - len(self.holders)) + 3 - len(self.new)
        if room <= 0:
            with pytest.raises(QueueFull):
                self.admission.promise()
            return
        self.number += 1
        arrive(self.admission, self.number)
        self.new.append(self.number)

    @rule(size=st.integers(1, 4))
    def resize(self, size):
        self.admission.pool_size = size

    @rule()
    def fill(self):
        while len(self.holders) < self.admission.pool_size and (self.returning or self.new):
            run = (self.returning or self.new).pop(0)
            self.holders.add(run)
            assert run == self.admission.next()
        assert self.admission.next() is None

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), again=st.booleans())
    def rest(self, data, again):
        run = data.draw(st.sampled_from(sorted(self.holders)))
        self.holders.discard(run)
        self.admission.leave(run)
        if again:
            self.admission.enqueue(run, returning=True)
            self.returning.append(run)

    @precondition(lambda self: self.new or self.returning)
    @rule(data=st.data(), takes=st.booleans())
    def pick(self, data, takes):
        run = data.draw(st.sampled_from(self.new + self.returning))
        (self.new if run in self.new else self.returning).remove(run)
        if takes:
            self.admission.take(run)
            self.holders.add(run)
        else:
            self.admission.leave(run)

    @invariant()
    def agrees(self):
        assert self.holders == self.admission.holders
        assert len(self.new) + len(self.returning) == self.admission.waiting


TestAnybody = Anybody.TestCase
TestAnybody.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
