"""Commands over HTTP: execute, stop and decide, with a line in the audit log for each."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec
import trio
from msgspec import UNSET, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from terzetto_protocol.audits import AuditLine
from terzetto_protocol.codec import pack
from terzetto_protocol.commands import Cancel, Command, Decide, Submit
from terzetto_protocol.errors import TerzettoError, UnknownRun
from terzetto_protocol.http_requests import ANSWERING, STOP, check_no_query, read_execute, status_of
from terzetto_protocol.limits import MESSAGE_BYTES
from terzetto_protocol.problems import problem_of
from terzetto_protocol.receipts import CancelReceipt, Receipt
from terzetto_protocol.wire_asks import Scope
from terzetto_protocol.wire_errors import WireError

from .._chance import new_id
from .._forking import new_run_id
from ._gate import AUDIT, Caller
from ._limits import HttpLimits

if TYPE_CHECKING:
    from .._runtime import Runtime

_Made = Callable[[Request, Caller], Awaitable[Command]]


def check_scope(caller: Caller, scope: Scope) -> None:
    """Raise a `WireError` for a caller who may not do this."""
    if scope not in caller.scopes:
        raise WireError("not_allowed", f"this takes the scope {scope!r}", data={"scope": scope})


def json_of(answer: Struct, status: int = 200, **headers: str) -> Response:
    """An answer as it is sent."""
    return Response(msgspec.json.encode(answer), status, {"cache-control": "no-store", **headers}, "application/json")


class Desk:
    """Has commands carried out, and answers with their receipts."""

    def __init__(self, runtime: "Runtime", limits: HttpLimits) -> None:
        self._runtime: Final = runtime
        self._limits: Final = limits

    async def execute(self, request: Request, caller: Caller) -> Response:
        """Start a run; it is durable when this is answered."""
        return await self._perform(request, caller, "submit", "control", self._execution)

    async def stop(self, request: Request, caller: Caller) -> Response:
        """End a run, and wait some time for its end."""
        return await self._perform(request, caller, "cancel", "control", self._stopping)

    async def decide(self, request: Request, caller: Caller) -> Response:
        """Answer a barrier."""
        return await self._perform(request, caller, "decide", "decide", self._decision)

    async def _perform(self, request: Request, caller: Caller, name: str, scope: Scope, made: _Made) -> Response:
        run_id = request.path_params.get("run", "")
        line = AuditLine(caller.who, caller.address, None, name, run_id, "", "unanswered")
        try:
            check_scope(caller, scope)
            command = await made(request, caller)
            line = replace(line, run=command.run_id, command_id=command.command_id)
            receipt = await self._carry_out(command)
            line = replace(line, outcome=str(receipt.__struct_config__.tag))
            return _answer(request, receipt)
        except Exception as error:
            line = replace(line, outcome=f"failed: {problem_of(error).code}")
            raise
        finally:
            AUDIT.info("%s", line.text())

    async def _execution(self, request: Request, caller: Caller) -> Submit:
        graph, version = request.path_params["graph"], request.path_params["version"]
        if self._runtime.registry.find(graph, version) is None:
            raise WireError("unknown_graph", f"no graph {graph!r:.80} {version!r:.80} is known here")
        body = read_execute(await self._body(request))
        if body.state is UNSET and not body.thread:
            raise WireError("malformed", "the body has no `state`, and no `thread` whose end it is", "$.state")
        return body.command(graph, version, run_id=new_run_id(), command_id=new_id())

    async def _stopping(self, request: Request, caller: Caller) -> Cancel:
        body = STOP.from_json(await self._body(request) or b"{}")
        return body.command(await self._run(request), command_id=new_id())

    async def _decision(self, request: Request, caller: Caller) -> Decide:
        body = ANSWERING.from_json(await self._body(request))
        return body.command(await self._run(request), who=caller.who, command_id=new_id())

    async def _run(self, request: Request) -> str:
        """The run of a request, if it is of the graph that the request names."""
        graph, run_id = request.path_params["graph"], request.path_params["run"]
        if (await self._runtime.row(run_id)).header.graph != graph:
            raise UnknownRun(run_id)
        return str(run_id)

    async def _body(self, request: Request) -> bytes:
        """All of a body. Raises a `WireError` for one that is too large, takes too long or says that it is no JSON."""
        check_no_query(request.scope["query_string"])
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":  # a page of elsewhere can send others without being asked
            raise WireError("wrong_media_type", "send JSON: Content-Type: application/json")
        with trio.move_on_after(self._limits.body):
            return await _whole(request)
        raise WireError("too_slow", f"the body did not come within {self._limits.body:g} s")

    async def _carry_out(self, command: Command) -> Receipt:
        pack(command, f"the command {command.__struct_config__.tag}")
        receipt = await self._runtime.ask(command)
        return await self._stopped(receipt) if isinstance(receipt, CancelReceipt) else receipt

    async def _stopped(self, receipt: CancelReceipt) -> CancelReceipt:
        """What became of a cancel in the time for which a client waits; the cancel is durable anyway."""
        if receipt.outcome == "unknown":
            raise UnknownRun(receipt.run_id)
        if receipt.outcome == "requested":
            with trio.move_on_after(self._limits.stop), suppress(TerzettoError):
                result = await self._runtime.get(receipt.run_id).result()
                return replace(receipt, outcome="stopped", status=result.status)
        return receipt


async def _whole(request: Request) -> bytes:
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise WireError("malformed", "the client left before its body had come")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MESSAGE_BYTES:
            raise WireError("too_large", f"the body has more than {MESSAGE_BYTES} bytes, which is the limit")
    return bytes(body)


def _answer(request: Request, receipt: Receipt) -> Response:
    status = status_of(receipt)
    where: dict[str, str] = {}
    if status == 201:
        graph: Any = request.path_params["graph"]
        where["location"] = f"/v1/graphs/{quote(graph, safe='')}/executions/{receipt.run_id}"
    return json_of(receipt, status, **where)
