"""A process that lacks room for its files, or descriptors. It says what it was told, and goes on afterwards."""

import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import trio

from terzetto.stores import SqliteStore
from terzetto.testing._store_laws import applied, claim, first, follow
from terzetto_protocol.errors import StoreError

WRITES = (first(), claim(), *(follow(seq=seq, body=b"x" * 6000) for seq in range(3, 9)))


def next_descriptor():
    os.close(found := os.open(os.devnull, os.O_RDONLY))
    return found


LIMITS = {
    "room": (resource.RLIMIT_FSIZE, [*range(0, 140_000, 8000)], lambda: 0),
    "descriptors": (resource.RLIMIT_NOFILE, [*range(9)], next_descriptor),
}


@contextmanager
def limited(kind, value):
    _, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (hard, hard))


async def write(store, acknowledged):
    for one in WRITES[len(acknowledged) :]:
        await applied(store, one)
        acknowledged.append(one.body)


async def lack(what, path, acknowledged):
    """Do as much as possible with little; returns what was said."""
    kind, _, base = LIMITS[what]
    value = base() + int(path.stem)
    try:
        with limited(kind, value):
            async with SqliteStore(path) as store:
                try:
                    await write(store, acknowledged)
                except StoreError as error:
                    resource.setrlimit(kind, (resource.getrlimit(kind)[1],) * 2)  # somebody has made room meanwhile
                    await store.reopen()
                    await write(store, acknowledged)
                    return f"went on after: {error}"
    except StoreError as error:
        return f"not opened: {error}"
    return "enough"


async def main():
    folder, what = Path(sys.argv[1]), sys.argv[2]
    for value in LIMITS[what][1]:
        path, acknowledged = folder / f"{value}.db", []
        with trio.fail_after(30):
            said = await lack(what, path, acknowledged)
            async with SqliteStore(path) as store:
                there, problems = await store.records("r"), (await store.health(deep=True)).problems
                kept = there[: len(acknowledged)] == acknowledged
                await applied(store, *WRITES)
                whole = await store.records("r") == [one.body for one in WRITES]
        print(f"{value}: {said} | {kept} {problems} {whole}", flush=True)


if __name__ == "__main__":
    trio.run(main)
