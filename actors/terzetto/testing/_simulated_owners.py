"""Which process of a simulation a run belongs to, where several may have the store open at once."""

from typing import Final

import trio

from terzetto_protocol.records import Posted


class Owners:
    """The owners of a simulated disk, by the names of their processes, and what is whose."""

    def __init__(self) -> None:
        self._leases: Final[dict[str, float]] = {}
        """When each lease ends, Trio time."""
        self._runs: Final[dict[str, str]] = {}
        """Who wrote each run last in an epoch that it began."""
        self._given: Final[dict[str, str]] = {}
        """To whom a command for nobody's run was given, by its id."""
        self._declined: Final[dict[tuple[str, str], float]] = {}
        """Until when an owner is not given a command, Trio time, by their name and id."""

    def renew(self, name: str, lease: float) -> None:
        """An owner lives for so many seconds more."""
        self._leases[name] = trio.current_time() + lease

    def leave(self, name: str) -> None:
        """An owner is gone, and what was its own is anybody's."""
        self._leases.pop(name, None)

    def wrote(self, name: str, run_id: str) -> None:
        """An owner began the newest epoch of a run: it is its own."""
        self._runs[run_id] = name

    def writer(self, run_id: str) -> str:
        """Who wrote a run last, living or not."""
        return self._runs.get(run_id, "")

    def other(self, run_id: str, name: str) -> str:
        """Who else a run belongs to and lives, or nobody."""
        return self._living(self._runs.get(run_id, ""), name)

    def _living(self, found: str, name: str) -> str:
        return found if found != name and self._leases.get(found, 0.0) > trio.current_time() else ""

    def gives(self, command: Posted, name: str) -> bool:
        """Whether an owner is to carry out a command; one for nobody's run is given to the first who asks."""
        if self._declined.get((name, command.command_id), 0.0) > trio.current_time():
            return False
        if self.other(command.run_id, name):
            return False
        if self._runs.get(command.run_id) == name:
            return True
        if self._living(self._given.get(command.command_id, ""), name):
            return False
        self._given[command.command_id] = name
        return True

    def declines(self, command_id: str, name: str, pause: float) -> None:
        """An owner gives a command back, and is not given it again for so many seconds."""
        if self._given.get(command_id) == name:
            del self._given[command_id]
        self._declined[name, command_id] = trio.current_time() + pause
