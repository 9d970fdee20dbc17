"""Smaller worlds, and the words that say what is left of one."""

import pytest

from terzetto.testing import Act, Crash, Restart, Scenario, Submission
from terzetto.testing._shrinking import keep, parse, shrink, words
from terzetto_protocol.commands import Cancel
from terzetto_protocol.errors import InvalidRequest

SCENARIO = Scenario(
    graphs=lambda world: (),
    submits=(Submission("g", None, "r1"), Submission("g", None, "r2")),
    acts=(Act(1.0, Cancel("c", "r1")),),
    faults=(Crash(1.0), Restart(2.0), Crash(3.0)),
)


def test_what_it_does_not_need_is_left_out():
    tried = []

    def fails(scenario: Scenario) -> bool:
        tried.append(scenario)
        return Restart(2.0) in scenario.faults and any(wish.run_id == "r2" for wish in scenario.submits)

    kept = shrink(SCENARIO, fails)

    assert {"faults": (1,), "acts": (), "submits": (1,)} == kept
    assert (keep(SCENARIO, kept).faults, keep(SCENARIO, kept).acts) == ((Restart(2.0),), ())
    assert len(tried) == 6
    assert {} == shrink(keep(SCENARIO, kept), fails)


def test_a_run_is_left():
    assert {"faults": (), "acts": (), "submits": (0,)} == shrink(SCENARIO, lambda scenario: True)


def test_words_and_back():
    assert ("faults", (0, 2)) == parse("faults=" + words((0, 2)))
    assert ("acts", ()) == parse("acts=")


@pytest.mark.parametrize("word", ["faults", "fault=1", "faults=x", "faults=1;2", "=1"])
def test_wrong_words(word):
    with pytest.raises(InvalidRequest, match="PART=NUMBERS"):
        parse(word)


def test_what_is_not_there_cannot_be_kept():
    with pytest.raises(InvalidRequest, match="this world has 3 faults"):
        keep(SCENARIO, {"faults": (3,)})
