"""Sweeps of users' own worlds, and the command line that repeats what they find."""

import sys
from collections.abc import Iterable

import pytest
from attrs import evolve

from terzetto.testing import Crash, Person, PromiseBroken, Restart, Scenario, Simulation, Submission, World, sweep
from terzetto.testing.__main__ import main

from .runtimes import Tally, chain, says


def graphs(world: World):
    async def work(ctx):
        world.effect(ctx, what="working")

    return [chain(work, "gate", says("last"), name="own")]


def no_crash(simulation: Simulation) -> Iterable[str]:
    if any("was killed" in line for line in simulation.trace.lines):
        yield "somebody was killed"


def own(seed: int) -> Scenario:
    """A world that goes wrong, by its own words, when its seed is 3."""
    faults = (Restart(1.0), Crash(3.0)) if seed == 3 else (Restart(1.0),)
    return Scenario(graphs, (Submission("own", Tally(), "r"),), people=(Person("ann"),), faults=faults, check=no_crash)


def test_worlds_of_ones_own():
    assert sweep(own, range(3)) == 3
    with pytest.raises(PromiseBroken) as found:
        sweep(own, range(9))
    broken = found.value

    assert (broken.seed, broken.problems) == (3, ("somebody was killed",))
    assert broken.command == f"python -m terzetto.testing 3 --world {__name__}:own --keep faults=1 people="
    assert "repeat it with: python -m" in str(broken)
    assert str(broken).splitlines()[-1] == "!! somebody was killed"


def test_the_state_that_is_left_can_be_looked_at():
    def looks(simulation: Simulation) -> Iterable[str]:
        yield from simulation.states["r"].trail

    with pytest.raises(PromiseBroken, match="seed 0: last"):
        sweep(lambda seed: evolve(own(seed), check=looks), [0])


def test_what_has_no_name_is_repeated_in_a_program():
    with pytest.raises(PromiseBroken, match=r"repeat it with: simulate\(make\(3\), 3\)  # in a program"):
        sweep(lambda seed: evolve(own(seed)), [3])


def test_whatever_is_raised_is_found_with_its_traceback():
    def breaks(simulation: Simulation) -> Iterable[str]:
        raise KeyError("oh")

    with pytest.raises(PromiseBroken, match="something was raised that nobody caught: KeyError: 'oh'") as found:
        sweep(lambda seed: evolve(own(seed), check=breaks), [0])
    assert isinstance(found.value.__cause__, KeyError)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with a module that has a world, which is the current folder."""
    (tmp_path / "worldly.py").write_text("from terzetto.testing import invent\nquiet = invent(1)\nmake = invent\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("worldly", None)


def test_the_command_line(world, capsys):
    assert main(["0-4"]) == 0
    assert capsys.readouterr().out == "5 worlds, and every promise was kept\n"
    assert main(["2", "--keep", "faults="]) == 0
    told = capsys.readouterr().out
    assert main(["2", "--world", "worldly:make", "--keep", "faults="]) == 0
    assert told == capsys.readouterr().out
    assert "p0.0" in told
    assert main(["7", "--world", "worldly:quiet"]) == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (["x"], "neither a seed nor a range"),
        (["1-"], "neither a seed nor a range"),
        (["1", "--keep", "nobody=1"], "PART=NUMBERS"),
        (["1", "--world", "nowhere:make"], "there is no world 'nowhere:make'"),
        (["1", "--world", "worldly:other"], "there is no world"),
        (["1", "--world", "worldly"], "there is no world"),
    ],
)
def test_wrong_words(world, capsys, words, said):
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_broken_promise_is_told(world, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "own_world", sys.modules[__name__])
    assert main(["0-9", "--world", "own_world:own"]) == 1
    assert "repeat it with: python -m terzetto.testing 3" in capsys.readouterr().out
    assert main(["3", "--world", "own_world:own", "--keep", "faults=1", "people="]) == 1
