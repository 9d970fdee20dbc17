"""What a plain request gets: the page, the numbers, whether all is well.

SEMANTICS 13.
"""

import re

import pytest

import terzetto
from terzetto.console import Token, _page, _site
from terzetto.console._metrics import metrics

from .consoles import place
from .runtimes import Tally, chain, says


@pytest.fixture
def graph():
    return chain(says("a"))


async def test_the_page_is_served_with_a_policy_that_lets_it_do_only_this(graph):
    async with place(graph) as here:
        page = await here.get("/")
        known = await here.get("/", f"If-None-Match: {page.headers['etag']}")
        head = await here.get("/", method="HEAD")

    policy = page.headers["content-security-policy"]
    assert (200, "text/html; charset=utf-8") == (page.status, page.headers["content-type"])
    assert "default-src 'none'" in policy
    assert f"ws://127.0.0.1:{here.port};" in policy
    assert "unsafe" not in policy
    assert ("nosniff", "DENY", "no-cache") == tuple(
        page.headers[name] for name in ("x-content-type-options", "x-frame-options", "cache-control")
    )
    assert (304, b"") == (known.status, known.body)
    assert (200, b"", str(len(page.body))) == (head.status, head.body, head.headers["content-length"])


@pytest.mark.parametrize("tokens, asks", [((), None), ((Token("reader-reader-reader"),), "Bearer")])
async def test_the_page_is_told_whether_to_ask_for_a_token(graph, tokens, asks):
    """It is for everybody, and its websocket is not: without this each browser would have to be refused once."""
    async with place(graph, tokens=tokens) as here:
        page = await here.get("/", method="HEAD")

    assert (200, asks) == (page.status, page.headers.get("www-authenticate"))


@pytest.mark.parametrize(
    "path", ["/none", "/../_server.py", "/%2e%2e/_server.py", "//etc/passwd", "/index.html/", "/page/index.html", "*"]
)
async def test_nothing_else_is_served(graph, path):
    async with place(graph) as here:
        assert (await here.get(path)).status in (400, 404)


async def test_only_get_and_head_are_answered(graph):
    async with place(graph) as here:
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
            assert 405 == (await here.get("/", method=method)).status
        assert 426 == (await here.get("/ws")).status


def test_files_have_a_type_or_are_not_there(tmp_path):
    for name in ("index.html", "main.js", "look.css", "secret.pem", ".hidden.js", "_private.js"):
        (tmp_path / name).write_text(name)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "form.mjs").write_text("form")

    assert {"/index.html", "/main.js", "/look.css", "/parts/form.mjs"} == {
        path for path, _ in _page._files(tmp_path, "/")
    }


async def test_numbers_as_prometheus_reads_them(graph):
    async with place(graph) as here:
        run = await here.runtime.submit(graph, Tally(), run_id="r")
        await run.result()
        answer = await here.get("/metrics")

    text = answer.body.decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert "text/plain; version=0.0.4; charset=utf-8" == answer.headers["content-type"]
    assert all(re.fullmatch(r'[a-z_]+(\{sink="[^"]*"\})? -?[0-9.e+-]+', line) for line in lines), text
    assert "terzetto_supervisor_ended_total 1" in lines
    assert "# TYPE terzetto_supervisor_ended_total counter" in text
    assert any(line.startswith("terzetto_console_accepted") for line in lines)


def test_labels_are_escaped():
    text = metrics({"sinks": [{"sink": 'a"b\\c\nd', "calls": 3}]}).decode()

    assert 'terzetto_sink_calls{sink="a\\"b\\\\c\\nd"} 3' in text


async def test_a_store_that_is_gone_is_not_well(graph, monkeypatch):
    async with place(graph) as here:

        async def gone(**options):
            raise terzetto.StoreUnavailable("gone")

        with monkeypatch.context() as patch:
            patch.setattr(here.runtime.store, "health", gone)
            answer = await here.get("/healthz")
        assert (503, b"the store is gone for now\n") == (answer.status, answer.body)
        assert 200 == (await here.get("/healthz")).status


def test_a_key_is_sixteen_bytes():
    assert _site._is_key("AAAAAAAAAAAAAAAAAAAAAA==")
    assert not any(map(_site._is_key, ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "!" * 24, "AAAAAAAAAAAAAAAAAAAAAAAA"]))
