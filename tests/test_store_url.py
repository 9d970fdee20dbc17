"""Store URLs: every known form, and a sentence for the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from terzetto.stores import MemoryStore, SqliteStore, open_store
from terzetto_protocol.errors import InvalidRequest


@pytest.mark.parametrize(
    "url, kind, name, level",
    [
        ("memory:", MemoryStore, "", ""),
        ("sqlite:runs.db", SqliteStore, "{cwd}/runs.db", "full"),
        ("sqlite:a/b c.db", SqliteStore, "{cwd}/a/b c.db", "full"),
        ("sqlite:///abs/runs.db", SqliteStore, "/abs/runs.db", "full"),
        ("sqlite:/abs/runs.db", SqliteStore, "/abs/runs.db", "full"),
        ("sqlite:runs.db?synchronous=normal", SqliteStore, "{cwd}/runs.db", "normal"),
        ("sqlite:runs.db?synchronous=full", SqliteStore, "{cwd}/runs.db", "full"),
        ("sqlite:odd%3Fname.db", SqliteStore, "{cwd}/odd?name.db", "full"),
    ],
)
def test_urls(url, kind, name, level) -> None:
    store = open_store(url)
    assert type(store) is kind
    if isinstance(store, SqliteStore):
        assert (store.path, store.synchronous, store.guest) == (name.format(cwd=Path.cwd()), level, False)
        assert isinstance(open_store(url, guest=True), SqliteStore)


@pytest.mark.parametrize(
    "url, said",
    [
        ("runs.db", "did you mean sqlite:runs.db?"),
        ("", "did you mean sqlite:?"),
        ("sqllite:runs.db", "did you mean sqlite:?"),
        ("memori:", "did you mean memory:?"),
        ("postgres://host/db", "there is no store 'postgres'"),
        ("memory:x", "nothing follows memory:"),
        ("sqlite:", "it names no file"),
        ("sqlite::memory:", "did you mean memory:?"),
        ("sqlite://runs.db", "it names the host 'runs.db'; did you mean sqlite:runs.db?"),
        ("sqlite:runs.db?sync=full", "there is no option 'sync'; did you mean synchronous?"),
        ("sqlite:runs.db?synchronous=off", "synchronous is full or normal, not 'off'"),
        ("sqlite:runs.db?synchronous=", "synchronous is full or normal, not ''"),
        ("sqlite:runs.db?synchronous=full&synchronous=normal", "more than once"),
    ],
)
def test_wrong_urls(url, said) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_store(url)
    assert said in str(caught.value)
    assert "known forms: memory:, sqlite:FILE" in str(caught.value)


def test_the_constructor_refuses_what_the_url_refuses() -> None:
    with pytest.raises(InvalidRequest, match="synchronous is full or normal, not 'off'"):
        SqliteStore("runs.db", synchronous="off")


def test_memory_has_no_guests() -> None:
    with pytest.raises(InvalidRequest, match="has no guests"):
        open_store("memory:", guest=True)


def test_importing_the_stores_loads_no_driver() -> None:
    check = "import sys, terzetto.stores; print(sorted({'apsw', 'cattrs', 'trio_websocket'} & sys.modules.keys()))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", check], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
