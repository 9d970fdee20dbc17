"""Many worlds in a row; the first that goes wrong is made smaller, and told with the command that repeats it."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from ._inventing import invent
from ._scenario import Scenario
from ._shrinking import Kept, keep, shrink, words
from ._simulation import Simulation, simulate

Make: TypeAlias = Callable[[int], Scenario]

_SHOWN: Final = 40
"""Lines of a trace that a message has."""


class PromiseBroken(AssertionError):
    """A simulated world went wrong; the message has the command that repeats it."""

    def __init__(self, simulation: Simulation, command: str) -> None:
        self.seed: Final = simulation.seed
        self.problems: Final = tuple(simulation.problems)
        self.command: Final = command
        """What repeats it, on a command line."""
        self.simulation: Final = simulation
        """The smallest world that was found to go wrong in the same way."""
        lines = simulation.trace.lines
        left_out = [f"... ({len(lines) - _SHOWN} lines before)"] if len(lines) > _SHOWN else []
        said = [f"seed {self.seed}: {'; '.join(self.problems)}", f"repeat it with: {command}"]
        super().__init__("\n".join([*said, *left_out, *lines[-_SHOWN:]]))


def sweep(make: Make, seeds: Iterable[int]) -> int:
    """Simulate the world of each seed, and return how many there were.

    Args:
        make: the world of a seed: `invent`, or a function of your own that takes a number.
        seeds: numbers.

    Raises:
        PromiseBroken: one went wrong; what it does not need to go wrong has been left out.
    """
    count = 0
    for seed in seeds:
        simulation = simulate(make(seed), seed)
        if simulation.problems:
            raise _smaller(make, simulation) from simulation.error
        count += 1
    return count


def _smaller(make: Make, found: Simulation) -> PromiseBroken:
    seed = found.seed
    kept = shrink(found.scenario, lambda scenario: bool(simulate(scenario, seed).problems))
    return PromiseBroken(simulate(keep(found.scenario, kept), seed), command_for(make, seed, kept))


def command_for(make: Make, seed: int, kept: Kept) -> str:
    """What repeats a world on a command line, or in a program where the function has no name that could be imported."""
    name = getattr(make, "__qualname__", "<?>")
    if "<" in name:
        return f"simulate(make({seed}), {seed})  # in a program: a function at the top of a module has a command"
    where = "" if make is invent else f" --world {make.__module__}:{name}"
    parts = "".join(f" {part}={words(numbers)}" for part, numbers in kept.items())
    return f"python -m terzetto.testing {seed}{where}{parts and ' --keep'}{parts}"
