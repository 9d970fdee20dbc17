"""The store that a command works on: as its owner, or as a guest beside the owner."""

import os
import sys
from argparse import Namespace
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from uuid import uuid4

import trio

from terzetto_protocol.commands import Command
from terzetto_protocol.ids import check_run_id
from terzetto_protocol.receipts import Receipt
from terzetto_protocol.records import RunRow

from .._clock import wall_clock
from .._errands import leave, receipt_of
from ..stores import SqliteStore, Store, open_store
from ._exits import Stop

DEFAULT_STORE: Final = "sqlite:terzetto.db"
_SIMILAR: Final = 200
"""How many of the newest runs are looked at for an id like the one that was typed."""


def store_url(args: Namespace) -> str:
    """What `--store` says, else `TERZETTO_STORE`, else a file in the current folder."""
    return str(args.store or os.environ.get("TERZETTO_STORE") or DEFAULT_STORE)


def absolute(url: str) -> str:
    """The same store from any folder."""
    store = open_store(url)
    if not isinstance(store, SqliteStore):
        return url
    options = "" if store.synchronous == "full" else f"?synchronous={store.synchronous}"
    path = store.path.replace("%", "%25").replace("?", "%3F")
    return f"sqlite:{path}{options}"


def file_of(url: str) -> str | None:
    """The file of a store that has one; raises `InvalidRequest` for what is no store URL."""
    store = open_store(url)
    return store.path if isinstance(store, SqliteStore) else None


def is_made(url: str) -> bool:
    """Whether there is anything to look into; raises `InvalidRequest` for what is no store URL."""
    path = file_of(url)
    return path is None or Path(path).exists()


@asynccontextmanager
async def guest(url: str) -> AsyncGenerator[Store, None]:
    """Beside the owner: read, and post commands. Raises `Stop` when there is no store yet."""
    if not is_made(url):
        raise Stop(f"there is no store {file_of(url)} (say where it is: --store URL, or the variable TERZETTO_STORE)")
    async with open_store(url, guest=True) as store:
        yield store


async def find_run(store: Store, run_id: str) -> RunRow:
    """The run's row; raises `Stop` naming a run with nearly this id. A checkpoint."""
    row = await store.run(check_run_id(run_id))
    if row is not None:
        return row
    newest = [each.run_id for each in await store.runs(limit=_SIMILAR)]
    close = get_close_matches(run_id, newest, n=1)
    if close:
        raise Stop(f"no run {run_id!r} in this store: did you mean {close[0]}?")
    raise Stop(f"no run {run_id!r} in this store (it has {', '.join(newest[:3])}...)" if newest else _empty(run_id))


def _empty(run_id: str) -> str:
    return f"no run {run_id!r} in this store: it has no run at all"


async def carrier_of(store: Store, url: str, run_id: str) -> str:
    """Who carries a run out of this store, or would, in words; empty where nobody does. A checkpoint.

    Where many may own a store, that is who the run belongs to, and else whoever owns it.
    """
    if store.lease is None:
        pid = owner_of(url)
        return "" if pid is None else f"process {pid}"
    found = await store.load(run_id)
    return "" if found is None else found.owner


def owner_of(url: str) -> int | None:
    """The process that owns the store now, or None; a look from outside, true for this moment only."""
    path = file_of(url)
    if path is None or sys.platform == "win32":
        return None
    try:
        fd = os.open(os.path.realpath(path) + ".owner", os.O_RDONLY)
    except OSError:
        return None
    try:
        pid = int(os.pread(fd, 32, 0) or b"0")
        return pid if pid and _lives(pid) and _is_locked(fd) else None
    except ValueError:
        return None
    finally:
        os.close(fd)


def _lives(pid: int) -> bool:
    # Asked before the lock is tried: a lock that is tried is held for a moment, and could be in a new owner's way.
    # So it is tried only where a live process has the number that the last owner left.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_locked(fd: int) -> bool:
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


async def post(store: Store, command: Command, run_id: str, wait: float) -> Receipt | None:
    """Leave a command for the owner and wait for its receipt; None when none came in `wait` seconds.

    A checkpoint. Once it was left it stays, also when this is cancelled: an owner will carry it out.
    """
    await leave(store, command, run_id, wall_clock()())
    with trio.move_on_after(wait):
        return await receipt_of(store, command.command_id)
    return None


def new_command_id() -> str:
    """An id under which nobody else posts."""
    return uuid4().hex
