"""The order of Trio's tasks from a seed; the canary for what Trio keeps to itself."""

import random

import pytest
import trio
import trio._core._run

from terzetto.testing._scheduling import seeded_schedule


def order(seed: int) -> tuple[int, ...]:
    """In which order ten tasks that are always ready run."""
    ran = []

    async def task(number: int) -> None:
        for _ in range(3):
            ran.append(number)
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(task, number)

    with seeded_schedule(seed):
        trio.run(main)
    return tuple(ran)


def test_canary_the_seed_is_all_that_decides():
    """Fails when Trio's scheduler is not what we know any more: then `_scheduling.py` has to follow."""
    orders = {seed: order(seed) for seed in range(20)}

    assert len(set(orders.values())) == 20
    assert orders == {seed: order(seed) for seed in reversed(range(20))}


def test_trio_is_left_as_it_was():
    switch, state = trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING, trio._core._run._r.getstate()
    with pytest.raises(KeyError), seeded_schedule(1):
        assert trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING is True
        raise KeyError

    assert switch is trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING
    assert state == trio._core._run._r.getstate()


@pytest.mark.parametrize("name", ["_ALLOW_DETERMINISTIC_SCHEDULING", "_r"])
def test_another_trio_is_told_loudly(monkeypatch, name):
    monkeypatch.delattr(trio._core._run, name)
    with pytest.raises(RuntimeError, match=rf"trio {trio.__version__} has no .*{name}"):
        order(1)


def test_dice_of_another_kind_are_told_loudly(monkeypatch):
    monkeypatch.setattr(trio._core._run, "_r", random.SystemRandom())
    with pytest.raises(RuntimeError, match="any more"):
        order(1)
