"""`terzetto.testing._simulated_luck`: what calls of a store meet, by seed and by the time of the trouble."""

from collections import Counter
from random import Random

from terzetto.testing import Trouble
from terzetto.testing._simulated_luck import Weather


def drawn(now: float, *troubles: Trouble, count: int = 400, writes: bool = True, latency: float = 0.5, seed: int = 0):
    weather = Weather(Random(seed), lambda: now, latency, troubles)
    return [weather.next(writes=writes) for _ in range(count)]


def test_in_good_weather_a_call_takes_time_and_nothing_fails():
    met = drawn(1.0)
    assert {""} == {luck.fate for luck in met}
    assert {True, False} == {luck.early for luck in met}, "who dies meanwhile has done it or not"
    assert 0.0 < min(luck.delay for luck in met) < max(luck.delay for luck in met) <= 0.5
    half = sum(luck.delay == 0.0 for luck in drawn(1.0, writes=False))
    assert 150 < half < 250, "some reads find what they want at once"
    assert {0.0} == {luck.delay for luck in drawn(1.0, latency=0.0)}


def test_trouble_begins_and_ends():
    trouble = Trouble(at=2.0, seconds=3.0, fails=1.0)
    fates = {now: drawn(now, trouble, count=1)[0].fate for now in (1.9, 2.0, 4.9, 5.0)}

    assert {1.9: "", 2.0: "fails", 4.9: "fails", 5.0: ""} == fates


def test_each_number_is_a_share_of_the_calls():
    trouble = Trouble(at=0.0, seconds=10.0, fails=0.2, loses=0.3, hangs=0.1, slow=4.0)
    met = drawn(4.0, trouble, count=2000)
    shares = {fate: round(count / 2000, 1) for fate, count in Counter(luck.fate for luck in met).items()}

    assert {"fails": 0.2, "is lost": 0.3, "hangs": 0.1, "": 0.4} == shares
    assert {6.0} == {luck.delay for luck in met if luck.fate == "hangs"}, "until the trouble is over"
    assert not any(luck.early for luck in met if luck.fate == "fails"), "nothing happened"
    assert {True, False} == {luck.early for luck in met if luck.fate == "is lost"}
    assert 3.5 < max(luck.delay for luck in met if not luck.fate) <= 4.5


def test_the_same_seed_has_the_same_luck():
    trouble = Trouble(at=0.0, seconds=10.0, fails=0.3)
    assert drawn(1.0, trouble) == drawn(1.0, trouble)
    assert drawn(1.0, trouble) != drawn(1.0, trouble, seed=1)
