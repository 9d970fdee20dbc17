"""What every contest is made from: how much work, on which disk, and which peers are there."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from ._contest import Bar, Opponent
from ._sizes import Sizes


class Way(Struct, frozen=True):
    """How a peer does one kind of work."""

    measure: Callable[["Setting"], float]
    how: str


class Peer(Struct, frozen=True):
    """A library that does some of the same work."""

    name: str
    version: str
    ways: Mapping[str, Way]
    """By the kind of work."""


class Setting(Struct, frozen=True):
    """One command line's worth."""

    sizes: Sizes
    folder: str | None = None
    """Where stores are put; None for the folder of temporary files."""
    peers: tuple[Peer, ...] = ()

    def peers_at(self, kind: str, **bars: Bar) -> list[Opponent]:
        """Every peer that can do this kind of work.

        Args:
            kind: as in `Peer.ways`.
            **bars: what was promised, by the name of the peer.
        """
        return [self._opponent(peer, kind, bars.get(peer.name)) for peer in self.peers if kind in peer.ways]

    def _opponent(self, peer: Peer, kind: str, bar: Bar | None) -> Opponent:
        way = peer.ways[kind]
        return Opponent(peer.name, lambda: way.measure(self), f"{peer.version}: {way.how}", bar, True)
