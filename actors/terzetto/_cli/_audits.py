"""Which audit a command means: one run per folder and output folder, numbered when it is made anew."""

import hashlib
import os
from argparse import Namespace
from contextlib import suppress
from pathlib import Path

import trio
from attrs import frozen

from terzetto_protocol.errors import StoreMissing
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL

from .._demo.graph import Audit
from ..stores import Store, open_store
from ._exits import Stop
from ._stores import absolute, guest, is_made, store_url

_DIGITS = 8


@frozen
class Place:
    """Where an audit reads, writes and is kept; all three hold from any folder."""

    root: Path
    out: Path
    store: str

    @property
    def name(self) -> str:
        """The id of the first run of this audit."""
        said = f"{self.root}\0{self.out}".encode("utf-8", "surrogateescape")
        return f"audit-{hashlib.sha256(said).hexdigest()[:_DIGITS]}"

    def state(self) -> Audit:
        """What a run begins with: equal for an equal place, so that submitting it again finds the same run."""
        return Audit(root=str(self.root), out=str(self.out), title=self.root.name or str(self.root))


def place_of(args: Namespace) -> Place:
    """What the command line says, or `Stop` for a folder that cannot be audited or written to."""
    root = Path(args.folder or Path(trio.__file__).parent).resolve()
    out = Path(args.out or ".").resolve()
    if not root.is_dir():
        is_file = f"{root} is a file: give its folder, {root.parent}"
        raise Stop(is_file if root.exists() else f"there is no folder {root}")
    if not os.access(root, os.R_OK | os.X_OK):
        raise Stop(f"the folder {root} may not be read by this user")
    existing = next(each for each in (out, *out.parents) if each.exists())
    if not existing.is_dir():
        raise Stop(f"{existing} is a file: --out takes a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise Stop(f"the folder {existing} may not be written by this user: give another one with --out")
    return Place(root, out, absolute(store_url(args)))


async def latest(place: Place) -> RunRow | None:
    """The newest run of this audit as a guest sees it, if there is one. A checkpoint."""
    if not open_store(place.store).shared or not is_made(place.store):
        return None  # nobody else can have made anything
    with suppress(StoreMissing):  # its first owner was stopped before it had made it: this process will
        async with guest(place.store) as store:
            return await newest(store, place.name)
    return None


async def newest(store: Store, name: str) -> RunRow | None:
    """The last of `name`, `name-2`, `name-3`... that there is. A checkpoint."""
    number, last = 1, None
    found = await store.run(name)
    while found is not None:
        number, last = number + 1, found
        found = await store.run(f"{name}-{number}")
    return last


def following(name: str, row: RunRow) -> str:
    """The id of the run after this one, which has ended."""
    assert row.status in TERMINAL
    number = row.run_id.removeprefix(name).removeprefix("-")
    return f"{name}-{int(number or '1') + 1}"
