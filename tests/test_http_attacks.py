"""Attacks on the HTTP server, each over a real socket: what is refused, what is not told, and what goes on."""

import json
import logging
import ssl
from pathlib import Path

import h11
import pytest
import trio

import terzetto
import terzetto.http
from terzetto.http import HttpLimits, Token
from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import MESSAGE_BYTES

from .http_client import serving
from .runtimes import chain, says
from .test_origins import STRANGE_HOSTS, STRANGE_ORIGINS

GRAPH = "/v1/graphs/chain"
EXECUTE = f"{GRAPH}/execute/1"
RUNS = f"{GRAPH}/executions"
CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""Of nobody: it is here for everybody to read."""
SECRET = "s3cret-s3cret-s3cret"
ANN = Token(SECRET, who="ann")
TOKENS = [
    ANN,
    Token("only-reads-only-reads", scopes=["read"], who="reader"),
    Token("only-decides-only-decides", scopes=["decide"], who="decider"),
    Token("only-controls-only-controls", scopes=["control"], who="controller"),
]
BODY = {"state": {}}


def graph():
    return chain(says("a"), "sign-off", says("b"))


def bearer(token):
    return f"Bearer {token.secret}"


def server_tls():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


def client_tls():
    return ssl.create_default_context(cafile=str(CERTIFICATE))


@pytest.fixture
def audited(caplog):
    caplog.set_level(logging.INFO, "terzetto.audit")

    def lines():
        return [json.loads(record.getMessage()) for record in caplog.records if record.name == "terzetto.audit"]

    return lines


# -- where it listens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "::ffff:0.0.0.0"])
@pytest.mark.parametrize("safe", ["nothing", "tls", "tokens"])
async def test_beyond_loopback_it_does_not_start_without_tls_and_a_token(host, safe):
    options = {"tls": {"tls": server_tls()}, "tokens": {"tokens": TOKENS}}.get(safe, {})
    with pytest.raises(ExceptionGroup) as caught:
        async with serving(graph(), host=host, **options):
            raise AssertionError("it listens")

    assert caught.group_contains(InvalidRequest, match=r"takes tls= and tokens=")


async def test_beyond_loopback_it_speaks_tls_to_whoever_has_a_token():
    options = {"host": "0.0.0.0", "tls": server_tls(), "tokens": [ANN], "tls_client": client_tls()}
    async with serving(graph(), **options) as served:
        assert served.urls[0].startswith("https://0.0.0.0:")
        known = await served.post(EXECUTE, BODY, authorization=bearer(ANN))
        unknown = await served.post(EXECUTE, BODY)
        called = await served.get(RUNS, host=f"localhost:{served.port}", authorization=bearer(ANN))
        with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):  # plain HTTP, where TLS is spoken
            served.tls = None
            await served.get(RUNS, authorization=bearer(ANN))

    assert [201, 401, 200] == [known.status, unknown.status, called.status]


async def test_neither_who_takes_nothing_nor_who_says_nothing_over_tls_keeps_the_server():
    flooded = trio.Event()

    async def floods(ctx):
        for _ in range(300):
            ctx.emit_text("x" * 100_000)
            await trio.lowlevel.checkpoint()
        flooded.set()

    async with serving(chain(floods), tls=server_tls(), tokens=[ANN], tls_client=client_tls()) as served:
        assert 201 == (await served.post(EXECUTE, BODY | {"run_id": "r-1"}, authorization=bearer(ANN))).status
        async with await served.connect(buffer=4096) as stuck, await served.connect() as silent:
            await silent.stream.transport_stream.send_all(b"\x16\x03\x01\x02")
            await stuck.send("GET", f"{RUNS}/r-1/events", authorization=bearer(ANN))
            assert 200 == (await stuck.begin()).status
            await flooded.wait()
            with trio.fail_after(2):
                served.scope.cancel()
                await served.left.wait()


async def test_an_app_that_another_server_shows_to_the_world_answers_nobody():
    async with terzetto.open_runtime("memory:", graphs=[graph()]) as runtime:
        app = terzetto.http.app(runtime, tokens=[ANN])
        for scheme, port, status in (("http", 80, 403), ("https", 443, 401)):
            assert status == (await asked(app, ("10.0.0.7", port), scheme))["status"]
        bare = terzetto.http.app(runtime)
        assert 403 == (await asked(bare, ("10.0.0.7", 443), "https"))["status"]
        assert 403 == (await asked(bare, None, "http"))["status"]
        assert 200 == (await asked(bare, ("127.0.0.1", 80), "http", host=b"127.0.0.1"))["status"]
        assert 505 == (await asked(bare, ("127.0.0.1", 80), "http", host=b"127.0.0.1", version="2"))["status"]


async def asked(app, server, scheme, *, host=b"10.0.0.7", version="1.1"):
    """What an app answers first to a request for its graphs, without any server."""
    said = []
    scope = {
        "type": "http", "method": "GET", "path": "/v1/graphs", "raw_path": b"/v1/graphs", "query_string": b"",
        "root_path": "", "headers": [(b"host", host)], "client": ("10.0.0.9", 5), "server": server,
        "scheme": scheme, "http_version": version,
    }  # fmt: skip

    came = []

    async def receive():
        if came:
            await trio.sleep_forever()
        came.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message)

    await app(scope, receive, send)
    return said[0]


# -- who asks -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        None, "", "Bearer", "Bearer x", f"Basic {SECRET}", f"Bearer {SECRET}x", f"Bearer {SECRET[:-1]}", SECRET,
        f"Bearer {SECRET}, Bearer {SECRET}",
    ],
)  # fmt: skip
async def test_without_its_token_nobody_gets_anything(said, audited):
    async with serving(graph(), tokens=TOKENS) as served:
        answers = [
            await served.ask(method, path, body, authorization=said)
            for method, path, body in [
                ("GET", RUNS, None), ("GET", "/v1/openapi.json", None), ("GET", f"{RUNS}/r-1/events", None),
                ("GET", "/nowhere", None), ("POST", EXECUTE, BODY), ("OPTIONS", RUNS, None),
            ]
        ]  # fmt: skip
        assert [] == await served.runtime.runs()

    assert {(401, "unauthenticated", "Bearer")} == {
        (answer.status, answer.json["code"], answer.headers["www-authenticate"]) for answer in answers
    }
    assert [("", "refused: unauthenticated", f"POST {EXECUTE}")] == [
        (line["who"], line["outcome"], line["command"]) for line in audited()
    ]


async def test_a_token_in_a_url_is_none_and_is_written_nowhere(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    async with serving(graph(), tokens=TOKENS) as served:
        for name in ("token", "access_token", "authorization"):
            assert 401 == (await served.get(f"{RUNS}?{name}={SECRET}")).status
            known = await served.get(f"{RUNS}/r-1?{name}={SECRET}", authorization=bearer(ANN))
            assert (400, "malformed") == (known.status, known.json["code"])
            assert SECRET.encode() not in known.body
        await served.post(EXECUTE, BODY, authorization=bearer(ANN))
        await served.post(EXECUTE, b"{", authorization=bearer(ANN))

    out = capfd.readouterr()
    assert SECRET not in caplog.text + out.out + out.err


@pytest.mark.parametrize("token, may", [*zip(TOKENS[1:], ("read", "decide", "control"), strict=True)])
async def test_a_scope_lets_do_what_it_says_and_nothing_else(token, may, audited):
    asks = [
        ("read", "GET", RUNS, None),
        ("read", "GET", f"{RUNS}/r-1", None),
        ("read", "GET", f"{RUNS}/r-1/events", None),
        ("read", "GET", "/v1/graphs", None),
        ("read", "GET", "/v1/openapi.json", None),
        ("decide", "POST", f"{RUNS}/r-1/decide", {"decision": {"type": "approve"}}),
        ("control", "POST", EXECUTE, BODY),
        ("control", "POST", f"{RUNS}/r-1/stop", {}),
    ]
    async with serving(graph(), tokens=TOKENS) as served:
        await served.post(EXECUTE, BODY | {"run_id": "r-1"}, authorization=bearer(ANN))
        await served.runtime.get("r-1").decide("sign-off", terzetto.Approve(), keep="once")
        await served.runtime.get("r-1").result()
        for scope, method, path, body in asks:
            answer = await served.ask(method, path, body, authorization=bearer(token))
            if scope == may:
                assert answer.status in (200, 201, 409), path
            else:
                assert (403, "not_allowed", {"scope": scope}) == (
                    answer.status, answer.json["code"], answer.json["data"],
                )  # fmt: skip

    lines = [line for line in audited() if line["who"] == token.who]
    assert ["decide", "submit", "cancel"] == [line["command"] for line in lines]
    assert {"read": 3, "decide": 2, "control": 1}[may] == sum(
        line["outcome"] == "failed: not_allowed" for line in lines
    )


async def test_who_decides_is_whose_token_it_is(audited):
    async with serving(graph(), tokens=TOKENS) as served:
        await served.post(EXECUTE, BODY | {"run_id": "r-1"}, authorization=bearer(ANN))
        await served.runtime.store.runs()
        decided = await served.post(
            f"{RUNS}/r-1/decide",
            {"barrier": "sign-off", "decision": {"type": "approve"}, "keep": "once", "command_id": "c-9"},
            authorization=bearer(TOKENS[2]),
        )
        told = await served.events(f"{RUNS}/r-1/events", until="BarrierResolved", authorization=bearer(ANN))

    assert decided.status in (200, 202)
    assert "decider" == told[-1].data["source"]
    assert {
        "who": "decider", "client": "127.0.0.1", "request": None, "command": "decide", "run": "r-1",
        "command_id": "c-9", "outcome": decided.json["type"],
    } == audited()[-1]  # fmt: skip


# -- from where -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [host for host in STRANGE_HOSTS if host.isascii() and host.strip() == host])
async def test_a_host_of_elsewhere_is_refused(host, audited):
    """DNS rebinding: the page of another site has its own name lead here, and says it."""
    async with serving(graph()) as served:
        port = str(served.port)
        answer = await served.post(
            EXECUTE, BODY, host=host.replace("8080", port) if "localhost:0" not in host else host
        )
        assert [] == await served.runtime.runs()

    assert answer.status in (400, 421)
    assert answer.status == 400 or "wrong_host" == answer.json["code"]


async def test_two_hosts_are_none():
    async with serving(graph()) as served, await served.connect() as client:
        own = client.host
        await client.stream.send_all(f"GET {RUNS} HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n".encode())
        assert b" 400 " in (await client.stream.receive_some())[:20]
        async with await served.connect() as bare:
            await bare.stream.send_all(f"GET {RUNS} HTTP/1.0\r\n\r\n".encode())
            assert b" 421 " in (await bare.stream.receive_some())[:20]
        async with await served.connect() as proxied:
            await proxied.stream.send_all(f"GET http://evil.example{RUNS} HTTP/1.1\r\nHost: {own}\r\n\r\n".encode())
            assert b" 404 " in (await proxied.stream.receive_some())[:20]


@pytest.mark.parametrize("origin", STRANGE_ORIGINS)
async def test_a_page_of_elsewhere_is_refused(origin, audited):
    async with serving(graph(), origins=["https://runs.example.com"]) as served:
        read = await served.get(RUNS, origin=origin)
        written = await served.post(EXECUTE, BODY, origin=origin)
        before = await served.ask("OPTIONS", EXECUTE, origin=origin, access_control_request_method="POST")
        assert [] == await served.runtime.runs()

    for answer in (read, written, before):
        assert (403, "wrong_origin") == (answer.status, answer.json["code"])
        assert "access-control-allow-origin" not in answer.headers
    assert ["refused: wrong_origin"] == [line["outcome"] for line in audited()]


async def test_a_listed_page_and_the_servers_own_may_ask():
    async with serving(graph(), origins=["https://runs.example.com"], tokens=[ANN]) as served:
        for origin in (
            "https://runs.example.com",
            f"http://127.0.0.1:{served.port}",
            f"http://localhost:{served.port}",
        ):
            before = await served.ask("OPTIONS", EXECUTE, origin=origin, access_control_request_method="POST")
            asked = await served.post(EXECUTE, BODY, origin=origin, authorization=bearer(ANN))
            unknown = await served.get(RUNS, origin=origin)
            assert [204, 201, 401] == [before.status, asked.status, unknown.status]
            assert {origin} == {each.headers["access-control-allow-origin"] for each in (before, asked, unknown)}
            assert "authorization" in before.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in before.headers


async def test_a_listed_host_is_believed_behind_a_proxy():
    async with serving(graph(), hosts=["runs.example.com"]) as served:
        assert 200 == (await served.get(RUNS, host="runs.example.com")).status
        for host in (f"runs.example.com:{served.port}", "x.runs.example.com", "runs.example.com.evil.example"):
            assert 421 == (await served.get(RUNS, host=host)).status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_of_another_page_is_no_command(kind):
    """A browser sends these without asking first, and without an Origin where it is old."""
    async with serving(graph()) as served:
        answer = await served.post(EXECUTE, BODY, content_type=kind)
        assert [] == await served.runtime.runs()

    assert (415, "wrong_media_type") == (answer.status, answer.json["code"])


async def test_a_websocket_is_not_spoken_here():
    lines = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: " + "A" * 22 + "==",
    ]
    async with serving(graph()) as served, await served.connect() as client:
        head = "\r\n".join([f"GET {RUNS} HTTP/1.1", f"Host: {client.host}", *lines, "", ""])
        await client.stream.send_all(head.encode())
        assert b" 403 " in (await client.stream.receive_some())[:20]
        assert 200 == (await served.get(RUNS)).status


@pytest.mark.parametrize("upgrade", [True, False])
async def test_http_2_is_not_spoken_here(upgrade):
    async with serving(graph()) as served, await served.connect() as client:
        lines = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
        head = "\r\n".join([f"GET {RUNS} HTTP/1.1", f"Host: {client.host}", *lines, "", ""])
        await client.stream.send_all(head.encode() if upgrade else b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        heard = b""
        with trio.move_on_after(0.2):
            while more := await client.stream.receive_some():
                heard += more
        assert b"executions" not in heard
        assert b'"runs"' not in heard
        assert 200 == (await served.get(RUNS)).status


# -- how much, and how often ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [MESSAGE_BYTES + 1, 8 * MESSAGE_BYTES])
async def test_a_body_over_its_limit_is_refused_and_says_so(size):
    async with serving(graph()) as served:
        answer = await served.post(EXECUTE, b'{"state":"' + b"x" * size + b'"}')
        assert (413, "too_large") == (answer.status, answer.json["code"])
        assert 200 == (await served.get(RUNS)).status


async def test_a_body_that_nobody_reads_holds_nothing_up():
    """Hypercorn's queue of ten pieces is full long before, and its reader waits for room in it."""
    body = b"x" * 4 * MESSAGE_BYTES
    async with serving(graph(), limits=HttpLimits(address=2)) as served:
        for method, path in [("GET", RUNS), ("POST", "/nowhere"), ("GET", "/v1/graphs")] * 3:
            answer = await served.ask(method, path, body)
            assert answer.status in (200, 404), path


async def test_depth_is_checked_before_decoding():
    async with serving(graph()) as served:
        for deep in (b"[" * 100_000, b'{"a":' * 100_000, b'{"state":' + b"[" * 65 + b"]" * 65 + b"}"):
            answer = await served.post(EXECUTE, deep)
            assert (400, "malformed") == (answer.status, answer.json["code"])
            assert "deeper than 64" in answer.json["detail"]


async def test_a_body_that_does_not_come_is_given_up():
    async with serving(graph(), limits=HttpLimits(body=0.05)) as served, await served.connect() as client:
        head = [
            f"POST {EXECUTE} HTTP/1.1",
            f"Host: {client.host}",
            "Content-Type: application/json",
            "Content-Length: 50",
        ]
        await client.stream.send_all(("\r\n".join([*head, "", ""]) + "{").encode())
        answer = b""
        while more := await client.stream.receive_some():
            answer += more

    assert b" 408 " in answer[:20]
    assert b"too_slow" in answer


@pytest.mark.parametrize("said", [b"", b"GET ", b"GET /v1 HTTP/1.1\r\nHost: x\r\nA: "])
async def test_a_head_that_does_not_come_is_given_up(said):
    async with serving(graph(), limits=HttpLimits(idle=0.1)) as served, await served.connect() as client:
        if said:
            await client.stream.send_all(said)
        assert b"" == await client.stream.receive_some()


async def test_a_head_that_does_not_end_is_refused():
    async with serving(graph()) as served, await served.connect() as client:
        with pytest.raises(trio.BrokenResourceError):
            await client.stream.send_all(b"GET / HTTP/1.1\r\nA: " + b"x" * 50_000)
            for _ in range(100):
                await client.stream.send_all(b"x" * 50_000)
                await trio.lowlevel.checkpoint()
        assert 200 == (await served.get(RUNS)).status


async def test_who_asks_too_often_is_told_when_to_come_again(audited):
    async with serving(graph(), limits=HttpLimits(rate=0.1, burst=3)) as served, await served.connect() as client:
        answers = [await client.get(RUNS) for _ in range(4)]
        refused = await client.post(EXECUTE, BODY)
        other = await served.get(RUNS)

    assert [200, 200, 200, 429] == [answer.status for answer in answers]
    assert "rate_limited" == answers[-1].json["code"]
    assert 0 < answers[-1].json["data"]["retry_after"] <= 10
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    assert (429, 429) == (refused.status, other.status), "also on another connection"
    assert ["refused: rate_limited"] == [line["outcome"] for line in audited()]


async def test_guessing_a_token_is_limited():
    async with serving(graph(), tokens=[ANN], limits=HttpLimits(rate=0.001, burst=3)) as served:
        guesses = [(await served.get(RUNS, authorization=f"Bearer guess-{number}")).status for number in range(5)]
        right = (await served.get(RUNS, authorization=bearer(ANN))).status

    assert [401, 401, 401, 429, 429, 429] == [*guesses, right]


@pytest.mark.parametrize("limits", [HttpLimits(address=2), HttpLimits(connections=2)])
async def test_there_is_room_for_so_many_connections(limits):
    async with serving(graph(), limits=limits) as served:
        async with await served.connect() as one, await served.connect() as two:
            assert [200, 200] == [(await client.get(RUNS)).status for client in (one, two)]
            async with await served.connect() as third:
                with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
                    await third.get(RUNS)
            assert 200 == (await one.get(RUNS)).status
        while not await answers(served):  # noqa: ASYNC110 - the server counts it out in its own time
            await trio.sleep(0.01)


async def answers(served):
    """Whether there is room again."""
    try:
        return 200 == (await served.get(RUNS)).status
    except (trio.BrokenResourceError, h11.RemoteProtocolError):
        return False


async def test_whoever_sends_nonsense_ends_only_its_own_connection():
    nonsense = [
        b"\0" * 100,
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        bytes(range(256)) * 10,
        b"\x16\x03\x01\x02\0",
    ]
    async with serving(graph(), limits=HttpLimits(idle=0.2)) as served:
        for said in nonsense:
            async with await served.connect() as client:
                await client.stream.send_all(said)
                with trio.move_on_after(0.05):
                    await client.stream.receive_some()
        chunked = [f"POST {EXECUTE} HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked"]
        async with await served.connect() as client:
            head = "\r\n".join([*chunked, f"Host: {client.host}", "", ""])
            await client.stream.send_all(head.encode() + b"zz\r\n")
            assert b" 400 " in (await client.stream.receive_some())[:20]
        assert 200 == (await served.get(RUNS)).status


# -- what is told ---------------------------------------------------------------------------------------------


async def test_nothing_of_the_inside_is_told(monkeypatch, caplog):
    async def broken(self, *args, **options):
        raise RuntimeError("boom in /srv/terzetto/runs.db")

    async with serving(graph()) as served:
        await served.post(EXECUTE, BODY | {"run_id": "r-1"})
        for name in ("run", "runs", "barriers"):
            monkeypatch.setattr(type(served.runtime.store), name, broken)
        answers = [await served.get(path) for path in (RUNS, f"{RUNS}/r-1", f"{RUNS}/r-1/events")]
        answers.append(await served.post(f"{RUNS}/r-1/stop"))
        monkeypatch.undo()

    for answer in answers:
        assert (500, "internal") == (answer.status, answer.json["code"])
        assert {"type", "title", "status", "detail", "code"} == set(answer.json)
        for word in (b"boom", b"/srv", b"Traceback", b"RuntimeError", b".py"):
            assert word not in answer.body
        assert "server" not in answer.headers
    assert "boom in /srv" in caplog.text, "the log says what"


async def test_a_failure_is_told_without_its_frames():
    async def breaks(ctx):
        raise ValueError("no such colour")

    async with serving(chain(breaks)) as served:
        await served.post(EXECUTE, BODY | {"run_id": "r-1"})
        events = await served.events(f"{RUNS}/r-1/events")
        shown = await served.get(f"{RUNS}/r-1")
        commits = await served.runtime.get("r-1").history()

    assert any(commit.detail and commit.detail.get("trace") for commit in commits), "the store has them"
    assert "no such colour" in shown.json["failure"]["message"]
    assert [] == shown.json["failure"]["trace"]
    assert [[]] == [item.data["failure"]["trace"] for item in events if item.event == "NodeFailed"]
    assert __file__.encode() not in shown.body


async def test_an_error_of_a_users_state_is_told_without_a_stack():
    async with serving(graph()) as served:
        answer = await served.post(EXECUTE, {"state": {"count": [1]}})

    assert (400, "$.count") == (answer.status, answer.json["path"])
    assert b".py" not in answer.body


async def test_every_answer_says_how_it_may_be_used():
    async with serving(graph()) as served:
        for path in (RUNS, "/nowhere"):
            headers = (await served.get(path)).headers
            assert ("nosniff", "same-origin", "origin") == (
                headers["x-content-type-options"], headers["cross-origin-resource-policy"], headers["vary"],
            )  # fmt: skip
