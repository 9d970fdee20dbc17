"""Answers to what clients of the console ask: what is stored, and what this moment's numbers are.

It owns the last long texts that it made, so that their pieces are not made anew each time, and nothing else. What
takes long to make is made in a thread.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, cast

import trio
from msgspec.structs import replace

from terzetto_protocol.commands import Command
from terzetto_protocol.discreet import discreet_run
from terzetto_protocol.errors import CommitPruned, InvalidRequest, UnknownRun
from terzetto_protocol.graph_view import graph_view
from terzetto_protocol.image import read_record
from terzetto_protocol.limits import WIRE_PIECE
from terzetto_protocol.lineage import Kin, Turning, family, kin_of, turnings
from terzetto_protocol.pieces import fitting, history_of, piece_of, text_of
from terzetto_protocol.records import RunRow
from terzetto_protocol.timeline import Span, timeline
from terzetto_protocol.views import CommitView, barrier_view, plain, run_view
from terzetto_protocol.wire_answers import (
    Answer,
    Barriers,
    Graphs,
    Health,
    History,
    Lineage,
    Piece,
    PlacesShown,
    Runs,
    RunShown,
    Statistics,
    Timeline,
    WaitingBarrier,
)
from terzetto_protocol.wire_asks import (
    Ask,
    GetGraphs,
    GetHealth,
    GetLineage,
    GetProgress,
    GetRun,
    GetStatistics,
    GetTimeline,
    ListBarriers,
    ListRuns,
    ReadCommit,
    ReadDiff,
    ReadHistory,
    ReadState,
)

from .._history import commits_of, left_of
from .._runtime import Runtime
from ._discreet import discreet_commit, discreet_text
from ._lines import lines_of
from ._numbers import numbers_of
from ._texts import Texts

T = TypeVar("T")

_LONG: Final = 1000
"""Commits of a run from which on it is looked at in a thread."""
_PAGE: Final = 32
"""Commits that are read at once, each of which may be large."""
_RECORDS: Final = 512


class Queries:
    """What one server answers.

    Args:
        runtime: who knows.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime: Final = runtime
        self._texts: Final = Texts()
        self._threads: Final = trio.CapacityLimiter(2)
        self._table: Final[Mapping[type[Any], Callable[[Any], Awaitable[Answer]]]] = {
            ListRuns: self._list,
            GetRun: self._run,
            ReadHistory: self._history,
            ReadCommit: self._commit,
            ReadState: self._state,
            ReadDiff: self._difference,
            ListBarriers: self._barriers,
            GetProgress: self._progress,
            GetTimeline: self._timeline,
            GetLineage: self._lineage,
            GetStatistics: self._statistics,
            GetGraphs: self._graphs,
            GetHealth: self._health,
        }

    async def answer(self, ask: Ask) -> Answer:
        """The answer to a query, or the receipt of a command. A checkpoint; raises what the runtime raises."""
        query = self._table.get(type(ask))
        return await (self._runtime.ask(cast("Command", ask)) if query is None else query(ask))

    # -- runs ------------------------------------------------------------------------------------------------

    async def _list(self, ask: ListRuns) -> Runs:
        rows = await self._runtime.runs.list(
            statuses=ask.statuses or None,
            thread=ask.thread or None,
            graph=ask.graph or None,
            before=ask.before or None,
            limit=ask.limit,
        )
        told = fitting(await lines_of(self._runtime.store, rows))
        more = len(told) < len(rows) or len(rows) == ask.limit
        return Runs(tuple(told), told[-1].run_id if told and more else "")

    async def _run(self, ask: GetRun) -> RunShown:
        run_id = ask.run_id
        store, row = self._runtime.store, await self._runtime.row(run_id)
        bodies = await store.records(run_id)
        barriers = await store.barriers(run_id)
        snapshot = await store.snapshot(run_id)
        found = None if row.first == 1 else await store.snapshot(run_id, at=row.first)
        begin = None if found is None else found[1]
        view = await self._made(row, lambda: run_view(row, bodies, barriers, snapshot, last=0, begin=begin))
        return RunShown(replace(discreet_run(view), commits=(), state=None, state_seq=0))

    async def _history(self, ask: ReadHistory) -> History:
        row, before, size = await self._runtime.row(ask.run_id), ask.before, 0
        commits: list[CommitView] = []
        while len(commits) < ask.limit and size < WIRE_PIECE:
            count = min(_PAGE, ask.limit - len(commits))
            page = await commits_of(self._runtime.store, row, limit=count, before=before)
            commits += map(discreet_commit, page)
            if len(page) < count:
                break
            size += len(text_of(page))
            before = page[-1].seq
        return history_of(ask.run_id, commits)

    async def _commit(self, ask: ReadCommit) -> Piece:
        row = await self._runtime.row(ask.run_id)
        if not 1 <= ask.seq <= row.seq:
            raise InvalidRequest(f"run {row.run_id!r} has commits 1 to {row.seq}, and no {ask.seq}")

        async def make() -> Any:
            found = await commits_of(self._runtime.store, row, limit=1, before=ask.seq + 1)
            if not found or found[0].seq != ask.seq:
                raise CommitPruned(row.run_id, ask.seq, row.first)
            return discreet_commit(found[0])

        text = await self._texts.get((_key(row), "commit", ask.seq), make)
        return piece_of(text, "commit", row.run_id, ask.seq, offset=ask.offset)

    async def _state(self, ask: ReadState) -> Piece:
        past = await self._runtime.past(ask.run_id)
        seq = past.seq if ask.at is None else ask.at
        row = await self._runtime.row(ask.run_id)

        async def make() -> Any:
            return plain((await past.states(seq, seq))[0])

        text = await self._texts.get((_key(row), "state", seq), make)
        return piece_of(text, "state", ask.run_id, seq, offset=ask.offset)

    async def _difference(self, ask: ReadDiff) -> Piece:
        past = await self._runtime.past(ask.run_id)
        after = past.seq if ask.after is None else ask.after
        row = await self._runtime.row(ask.run_id)

        async def make() -> Any:
            return plain(await past.difference(ask.before, after))

        text = await self._texts.get((_key(row), "diff", ask.before, after), make)
        return piece_of(text, "diff", ask.run_id, after, offset=ask.offset)

    async def _barriers(self, ask: ListBarriers) -> Barriers:
        store = self._runtime.store
        if ask.run_id:
            await self._runtime.row(ask.run_id)
        rows = await store.barriers(ask.run_id or None)
        graphs: dict[str, str] = {}
        found: list[WaitingBarrier] = []
        for row in rows[ask.offset : ask.offset + ask.limit]:
            if row.run_id not in graphs:
                run = await store.run(row.run_id)
                graphs[row.run_id] = "" if run is None else run.header.graph
            found.append(WaitingBarrier(row.run_id, graphs[row.run_id], barrier_view(row)))
        told = fitting(found)
        end = ask.offset + len(told)
        return Barriers(tuple(told), len(rows), end if told and end < len(rows) else None)

    # -- charts ----------------------------------------------------------------------------------------------

    async def _progress(self, ask: GetProgress) -> PlacesShown:
        return PlacesShown(ask.run_id, await self._runtime.get(ask.run_id).progress())

    async def _timeline(self, ask: GetTimeline) -> Timeline:
        row = await self._runtime.row(ask.run_id)
        spans = await self._spans(row)
        rest = [span for span in spans if span.visit > ask.after]
        told = fitting(rest[: ask.limit])
        return Timeline(ask.run_id, tuple(told), told[-1].visit if told and len(told) < len(rest) else None)

    async def _spans(self, row: RunRow) -> tuple[Span, ...]:
        store = self._runtime.store
        if row.first == 1 and not row.header.parent:
            bodies = await store.records(row.run_id)
            return await self._made(row, lambda: timeline(map(read_record, bodies)))
        begin, records = await left_of(store, row)
        first = await store.records(row.run_id, after=begin.image.seq - 1, limit=1)
        at = read_record(first[0]).at if first else row.header.at
        return await self._made(row, lambda: timeline(records, begin=begin, at=at))

    async def _lineage(self, ask: GetLineage) -> Lineage:
        found = family(ask.run_id, await self._runtime.store.runs(limit=None))
        if not found:
            raise UnknownRun(ask.run_id)
        kin = [await self._kin(row) for row in found]
        return Lineage(ask.run_id, tuple(kin))

    async def _kin(self, row: RunRow) -> Kin:
        undone: list[Turning] = []
        after = row.first - 1
        while not row.damaged and after < row.seq:
            records = [
                read_record(body) for body in await self._runtime.store.records(row.run_id, after=after, limit=_RECORDS)
            ]
            if not records:
                break
            undone += turnings(records)
            after = records[-1].seq
        return kin_of(row, undone)

    # -- the server ------------------------------------------------------------------------------------------

    async def _statistics(self, ask: GetStatistics) -> Statistics:
        await trio.lowlevel.checkpoint()
        if not ask.run_id:
            return Statistics("", numbers_of(self._runtime.statistics()))
        found = self._runtime.get(ask.run_id).statistics()
        return Statistics(ask.run_id, None if found is None else numbers_of(found))

    async def _graphs(self, ask: GetGraphs) -> Graphs:
        await trio.lowlevel.checkpoint()
        graphs = [each.graph for each in self._runtime.registry.all()]
        return Graphs(tuple(graph_view(graph) for graph in graphs if ask.name in ("", graph.name)))

    async def _health(self, ask: GetHealth) -> Health:
        health = await self._runtime.store.health()
        problems = tuple(map(discreet_text, health.problems))
        if self._runtime.stopping.is_set():
            problems += ("the server is shutting down",)
        return Health(
            not problems,
            discreet_text(health.url),
            health.durable,
            problems,
            {name: discreet_text(value) for name, value in health.details},
        )

    async def _made(self, row: RunRow, make: Callable[[], T]) -> T:
        """What is made of a whole log, off the loop if that is long. A checkpoint then."""
        if row.seq - row.first < _LONG:
            return make()
        return await trio.to_thread.run_sync(make, limiter=self._threads)


def _key(row: RunRow) -> tuple[str, float, int]:
    """What a run is told by from another that had its id before, or from itself in another life."""
    return row.run_id, row.header.at, row.epoch
