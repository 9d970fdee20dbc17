"""How much work a measurement does: enough to mean something, or with `--quick` just enough to run."""

from typing import Final

from msgspec import Struct


class Sizes(Struct, frozen=True):
    """Counts, each of what its comment says."""

    chain: int = 20_000
    """Steps of a run that touches no disk."""
    rows: int = 200
    """Commits that are synced one by one; a slow disk takes 10 ms for each."""
    grouped: int = 5_000
    """Rows that raw SQLite commits in hundreds."""
    ahead: int = 10_000
    """Steps of a run whose pure nodes run ahead of the disk."""
    runs: int = 100
    """Runs at once, each of which is durable step by step."""
    steps: int = 50
    """Steps of each of them."""
    large: int = 2_000
    """Steps of a run with a large state."""
    fans: int = 20
    """Fan-outs of a run, one after the other."""
    branches: int = 100
    """Branches of each of them."""
    history: int = 10_000
    """Steps of a run whose state grows with each."""
    at_once: int = 2_000
    """Runs of ten steps at once."""
    many_at_once: int = 10_000
    """The same, many of them."""
    resumed: int = 2_000
    """Parked runs that are resumed one after the other."""
    events: int = 100_000
    """Events of a run with one reader."""
    deliveries: int = 1_000
    """Events of a run with a hundred readers."""
    batched: int = 20_000
    """The same, where they read batches."""
    readers: int = 100
    """How many they are."""
    width: int = 10
    """Branches of a node that is cancelled, three levels deep: a thousand sleepers."""
    sleepers: int = 1_000
    """Runs that are cancelled."""
    parked: int = 100_000
    """Runs that wait for a person."""
    live: int = 10_000
    """Runs that wait inside a node."""
    asked: int = 3_000
    """Requests of a client of the console."""
    clients: int = 100
    """Clients that watch a run."""
    watched: int = 1_000
    """Events that each of them gets."""
    framed: int = 100
    """The same, each in a frame of its own."""
    crowd: int = 1_000
    """Clients whose memory is measured."""
    missed: int = 1_000
    """Events that a client has missed."""
    returns: int = 100
    """How often it comes back to them."""
    processes: int = 5
    """Fresh processes in a round."""
    chains: int = 5
    """Chains of LangGraph's with a checkpointer, of a hundred steps each."""
    peer_steps: int = 1_000
    """Steps of a peer's run that touches no disk."""
    peer_rows: int = 200
    """Steps of a peer's run that are on the disk."""
    peer_fans: int = 5
    """Fan-outs of a peer."""
    peer_runs: int = 200
    """Runs of a peer that are resumed."""
    few: int = 20
    """Runs of a peer that takes a tenth of a second for each."""


FULL: Final = Sizes()
QUICK: Final = Sizes(
    chain=500,
    rows=10,
    grouped=300,
    ahead=300,
    runs=20,
    steps=3,
    large=50,
    fans=2,
    branches=10,
    history=400,
    at_once=20,
    many_at_once=60,
    resumed=20,
    events=2_000,
    deliveries=100,
    batched=300,
    readers=5,
    width=3,
    sleepers=50,
    parked=500,
    live=100,
    asked=20,
    clients=5,
    watched=70,
    framed=10,
    crowd=20,
    missed=150,
    returns=2,
    processes=1,
    chains=1,
    peer_steps=50,
    peer_rows=10,
    peer_fans=1,
    peer_runs=10,
    few=2,
)
