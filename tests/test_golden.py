"""Golden logs: what every version has stored is read by this one, tells the same, and goes on (law 1, D4)."""

from collections.abc import Iterable
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest
import trio.testing

import terzetto
from terzetto._history import Past
from terzetto.stores import SqliteStore
from terzetto_protocol.decisions import Decision
from terzetto_protocol.events import DurableEvent, Event, told_by
from terzetto_protocol.fold import Fold
from terzetto_protocol.frames import BranchImage, Fork
from terzetto_protocol.image import Image, read_snapshot
from terzetto_protocol.pending import Pending
from terzetto_protocol.records import BarrierRow, Detail, Kind, Record, Resolution, RunHeader, RunRow
from terzetto_protocol.registry import Registry
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .golden import graphs_1, logs, make

GRAPHS: dict[int, ModuleType] = {1: graphs_1}
"""What reads the logs of each format."""
LOGS = [(number, golden) for number in logs.numbers() for golden in logs.read(number)]
LARGEST = 200_000
"""Bytes of all golden logs together."""

each = pytest.mark.parametrize("number, golden", LOGS, ids=[f"{number}-{golden.name}" for number, golden in LOGS])
unfinished = [(number, golden) for number, golden in LOGS if golden.status not in TERMINAL]

_pack = msgspec.msgpack.encode


def registry(number: int) -> Registry:
    return Registry(GRAPHS[number].graphs())


async def past(store: Any, number: int, golden: logs.Golden) -> tuple[RunRow, Past]:
    row = await store.run(golden.run.run_id)
    bound = registry(number).carrier(golden.run.graph, golden.run.version)
    assert bound is not None, "its graph stays in the tests for ever"
    return row, Past(store, row, bound.graph.build())


def test_there_are_logs_of_every_format_and_what_reads_them():
    assert logs.numbers() == list(range(1, max(GRAPHS) + 1)) == sorted(GRAPHS)


@each
async def test_a_log_folds_into_what_it_was(number, golden):
    """Law 1: with every snapshot on the way, and the image and the state at its end."""
    store = await logs.stored([golden])
    row, found = await past(store, number, golden)
    fold: Fold[Any] = await found.fold(None)
    now, was = read_snapshot(fold.snapshot(fold.pack())), read_snapshot(golden.final)
    replay = await found.replay()

    assert _pack(was.image) == _pack(now.image)
    assert was.state == now.state
    assert (True, sum(snapshot is not None for _, snapshot in golden.commits) - 1) == (replay.holds, replay.checked)
    assert (golden.status, len(golden.commits), golden.timer) == (row.status, row.seq, row.timer)
    assert golden.run == row.header


@each
def test_a_log_tells_what_it_told(number, golden):
    """D4: the same id means the same bytes."""
    told = [event for record in golden.records for event in told_by(golden.run.run_id, record)]

    assert list(golden.events) == list(map(_pack, told))
    assert told == [msgspec.msgpack.decode(event, type=Event) for event in golden.events]


@each
def test_a_commit_is_encoded_as_it_was_or_with_more(number, golden):
    """New fields are added at the end, with defaults: what was stored stands at the beginning of what would be now."""
    for record, (body, _) in zip(golden.records, golden.commits, strict=True):
        before, now = msgspec.msgpack.decode(body), msgspec.msgpack.decode(_pack(record))

        assert before == now[: len(before)]


@pytest.mark.parametrize("number, golden", unfinished, ids=[f"{number}-{golden.name}" for number, golden in unfinished])
async def test_a_run_goes_on_to_its_end(autojump_clock, number, golden):
    """2: recovery goes on with it; whoever is asked says yes."""
    store = await logs.stored([golden])
    graphs = GRAPHS[number].graphs()
    with trio.fail_after(5000):
        async with terzetto.open_runtime(store, graphs=graphs) as runtime:
            run = runtime.get(golden.run.run_id)
            await _to_its_end(run)
            assert RunStatus.SUCCEEDED is (await run.result()).status
            assert (await run.replay()).holds
            events = [event async for event in _seen(run)]
    told = [event for event in events if event.durable]
    assert list(golden.events) == list(map(_pack, told[: len(golden.events)]))
    assert [event.id for event in events] == sorted({event.id for event in events})


async def _to_its_end(run: terzetto.Run[Any]) -> None:
    while True:
        await trio.testing.wait_all_tasks_blocked()
        status = await run.status()
        if status in TERMINAL:
            return
        if status is RunStatus.PAUSED:
            await run.resume()
        for barrier in await run.barriers():
            decision = terzetto.Confirm() if barrier.reconcile else terzetto.Approve()
            await run.decide(barrier.barrier, decision)
        await trio.sleep(1)


async def _seen(run: terzetto.Run[Any]) -> Any:
    async with run.events() as events:
        async for event in events:
            if isinstance(event, Event):
                yield event


@pytest.mark.parametrize("number", GRAPHS)
async def test_the_logs_are_the_same_in_a_file(number, tmp_path):
    """2: whatever store they are in."""
    goldens = _by_run(golden for of, golden in LOGS if of == number)
    async with SqliteStore(tmp_path / "golden.db") as store:
        for golden in goldens:
            await logs.put(store, golden)
        for golden in goldens:
            _, found = await past(store, number, golden)
            assert (await found.replay()).holds
            assert [body for body, _ in golden.commits] == await store.records(golden.run.run_id)


def _by_run(goldens: Iterable[logs.Golden]) -> list[logs.Golden]:
    """The last of each run."""
    return list({golden.run.run_id: golden for golden in goldens}.values())


def test_the_newest_logs_have_everything_that_can_be_stored():
    """Whoever adds a kind of commit, a detail, a decision or an event adds a run that has it, and makes them anew."""
    goldens = logs.read(max(GRAPHS))
    records = [record for golden in goldens for record in golden.records]
    details = {type(record.detail) for record in records} - {type(None)}
    decided = {type(record.detail.decision) for record in records if isinstance(record.detail, Resolution)}
    told = {type(msgspec.msgpack.decode(event, type=Event)) for golden in goldens for event in golden.events}

    assert set(Kind) == {record.kind for record in records}
    assert set(get_args(Detail)) == details
    assert set(get_args(Decision)) == decided
    assert set(get_args(DurableEvent)) == told
    assert set(RunStatus) == {record.status for record in records}


def test_the_newest_logs_have_every_field():
    """Each with something else than its default, somewhere in a header, a commit, a snapshot, a barrier or an event."""
    found: dict[type, set[str]] = {}
    for golden in logs.read(max(GRAPHS)):
        snapshots = [snapshot for _, snapshot in golden.commits if snapshot is not None]
        stored = [golden.run, golden.records, [read_snapshot(each) for each in (*snapshots, golden.final)]]
        stored += [msgspec.msgpack.decode(row, type=BarrierRow) for row in golden.barriers]
        _note_fields(found, [*stored, *(msgspec.msgpack.decode(event, type=Event) for event in golden.events)])

    assert {kind.__name__: set(kind.__struct_fields__) - fields for kind, fields in found.items()} == {
        kind.__name__: set() for kind in found
    }
    assert {RunHeader, Record, Image, Pending, Fork, BranchImage, BarrierRow} <= set(found)


def _note_fields(found: dict[type, set[str]], value: Any) -> None:
    if isinstance(value, msgspec.Struct):
        inner = {field.name: (getattr(value, field.name), _default(field)) for field in msgspec.structs.fields(value)}
        found.setdefault(type(value), set()).update(name for name, (one, default) in inner.items() if one != default)
        _note_fields(found, [one for one, _ in inner.values()])
    elif isinstance(value, dict | list | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            _note_fields(found, one)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


def test_the_newest_logs_are_those_of_today():
    """Every field of a record and of an image is one that the logs know: else they are of an older code than this."""
    goldens = logs.read(max(GRAPHS))
    record = max((msgspec.msgpack.decode(body) for golden in goldens for body, _ in golden.commits), key=len)
    image = msgspec.msgpack.decode(goldens[0].final)[0]

    assert len(record) == len(goldens[0].records[0].__struct_fields__)
    assert len(image) == len(read_snapshot(goldens[0].final).image.__struct_fields__)


def test_golden_logs_are_small():
    assert LARGEST > sum(logs.path_of(number).stat().st_size for number in logs.numbers())


def test_what_was_released_is_not_made_again(monkeypatch):
    newest = max(GRAPHS)

    assert newest == make.number_to_make([])
    assert newest + 1 == make.number_to_make(["--next"])
    monkeypatch.setattr(make, "is_released", lambda release: True)
    with pytest.raises(SystemExit, match=f"{newest}.jsonl was released with"):
        make.number_to_make([])
    assert newest == make.number_to_make(["--force"])


def test_a_release_is_one_that_the_change_log_has(monkeypatch, tmp_path):
    (tmp_path / "CHANGELOG.md").write_text("## Unreleased\n\n## [1.2.0] - 2026-05-01\n")
    monkeypatch.setattr(make, "FOLDER", tmp_path / "tests" / "golden")

    assert [True, False, False] == [make.is_released(each) for each in ("1.2.0", "1.2", "2.0")]
