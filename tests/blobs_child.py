"""A program that is killed while it puts a blob.

Started by `test_crash_blobs.py` in a process of its own: `blobs_child.py STORE [middle | put]`.
"""

import os
import signal
import sys

import attrs
import trio

import terzetto
from terzetto_protocol.limits import BLOB_CHUNK

DATA = bytes(range(256)) * (5 * BLOB_CHUNK // 256)
KILL = sys.argv[2] if len(sys.argv) > 2 else ""


@attrs.define
class Film:
    reel: terzetto.Blob | None = None


@attrs.frozen
class Shot:
    reel: terzetto.Blob

    def apply(self, film: Film) -> None:
        film.reel = self.reel


graph = terzetto.Graph("film", state=Film, mutations=[Shot])
Ctx = terzetto.NodeContext[Film]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def pieces():
    for start in range(0, len(DATA), BLOB_CHUNK):
        if KILL == "middle" and start == 3 * BLOB_CHUNK:
            die()
        yield DATA[start : start + BLOB_CHUNK]


@graph.node
async def shoot(ctx: Ctx) -> None:
    reel = await ctx.blob(pieces(), media_type="video/mp4")
    if KILL == "put":
        die()
    ctx.record(Shot(reel))


graph.start(shoot)


async def main() -> None:
    async with terzetto.open_runtime(f"sqlite:{sys.argv[1]}", graphs=[graph]) as runtime:
        run = await runtime.submit(graph, Film(), run_id="r")
        reel = (await run.result()).unwrap().reel
        assert reel is not None
        assert await runtime.blob_bytes(reel) == DATA
        print(reel.digest)


trio.run(main)
