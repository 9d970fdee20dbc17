"""Runs over HTTP: execute, stop, list, get and decide, through a real server."""

import subprocess
import sys

import msgspec
import pytest
import trio

import terzetto
import terzetto.http
from terzetto.http import HttpLimits
from terzetto_protocol.errors import InvalidRequest, StoreUnavailable
from terzetto_protocol.receipts import CancelReceipt, DecisionTaken, Submitted
from terzetto_protocol.wire_answers import Runs

from .http_client import serving
from .runtimes import Tally, chain, counts, says

GRAPH = "/v1/graphs/chain"
EXECUTE = f"{GRAPH}/execute/1"
RUN = f"{GRAPH}/executions/r-1"


def reviewed():
    return chain(says("a"), "sign-off", says("b"))


async def ended(runtime, run_id="r-1"):
    return (await runtime.get(run_id).result()).state


async def test_a_run_is_executed_decided_and_shown():
    async with serving(reviewed()) as served, await served.connect() as client:
        begun = await client.post(EXECUTE, {"state": {"count": 3}, "run_id": "r-1"})
        assert 201 == begun.status
        assert RUN == begun.headers["location"]
        assert Submitted("r-1", durable=False) == msgspec.json.decode(begun.body, type=Submitted)
        while not (shown := (await client.get(RUN)).json)["open_barriers"]:
            await trio.lowlevel.checkpoint()
        assert ("AWAITING_INPUT", "sign-off@2") == (shown["status"], shown["open_barriers"][0]["barrier"])
        assert {"count": 3, "trail": ["a"]} == shown["state"]
        listed = (await client.get(f"{GRAPH}/executions")).json["runs"]
        assert [("r-1", ["sign-off@2"])] == [(line["run_id"], line["open_barriers"]) for line in listed]
        decided = await client.post(f"{RUN}/decide", {"decision": {"type": "approve"}, "source": "ann"})
        assert DecisionTaken("r-1", "sign-off@2", durable=False) == msgspec.json.decode(
            decided.body, type=DecisionTaken
        )
        assert Tally(3, ["a", "b"]) == await ended(served.runtime)
        late = await client.post(f"{RUN}/decide", {"decision": {"type": "reject"}, "barrier": "sign-off@2"})
        assert (409, "ann") == (late.status, late.json["source"])
        shown = (await client.get(RUN)).json
        assert ("SUCCEEDED", {"count": 3, "trail": ["a", "b"]}, []) == (
            shown["status"],
            shown["state"],
            shown["commits"],
        )


async def test_the_same_twice_is_once():
    async with serving(reviewed()) as served, await served.connect() as client:
        body = {"state": {}, "key": "k-1"}
        first, again = [await client.post(EXECUTE, body) for _ in range(2)]
        other = await client.post(EXECUTE, {"state": {"count": 1}, "key": "k-1"})

    assert (201, 200) == (first.status, again.status)
    assert (first.json["run_id"], True) == (again.json["run_id"], again.json["reused"])
    assert (409, "run_conflict") == (other.status, other.json["code"])


async def test_an_early_decision_is_kept():
    gate = trio.Event()

    async def waits(ctx):
        await gate.wait()

    async with serving(chain(waits, "sign-off")) as served, await served.connect() as client:
        await client.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        refused = await client.post(f"{RUN}/decide", {"barrier": "sign-off", "decision": {"type": "approve"}})
        kept = await client.post(
            f"{RUN}/decide", {"barrier": "sign-off", "decision": {"type": "approve"}, "keep": "once"}
        )
        gate.set()
        await ended(served.runtime)

    assert (409, "refused") == (refused.status, refused.json["code"])
    assert (202, "decision_kept") == (kept.status, kept.json["type"])


async def test_stop_waits_for_the_end():
    """SEMANTICS 9.1, D6: `stopped` is said when nothing of the run is left."""
    cleaned = []

    async def waits(ctx):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.05)
            cleaned.append(True)

    async with serving(chain(waits)) as served, await served.connect() as client:
        await client.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        stopped = await client.post(f"{RUN}/stop", {"reason": "enough"})
        assert cleaned
        again = await client.post(f"{RUN}/stop")

    receipts = [msgspec.json.decode(answer.body, type=CancelReceipt) for answer in (stopped, again)]
    assert [200, 200] == [stopped.status, again.status]
    assert [("stopped", "CANCELLED"), ("already_terminal", "CANCELLED")] == [(it.outcome, it.status) for it in receipts]


async def test_stop_waits_no_longer_than_it_says():
    release = trio.Event()

    async def stubborn(ctx):
        with trio.CancelScope(shield=True):
            await release.wait()

    async with serving(chain(stubborn), limits=HttpLimits(stop=0.05)) as served, await served.connect() as client:
        await client.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        stopped = await client.post(f"{RUN}/stop")
        release.set()

    assert (202, "requested", "CANCELLING") == (stopped.status, stopped.json["outcome"], stopped.json["status"])


async def test_runs_are_listed_page_by_page_and_by_graph():
    async with serving(reviewed(), chain(says("x"), name="other")) as served, await served.connect() as client:
        for number in range(3):
            await client.post(EXECUTE, {"state": {}, "run_id": f"r-{number}"})
        await client.post("/v1/graphs/other/execute/1", {"state": {}, "run_id": "else"})
        await ended(served.runtime, "else")
        first = msgspec.json.decode((await client.get(f"{GRAPH}/executions?limit=2")).body, type=Runs)
        rest = (await client.get(f"{GRAPH}/executions?limit=2&before={first.next}")).json
        none = (await client.get(f"{GRAPH}/executions?status=SUCCEEDED")).json
        other = (await client.get("/v1/graphs/other/executions?status=SUCCEEDED&status=FAILED")).json
        wrong = await client.get(f"{GRAPH}/executions?limit=many")

    assert ["r-2", "r-1"] == [line.run_id for line in first.runs]
    assert (["r-0"], "") == ([line["run_id"] for line in rest["runs"]], rest["next"])
    assert [] == none["runs"]
    assert ["else"] == [line["run_id"] for line in other["runs"]]
    assert (400, "$.limit") == (wrong.status, wrong.json["path"])


async def test_a_run_on_a_thread_begins_where_the_last_one_ended():
    async with serving(chain(counts(2))) as served, await served.connect() as client:
        await client.post(EXECUTE, {"state": {"count": 1}, "thread": "t", "run_id": "r-1"})
        await ended(served.runtime)
        await client.post(EXECUTE, {"thread": "t", "run_id": "r-2"})
        assert Tally(5) == await ended(served.runtime, "r-2")


@pytest.mark.parametrize(
    "method, path, body, status, code",
    [
        ("GET", "/", None, 404, "unknown_path"),
        ("GET", f"{GRAPH}/executions/", None, 404, "unknown_path"),
        ("GET", EXECUTE, None, 405, "wrong_method"),
        ("DELETE", RUN, None, 405, "wrong_method"),
        ("GET", f"{GRAPH}/executions/none", None, 404, "unknown_run"),
        ("GET", "/v1/graphs/other/executions/r-1", None, 404, "unknown_run"),
        ("GET", f"{GRAPH}/executions/none/events", None, 404, "unknown_run"),
        ("GET", "/v1/graphs/other/executions/r-1/events", None, 404, "unknown_run"),
        ("GET", f"{GRAPH}/executions/%2e%2e%2f", None, 404, "unknown_path"),
        ("GET", f"{GRAPH}/executions/%00%ff", None, 404, "unknown_run"),
        ("POST", "/v1/graphs/other/executions/r-1/stop", {}, 404, "unknown_run"),
        ("POST", "/v1/graphs/other/executions/r-1/decide", {"decision": {"type": "approve"}}, 404, "unknown_run"),
        ("POST", f"{GRAPH}/executions/none/stop", {}, 404, "unknown_run"),
        ("POST", "/v1/graphs/gone/execute/1", {"state": {}}, 404, "unknown_graph"),
        ("POST", f"{GRAPH}/execute/2", {"state": {}}, 404, "unknown_graph"),
        ("POST", EXECUTE, {}, 400, "malformed"),
        ("POST", EXECUTE, {"state": None}, 400, "malformed"),
        ("POST", EXECUTE, {"state": {"count": "x"}}, 400, "malformed"),
        ("POST", EXECUTE, {"state": {}, "run_id": "../r"}, 422, "invalid_request"),
        ("POST", EXECUTE, {"state": {}, "run_id": "r-1", "sudo": True}, 400, "malformed"),
        ("POST", EXECUTE, b"\xff", 400, "malformed"),
        ("POST", EXECUTE, {"state": {"count": 9}, "run_id": "r-1"}, 409, "run_conflict"),
        ("POST", EXECUTE, {"state": {}, "key": "\ud800"}, 400, "malformed"),
        ("POST", f"{RUN}/decide", {"decision": {"type": "perhaps"}}, 400, "malformed"),
        ("POST", f"{RUN}/decide", {"decision": {"type": "choose", "exit": "nowhere"}}, 409, "refused"),
        ("POST", f"{RUN}/decide", {"decision": {"type": "approve"}, "barrier": "gone@9"}, 409, "refused"),
    ],
)
async def test_what_cannot_be_is_a_problem(method, path, body, status, code):
    async with serving(reviewed()) as served, await served.connect() as client:
        await client.post(EXECUTE, {"state": {}, "run_id": "r-1"})
        answer = await client.ask(method, path, body)
        after = await client.get(RUN)

    assert (status, code) == (answer.status, answer.json["code"])
    assert "application/problem+json" == answer.headers["content-type"]
    assert answer.json["type"] == f"urn:terzetto:{code}"
    assert 200 == after.status, "the connection goes on"


async def test_requests_may_be_sent_before_the_answers_have_come():
    async with serving(reviewed()) as served, await served.connect() as client:
        head = f"GET /v1/graphs HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode()
        await client.stream.send_all(head * 5)
        heard = b""
        while 5 > heard.count(b'{"graphs":'):
            heard += await client.stream.receive_some()

    assert 5 == heard.count(b"HTTP/1.1 200")


async def test_graphs_and_the_document_are_there():
    async with serving(reviewed()) as served, await served.connect() as client:
        graphs = (await client.get("/v1/graphs")).json["graphs"]
        document = (await client.get("/v1/openapi.json")).json
        head = await client.ask("HEAD", "/v1/graphs")

    assert ["chain"] == [graph["name"] for graph in graphs]
    assert terzetto.__version__ == document["info"]["version"]
    assert (200, b"") == (head.status, head.body)


async def test_a_full_queue_says_when_to_come_again():
    gate = trio.Event()

    async def waits(ctx):
        await gate.wait()

    async with serving(chain(waits), opened={"pool_size": 1, "queue_size": 0}) as served:
        answers = [await served.post(EXECUTE, {"state": {}, "run_id": f"r-{number}"}) for number in range(2)]
        gate.set()

    assert [201, 503] == [answer.status for answer in answers]
    assert "queue_full" == answers[1].json["code"]
    assert int(answers[1].headers["retry-after"]) >= 1


async def test_a_store_that_is_gone_is_a_problem_without_its_place(monkeypatch):
    async def gone(self, run_id):
        raise StoreUnavailable("disk I/O error in /var/lib/runs.db")

    async with serving(reviewed()) as served:
        monkeypatch.setattr(type(served.runtime.store), "run", gone)
        answer = await served.get(RUN)

    assert (503, "store_unavailable") == (answer.status, answer.json["code"])
    assert b"/var" not in answer.body


async def test_options_that_make_no_sense_are_refused():
    async with terzetto.open_runtime("memory:", graphs=[reviewed()]) as runtime:
        for wrong in ({"hosts": ["*"]}, {"origins": ["null"]}):
            with pytest.raises(InvalidRequest):
                terzetto.http.app(runtime, **wrong)
    for limit in ({"rate": 0}, {"burst": -1}, {"slow": float("nan")}, {"idle": None}):
        with pytest.raises(InvalidRequest, match="has to be above 0"):
            HttpLimits(**limit)


def test_without_the_extra_it_says_what_to_install():
    program = (
        "import sys; sys.modules['starlette'] = None\n"
        "import terzetto.http\n"
        "try: terzetto.http.serve\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert "terzetto.http.serve needs starlette: pip install 'terzetto[http]'\n" == done.stdout


def test_terzetto_does_not_load_it():
    program = "import terzetto, terzetto.http, sys; print({'starlette', 'hypercorn', 'h11'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert "set()\n" == done.stdout
    assert ["HttpLimits", "Token", "app", "serve"] == dir(terzetto.http)
