"""A golden file: stored runs, byte by byte, and what they were when they were stored.

One JSON object a line. The first names the format and the release that made it, each other one is a run: what a reader
of the file wants to know, and the log, packed.
"""

import base64
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from terzetto._history import Past
from terzetto.stores import MemoryStore, Store
from terzetto_protocol.blueprint import Blueprint
from terzetto_protocol.events import count_told, told_by
from terzetto_protocol.image import read_record
from terzetto_protocol.records import Applied, BarrierRow, Record, RunHeader, RunRow, Write
from terzetto_protocol.scribe import outcome_text
from terzetto_protocol.statuses import RunStatus

FOLDER = Path(__file__).parent

_pack = msgspec.msgpack.encode


class Golden(Struct, frozen=True):
    """One stored run."""

    name: str
    header: bytes
    commits: tuple[tuple[bytes, bytes | None], ...]
    """Each with its snapshot, where it has one."""
    barriers: tuple[bytes, ...]
    events: tuple[bytes, ...]
    """What its commits told, in order."""
    final: bytes
    """A snapshot of what folding all of it made."""
    timer: float | None

    @property
    def run(self) -> RunHeader:
        return msgspec.msgpack.decode(self.header, type=RunHeader)

    @property
    def records(self) -> list[Record]:
        return [read_record(body) for body, _ in self.commits]

    @property
    def status(self) -> RunStatus:
        return self.records[-1].status


async def taken(store: Store, row: RunRow, name: str, blueprint: Blueprint[Any]) -> Golden:
    """A run as it is in a store now."""
    bodies = await store.records(row.run_id)
    found = [await store.snapshot(row.run_id, at=seq) for seq in range(1, len(bodies) + 1)]
    snapshots = [None if each is None or each[0] != seq else each[1] for seq, each in enumerate(found, 1)]
    fold = await Past(store, row, blueprint).fold(None)
    barriers = await store.barriers(row.run_id, only_open=False)
    told = [event for body in bodies for event in told_by(row.run_id, read_record(body))]
    return Golden(
        name=name,
        header=_pack(row.header),
        commits=tuple(zip(bodies, snapshots, strict=True)),
        barriers=tuple(map(_pack, barriers)),
        events=tuple(map(_pack, told)),
        final=fold.snapshot(fold.pack()),
        timer=row.timer,
    )


async def put(store: Store, golden: Golden) -> None:
    """Store a run, commit by commit, as the code that made it had it stored."""
    epoch, last = 0, len(golden.commits)
    rows = tuple(msgspec.msgpack.decode(row, type=BarrierRow) for row in golden.barriers)
    for (body, snapshot), record in zip(golden.commits, golden.records, strict=True):
        code, message = outcome_text(record)
        write = Write(
            run_id=golden.run.run_id,
            expect=epoch,
            epoch=record.epoch,
            seq=record.seq,
            at=record.at,
            status=record.status,
            event_id=record.event_id + count_told(record) - 1,
            body=body,
            snapshot=snapshot,
            barriers=rows if record.seq == last else (),
            header=golden.run if record.seq == 1 else None,
            code=code,
            message=message,
            timer=golden.timer if record.seq == last else None,
            kind=record.kind,
            thread=golden.run.thread if record.status is RunStatus.SUCCEEDED else "",
        )
        assert [Applied()] == await store.commit([write])
        epoch = record.epoch


async def stored(goldens: Iterable[Golden]) -> MemoryStore:
    """A store that holds these runs."""
    store = MemoryStore()
    for golden in goldens:
        await put(store, golden)
    return store


def path_of(number: int) -> Path:
    return FOLDER / f"{number}.jsonl"


def numbers() -> list[int]:
    """The formats that there are logs of, oldest first."""
    return sorted(int(path.stem) for path in FOLDER.glob("*.jsonl"))


def made_by(number: int) -> str:
    """The release whose code has made a file."""
    with path_of(number).open(encoding="utf-8") as file:
        return str(json.loads(file.readline())["terzetto"])


def read(number: int) -> list[Golden]:
    lines = path_of(number).read_text(encoding="utf-8").splitlines()[1:]
    return [msgspec.msgpack.decode(_unpacked(json.loads(line)["log"]), type=Golden) for line in lines]


def write(number: int, goldens: Iterable[Golden], release: str) -> None:
    lines: list[dict[str, Any]] = [{"format": number, "terzetto": release}]
    for each in goldens:
        about = {"name": each.name, "graph": each.run.graph, "status": each.status, "commits": len(each.commits)}
        lines.append({**about, "log": base64.b64encode(zlib.compress(_pack(each), 9)).decode()})
    path_of(number).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))
