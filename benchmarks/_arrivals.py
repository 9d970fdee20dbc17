"""Tells when everybody has come: for sleepers that are to be cancelled, ours, raw ones and those of peers."""

import trio
from attrs import frozen


@frozen
class Arrivals:
    """Sleepers say here that they are about to sleep."""

    expected: int
    here: list[int]
    all_here: trio.Event

    def arrive(self) -> None:
        """Be one more."""
        self.here[0] += 1
        if self.here[0] == self.expected:
            self.all_here.set()

    async def sleep(self) -> None:
        """Arrive, and sleep until cancelled."""
        self.arrive()
        await trio.sleep_forever()


def arrivals(expected: int) -> Arrivals:
    """Of so many."""
    return Arrivals(expected, [0], trio.Event())
