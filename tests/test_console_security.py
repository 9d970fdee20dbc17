"""Attacks on a real port: who may connect, from where, with what, and how much.

SEMANTICS 13: what the console refuses by default.
"""

import logging
import ssl
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import trio

import terzetto
from terzetto.console import Token, _connection, _server, connect, serve
from terzetto_protocol.wire_errors import WireError

from .consoles import (
    GREET,
    PROTOCOL,
    SECRET,
    asked,
    closes,
    framed,
    frames,
    heard,
    place,
    rest,
    shaken,
    token_header,
    token_protocol,
)
from .runtimes import chain, says

TLS = Path(__file__).with_name("tls")
ALL = Token(SECRET, who="ann")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Who attacks does not answer a close: nobody need wait for that."""
    monkeypatch.setattr(_connection, "_LEAVE", 0.05)


@pytest.fixture
def graph():
    return chain(says("a"), "ok")


# -- where it listens


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
async def test_a_port_that_others_can_reach_needs_tls_and_a_token(host):
    """SEMANTICS 13.1: the error says what to do, and nothing was opened."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    async with terzetto.open_runtime("memory:", graphs=[chain(says("a"))]) as runtime:
        for options, missing in [
            ({}, "tls= and tokens="),
            ({"tls": context}, "tokens="),
            ({"tokens": [ALL]}, "tls="),
        ]:
            with pytest.raises(terzetto.InvalidRequest, match=f"needs {missing} there; or say 127.0.0.1"):
                await serve(runtime, host=host, port=0, **options)


async def test_with_tls_a_token_and_a_certificate_it_is_spoken_to(graph):
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    client = ssl.create_default_context(cafile=TLS / "cert.pem")
    async with place(graph, host="localhost", tls=server, tokens=[ALL]) as here:
        assert here.url.startswith("wss://localhost:")
        async with connect(here.url, token=SECRET, tls=client) as console:
            assert ("control", "decide", "read") == console.hello.scopes
        with pytest.raises(WireError, match="certificate verify failed"):
            async with connect(here.url, token=SECRET):
                pass


# -- who


async def test_nobody_comes_in_without_the_token(graph):
    """SEMANTICS 13.2: a header for programs, a subprotocol for browsers, and nothing else."""
    async with place(graph, tokens=[ALL]) as here:
        for lines in [
            [],
            [token_header("")],
            [token_header("not-the-secret-of-it")],
            [token_header(SECRET + "x")],
            [token_header(SECRET[:-1])],
            [f"Authorization: Basic {SECRET}"],
            [token_header(), token_header()],
            [token_protocol("not-the-secret-of-it")],
            [f"{PROTOCOL}, terzetto.token.!!!"],
            [f"{token_protocol()}, terzetto.token.AAAA"],
            [f"Cookie: token={SECRET}"],
        ]:
            assert 401 == (await here.shake(*lines)).status, lines
        assert 401 == (await here.shake(path=f"/ws?token={SECRET}")).status
        assert 101 == (await here.shake(token_header())).status
        accepted = await here.shake(token_protocol())

    assert (101, "terzetto.1") == (accepted.status, accepted.headers["sec-websocket-protocol"])


async def test_a_token_is_in_no_log_and_in_no_repr(graph, caplog):
    caplog.set_level(logging.DEBUG)
    async with place(graph, tokens=[ALL]) as here:
        await here.shake(token_header())
        await here.shake(token_header(SECRET + "x"))
        async with connect(here.url, token=SECRET) as console:
            await console.submit("chain", b"{}", run_id="r")
            said = repr(console) + repr(vars(here.serving) if hasattr(here.serving, "__dict__") else here.serving)

    ours = [record.getMessage() for record in caplog.records if record.name.startswith("terzetto")]
    assert SECRET not in repr(ALL) + str(ALL) + said + "".join(ours)


def test_a_token_is_sent_to_another_machine_over_tls_only():
    async def main():
        async with connect("ws://192.0.2.1/ws", token=SECRET):
            pass

    with pytest.raises(terzetto.InvalidRequest, match="say wss://"):
        trio.run(main)


async def test_each_token_may_do_what_its_scopes_say(graph):
    """SEMANTICS 13.2: read, decide, control; none includes another."""
    tokens = [
        Token("reader-reader-reader", {"read"}),
        Token("decider-decider-decider", {"decide"}, who="dan"),
        Token("control-control-control", {"control"}),
    ]
    cancel = {"type": "cancel", "command_id": "c", "run_id": "r"}
    approve = {"type": "decide", "command_id": "d", "run_id": "r", "barrier": "", "decision": {"type": "approve"}}
    async with place(graph, tokens=tokens) as here:
        await here.runtime.submit(graph, graph.state(), run_id="r")
        outcomes = {}
        for token in tokens:
            async with here.socket((b"authorization", f"Bearer {token.secret}".encode())) as socket:
                answers = [
                    await asked(socket, number, **ask)
                    for number, ask in enumerate(
                        [{"type": "list"}, {**approve, "barrier": "none"}, {**cancel, "run_id": "x"}]
                    )
                ]
                outcomes[token.secret[:7]] = [answer.get("code", answer["type"]) for answer in answers]

    assert {
        "reader-": ["reply", "not_allowed", "not_allowed"],
        "decider": ["not_allowed", "refused", "not_allowed"],
        "control": ["not_allowed", "not_allowed", "reply"],
    } == outcomes


async def test_the_numbers_need_a_token_that_may_read(graph):
    async with place(graph, tokens=[ALL, Token("decider-decider-decider", {"decide"})]) as here:
        assert 401 == (await here.get("/metrics")).status
        assert 401 == (await here.get("/metrics", token_header("decider-decider-decider"))).status
        assert 401 == (await here.get(f"/metrics?token={SECRET}")).status
        assert 200 == (await here.get("/metrics", token_header())).status
        assert (200, b"fine\n") == ((answer := await here.get("/healthz")).status, answer.body)


# -- from where


async def test_pages_of_other_origins_are_refused_before_the_handshake(graph):
    """SEMANTICS 13.3: the whole origin counts, with its scheme and its port."""
    async with place(graph, origins=["https://runs.example.com"]) as here:
        port = here.port
        for origin in [
            "null",
            "",
            "https://evil.example",
            f"http://127.0.0.1:{port}.evil.example",
            f"http://127.0.0.1:{port}@evil.example",
            f"http://evil.example/127.0.0.1:{port}",
            f"http://127.0.0.1:{port}/",
            f"https://127.0.0.1:{port}",
            f"http://127.0.0.1:{port + 1}",
            "http://127.0.0.1",
            f"http://x127.0.0.1:{port}",
            f"http://localhost.:{port}",
            "http://runs.example.com",
            "https://runs.example.com:8443",
            "https://runs.example.com.evil.example",
            "https://evil-runs.example.com",
            "https://example.com",
            "file://",
            "chrome-extension://abc",
        ]:
            answer = await here.shake(f"Origin: {origin}")
            assert 403 == answer.status, origin
            assert b"may not" in answer.body
        assert 403 == (await here.shake(f"Origin: http://127.0.0.1:{port}", "Origin: https://evil.example")).status
        for origin in [
            f"http://127.0.0.1:{port}",
            f"http://localhost:{port}",
            f"HTTP://LOCALHOST:{port}".replace("HTTP", "http"),
            f"http://[::1]:{port}",
            "https://runs.example.com",
            "https://runs.example.com:443",
        ]:
            assert 101 == (await here.shake(f"Origin: {origin}")).status, origin


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/ws"])
async def test_a_name_that_leads_here_by_dns_is_not_ours(graph, path):
    """SEMANTICS 13.3: DNS rebinding; also for what is not secret."""
    async with place(graph, hosts=["runs.example.com"]) as here:
        port = here.port
        for host in [
            "evil.example",
            f"evil.example:{port}",
            f"127.0.0.1.evil.example:{port}",
            "127.0.0.1",
            f"127.0.0.1:{port + 1}",
            f"user@127.0.0.1:{port}",
            f"0.0.0.0:{port}",
            "xruns.example.com",
            "runs.example.com.evil.example",
            f"runs.example.com:{port}",
        ]:
            assert 421 == (await here.get(path, host=host)).status, host
            assert 421 == (await here.shake(host=host)).status, host
        twice = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\n\r\n"
        assert 400 == (await here.raw(twice.encode())).status
        assert 421 == (await here.raw(f"GET {path} HTTP/1.0\r\n\r\n".encode())).status
        for host in [f"127.0.0.1:{port}", f"LocalHost:{port}", f"[::1]:{port}", "runs.example.com"]:
            assert 101 == (await here.shake(host=host)).status, host


# -- the handshake


async def test_a_handshake_has_to_be_one(graph):
    async with place(graph) as here:
        for lines, leave_out, status in [
            ([], "Sec-WebSocket-Key", 400),
            (["Sec-WebSocket-Key: short"], "Sec-WebSocket-Key", 400),
            (["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAA"], "Sec-WebSocket-Key", 400),
            (["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="], "", 400),
            (["Sec-WebSocket-Version: 8"], "Sec-WebSocket-Version", 426),
            ([], "Sec-WebSocket-Version", 426),
            (["Upgrade: h2c"], "Upgrade", 400),
            ([], "Upgrade", 400),
            ([], "Connection", 400),
            (["Sec-WebSocket-Protocol: chat"], "", 400),
            ([], "Sec-WebSocket-Protocol", 400),
        ]:
            assert status == (await here.shake(*lines, leave_out=leave_out)).status, (lines, leave_out)
        assert 404 == (await here.shake(path="/elsewhere")).status
        early = here.handshake() + framed(GREET.encode())
        async with await here.stream() as stream:
            assert 400 == (await shaken(stream, early)).status


async def test_nothing_is_compressed(graph):
    async with place(graph) as here:
        answer = await here.shake("Sec-WebSocket-Extensions: permessage-deflate")

    assert 101 == answer.status
    assert "sec-websocket-extensions" not in answer.headers


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", b"\x16\x03\x01"], ids=repr
)
async def test_who_is_slow_with_a_request_is_cut_off(graph, begin, monkeypatch):
    """SEMANTICS 13.4: slowloris, also where each byte comes in time."""
    monkeypatch.setattr(_server, "CONSOLE_HANDSHAKE", 0.3)
    async with place(graph) as here:
        async with await here.stream() as stream:
            await stream.send_all(begin)
            with trio.fail_after(10):
                try:
                    while True:
                        await stream.send_all(b"x")
                        await trio.sleep(0.02)
                except trio.BrokenResourceError:
                    pass
        assert 200 == (await here.get()).status


async def test_who_does_not_greet_is_closed(graph, monkeypatch):
    monkeypatch.setattr(_connection, "CONSOLE_HANDSHAKE", 0.1)
    async with place(graph) as here, here.opened() as stream:
        assert [1008] == closes(await frames(stream))


@pytest.mark.parametrize(
    "data, status",
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello", 413),
        (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"\x00\x01\x02\x03\r\n\r\n", 400),
        (b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
    ],
)
async def test_what_is_no_request_is_refused(graph, data, status):
    async with place(graph) as here:
        assert status == (await here.raw(data)).status


# -- how much


async def test_a_frame_that_is_too_large_is_refused_by_its_head(graph):
    """SEMANTICS 13.5: before any of its payload has come."""
    async with place(graph) as here:
        for size in (2**20 + 1, 2**32, 2**62):
            async with here.opened() as stream:
                await stream.send_all(framed(b"", size=size))
                assert [1009] == closes(await frames(stream)), size


async def test_a_message_in_pieces_is_no_larger(graph):
    async with place(graph) as here:
        async with here.opened() as stream:
            await stream.send_all(framed(b"x" * 600_000, final=False))
            await stream.send_all(framed(b"", opcode=0, size=600_000))
            assert [1009] == closes(await frames(stream))
        async with here.opened() as stream:
            await stream.send_all(framed(b"", final=False) + framed(b"", opcode=0, final=False) * 2000)
            assert [1008] == closes(await frames(stream))


async def test_a_flood_of_pings_is_the_end_of_a_connection(graph):
    async with place(graph) as here, here.opened() as stream:
        with trio.move_on_after(5):
            with suppress(trio.BrokenResourceError):
                await stream.send_all(framed(b"", opcode=9) * 5000)
        assert [1008] == closes(await frames(stream))


async def test_a_frame_that_is_none_is_told_so_and_the_connection_stays(graph):
    deep = '{"type":"request","id":2,"ask":' + "[" * 200 + "]" * 200 + "}"
    async with place(graph) as here, here.socket() as socket:
        codes = []
        for text in ["", "{", "[]", '{"type":"evil"}', deep, '{"type":"request","id":1,"ask":{"type":"list","x":1}}']:
            await socket.send_message(text)
            codes.append((await heard(socket))["code"])
        assert ["malformed"] * 6 == codes
        assert "reply" == (await asked(socket, 3, type="list"))["type"]


@pytest.mark.parametrize(
    "data, code",
    [
        (framed(b"\xff\xfe"), 1007),
        (framed(b"{}", opcode=2), 1003),
        (b"\x81\x02{}", 1002),
        (framed(b"{}", opcode=3), 1002),
        (b"\xf1\x80\0\0\0\0", 1002),
        (framed(b"x" * 126, opcode=9), 1002),
    ],
    ids=["not UTF-8", "bytes", "not masked", "unknown opcode", "reserved bits", "a long ping"],
)
async def test_what_is_no_websocket_is_closed(graph, data, code):
    async with place(graph) as here:
        async with here.opened() as stream:
            await stream.send_all(data)
            assert closes(await frames(stream)) in ([code], [])  # the connection may go before it can be said
        assert 101 == (await here.shake()).status


async def test_who_asks_too_much_is_told_when_to_come_again(graph):
    """SEMANTICS 13.5: a typed reply, and the connection stays."""
    async with place(graph) as here, here.socket() as socket:
        for number in range(230):
            await socket.send_message(f'{{"type":"request","id":{number},"ask":{{"type":"list","limit":0}}}}')
        answers = [await heard(socket) for _ in range(230)]

    limited = [answer for answer in answers if answer.get("code") == "rate_limited"]
    assert limited
    assert all(0 < answer["data"]["retry_after"] < 1 for answer in limited)


async def test_one_address_has_so_many_connections_and_no_more(graph):
    async with place(graph, max_per_address=2) as here:
        async with here.opened(), here.opened():
            assert 0 == (await here.get()).status
        with trio.fail_after(5):
            while (await here.get()).status != 200:  # until the server hears that the others have left
                await trio.lowlevel.checkpoint()


async def test_all_addresses_together_have_so_many(graph):
    async with place(graph, max_connections=1) as here:
        async with here.opened():
            assert 0 == (await here.get()).status


async def test_who_does_not_answer_a_ping_is_closed(graph, monkeypatch):
    monkeypatch.setattr(_connection, "CONSOLE_PING", 0.05)
    monkeypatch.setattr(_connection, "CONSOLE_PONG", 0.05)
    async with place(graph) as here, here.opened() as stream:
        await stream.send_all(framed(GREET.encode()))
        found = await frames(stream)

    assert [1011] == closes(found)
    assert 9 in [opcode for opcode, _ in found]


async def test_a_connection_that_breaks_ends_no_other(graph):
    async with place(graph) as here, here.socket() as socket:
        for data in [b"", framed(GREET.encode()), framed(GREET.encode())[:5]]:
            async with here.opened() as stream:
                await stream.send_all(data)
        assert "reply" == (await asked(socket, 1, type="list"))["type"]


# -- what is told


async def test_clients_see_no_stack_and_no_path(monkeypatch, caplog):
    """SEMANTICS 13.6: of what is the server's own they hear that something is wrong, and its log has the rest."""

    async def explode(ctx):
        raise ValueError("this is the node's own text")

    graph = chain(explode)
    async with place(graph) as here, here.socket() as socket:
        run = await here.runtime.submit(graph, graph.state(), run_id="r")
        await run.result()

        async def broken(*args, **options):
            raise RuntimeError("/secret/place is broken")

        texts = [
            str(await asked(socket, 1, type="get", run_id="r")),
            str(await asked(socket, 2, type="history", run_id="r")),
            str(await asked(socket, 3, type="commit", run_id="r", seq=3)),
            str(await asked(socket, 4, type="get", run_id="../../etc/passwd")),
        ]
        async with connect(here.url) as console, console.watch("r") as events:
            told = [event async for event in events]
        monkeypatch.setattr(here.runtime.store, "run", broken)
        answer = await asked(socket, 5, type="get", run_id="r")

    assert "this is the node's own text" in texts[0]
    texts.append(repr(told))
    assert not [text for text in texts if __file__ in text or "in explode" in text or "Traceback" in text]
    assert ("internal", {}) == (answer["code"], answer["data"])
    assert "/secret" not in str(answer)
    assert "/secret/place is broken" in caplog.text


async def test_every_command_has_a_line_in_the_audit_log(graph, caplog):
    """SEMANTICS 13.7: who, what, to which run, and what became of it; queries have none."""
    caplog.set_level(logging.INFO, "terzetto.audit")
    tokens = [ALL, Token("reader-reader-reader", {"read"}, who="ron")]
    async with place(graph, tokens=tokens) as here:
        async with connect(here.url, token=SECRET, name="test") as console:
            await console.submit("chain", b"{}", run_id="r")
            with pytest.raises(terzetto.UnknownRun):
                await console.pause("none")
        async with connect(here.url, token="reader-reader-reader") as console:
            with pytest.raises(WireError):
                await console.cancel("r")

    lines = [msgspec.json.decode(record.getMessage()) for record in caplog.records if record.name == "terzetto.audit"]
    assert [
        ("ann", "test", "submit", "r", "submitted"),
        ("ann", "test", "pause", "none", "failed: unknown_run"),
        ("ron", "cancel", "r", "refused: not_allowed"),
    ] == [
        tuple(
            line[key]
            for key in ("who", "client", "command", "run", "outcome")
            if line["who"] == "ann" or key != "client"
        )
        for line in lines
    ]


async def test_a_server_that_leaves_says_so(graph):
    async with place(graph) as here, here.opened() as stream:
        await stream.send_all(framed(GREET.encode()))
        here.nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.move_on_after(5):
            assert [1001] == closes(await frames(stream))


async def test_rest_reads_to_the_end(graph):
    """The helper of these tests."""
    async with place(graph) as here, await here.stream() as stream:
        await stream.send_all(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await rest(stream)).startswith(b"HTTP/1.1 421")
