"""Queries over HTTP: what runs there are, what one is, what it tells, and what can be asked at all."""

from typing import TYPE_CHECKING, Final

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import Response

from terzetto_protocol.discreet import discreet_run
from terzetto_protocol.errors import UnknownRun
from terzetto_protocol.graph_view import graph_view
from terzetto_protocol.http_requests import Found, check_no_query, listing_of
from terzetto_protocol.openapi import openapi_document
from terzetto_protocol.records import BarrierRow, RunRow
from terzetto_protocol.sse import MEDIA_TYPE
from terzetto_protocol.statuses import TERMINAL
from terzetto_protocol.views import run_line, run_view
from terzetto_protocol.wire_answers import Runs

from .. import __version__
from ._desk import check_scope, json_of
from ._event_stream import EventStream
from ._gate import Caller
from ._limits import HttpLimits

if TYPE_CHECKING:
    from .._runtime import Runtime


class Reading:
    """Answers what changes nothing."""

    def __init__(self, runtime: "Runtime", limits: HttpLimits) -> None:
        self._runtime: Final = runtime
        self._limits: Final = limits

    async def list(self, request: Request, caller: Caller) -> Response:
        """Runs of a graph, newest first."""
        check_scope(caller, "read")
        asked = listing_of(request.path_params["graph"], request.query_params.multi_items())
        rows = await self._runtime.runs.list(
            statuses=asked.statuses or None,
            graph=asked.graph,
            thread=asked.thread or None,
            before=asked.before or None,
            limit=asked.limit,
        )
        waiting: dict[str, list[BarrierRow]] = {}
        for barrier in await self._runtime.store.barriers() if rows else ():
            waiting.setdefault(barrier.run_id, []).append(barrier)
        more = rows[-1].run_id if rows and len(rows) == asked.limit else ""
        return json_of(Runs(tuple(run_line(row, waiting.get(row.run_id, ())) for row in rows), more))

    async def get(self, request: Request, caller: Caller) -> Response:
        """One run without its commits, with the state of its newest snapshot."""
        row, store = await self._row(request, caller), self._runtime.store
        bodies = await store.records(row.run_id)
        barriers, snapshot = await store.barriers(row.run_id), await store.snapshot(row.run_id)
        first = None if row.first == 1 else await store.snapshot(row.run_id, at=row.first)
        begin = None if first is None else first[1]

        def make() -> Response:
            return json_of(discreet_run(run_view(row, bodies, barriers, snapshot, last=0, begin=begin)))

        return await trio.to_thread.run_sync(make)  # a long log takes long to decode

    async def events(self, request: Request, caller: Caller) -> Response:
        """What a run tells, as it tells it."""
        row = await self._row(request, caller)
        if request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE)
        cursor = request.headers.get("last-event-id") or None
        if row.status in TERMINAL and cursor == str(row.event_id):
            return Response(status_code=204)  # an EventSource comes again until it is told not to
        return EventStream(self._runtime.get(row.run_id).events(last_event_id=cursor, heartbeat=self._limits.heartbeat))

    async def graphs(self, request: Request, caller: Caller) -> Response:
        """The graphs that the runtime knows."""
        check_scope(caller, "read")
        check_no_query(request.scope["query_string"])
        return json_of(Found(tuple(graph_view(each.graph) for each in self._runtime.registry.all())))

    async def openapi(self, request: Request, caller: Caller) -> Response:
        """The document of all this."""
        check_scope(caller, "read")
        check_no_query(request.scope["query_string"])
        return Response(msgspec.json.encode(openapi_document(__version__)), media_type="application/json")

    async def _row(self, request: Request, caller: Caller) -> RunRow:
        """The run of a request, if it is of the graph that the request names."""
        check_scope(caller, "read")
        check_no_query(request.scope["query_string"])
        row = await self._runtime.row(request.path_params["run"])
        if row.header.graph != request.path_params["graph"]:
            raise UnknownRun(row.run_id)
        return row
