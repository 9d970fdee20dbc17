"""The order in which Trio runs tasks, from a seed: the one place that touches what Trio keeps to itself."""

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import trio

_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"
_DICE: Final = "_r"
_ONE: Final = threading.Lock()


def _insides() -> Any:
    """Trio's scheduler; raises `RuntimeError` when it is not what we know."""
    run = getattr(getattr(trio, "_core", None), "_run", None)
    if type(getattr(run, _SWITCH, None)) is not bool or type(getattr(run, _DICE, None)) is not random.Random:
        raise RuntimeError(
            f"trio {trio.__version__} has no trio._core._run.{_SWITCH} and {_DICE} any more: "
            "terzetto.testing cannot order its tasks by a seed"
        )
    return run


@contextmanager
def seeded_schedule(seed: int) -> Generator[None]:
    """Tasks that are ready at the same time run in an order that the seed decides, as long as the block lasts.

    There is one scheduler's dice per process: another block waits for this one to end, and no other thread may be
    inside of `trio.run` meanwhile. Not a checkpoint; must not be entered inside of `trio.run`.
    """
    with _ONE:
        run = _insides()
        switch, dice = getattr(run, _SWITCH), getattr(run, _DICE)
        before = dice.getstate()
        dice.seed(seed)
        setattr(run, _SWITCH, True)
        try:
            yield
        finally:
            setattr(run, _SWITCH, switch)
            dice.setstate(before)
