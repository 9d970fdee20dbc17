"""Chance: where ids and jitter come from, so that a simulation can have all of it from one seed."""

import random
from os import urandom
from typing import Final

import trio.lowlevel

_DICE: Final = trio.lowlevel.RunVar[random.Random | None]("_DICE", None)


def load_dice(dice: random.Random) -> None:
    """Take everything from these dice until the end of this `trio.run`. Not a checkpoint."""
    _DICE.set(dice)


def new_id() -> str:
    """32 hexadecimal digits that nobody else has. Must be called inside `trio.run`."""
    dice = _DICE.get()
    return urandom(16).hex() if dice is None else f"{dice.getrandbits(128):032x}"


def chance() -> float:
    """A random number, from 0 and below 1. Must be called inside `trio.run`."""
    dice = _DICE.get()
    return random.random() if dice is None else dice.random()  # noqa: S311 - jitter is no secret
