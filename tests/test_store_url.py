"""Store URLs: every known form, and a sentence for the others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from terzetto.stores import MemoryStore, PostgresStore, SqliteStore, open_store
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
        ("mysql://host/db", "there is no store 'mysql'"),
        ("postgre://ann:s3cret@host/db", "did you mean postgres:?"),
        ("postgres:db", "did you mean postgresql://db?"),
        ("postgresql:ann:s3cret@host/db", "did you mean postgresql://ann@host/db?"),
        ("postgresql://host", "it names no database"),
        ("postgresql://ann:s3cret@host/", "it names no database"),
        ("postgresql://ann:s3cret@host/db?shema=x", "there is no option 'shema'; did you mean schema?"),
        ("postgresql://host/db?foo=1", "there is no option 'foo'; there are host, lease, "),
        ("postgresql://host/db?password=s3cret", "there is no option 'password'"),
        ("postgresql://host/db?lease=soon", "lease is a number of seconds, not 'soon'"),
        ("postgresql://host/db?lease=0", "lease is a positive number of seconds, not 0.0"),
        ("postgresql://host/db?lease=nan", "lease is a positive number of seconds, not nan"),
        ("postgresql://host/db?schema=a-b", "schema: 'a-b' is no name for one"),
        ("postgresql://host/db?schema=pg_x", "schema: 'pg_x' is no name for one"),
        ("postgresql://ann:s3cret%zz@host/db", "this does not say where a Postgres server is"),
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
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("postgresql://host/db", "postgresql://host/db"),
        ("postgres://ann:s3cret@host:7/db?schema=terzetto&lease=15", "postgresql://ann@host:7/db"),
        ("postgresql://a%40b:s3%40cret@one:1,two:2/d%20b?schema=x", "postgresql://a%40b@one:1,two:2/d%20b?schema=x"),
        ("postgresql:///db?host=/var/run/postgresql&sslmode=require", "postgresql:///var/run/postgresql/db"),
        ("postgresql://host/db?lease=2.5", "postgresql://host/db?lease=2.5"),
    ],
)
def test_postgres_urls(url, shown) -> None:
    store = open_store(url)
    assert isinstance(store, PostgresStore)
    assert (store.url, store.guest, store.shared) == (shown, False, True)
    assert isinstance(open_store(url, guest=True), PostgresStore)


@pytest.mark.parametrize("ask", ["open_store('postgresql://host/db')", "PostgresStore"])
def test_what_is_not_installed_is_named(ask) -> None:
    program = f"""
import sys
sys.modules["psycopg"] = None
try:
    from terzetto.stores import *
    {ask}
except ImportError as error:
    print(error)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "terzetto.stores.PostgresStore needs psycopg: pip install 'terzetto[postgres]'\n"


def test_the_constructor_refuses_what_the_url_refuses() -> None:
    with pytest.raises(InvalidRequest, match="synchronous is full or normal, not 'off'"):
        SqliteStore("runs.db", synchronous="off")


def test_memory_has_no_guests() -> None:
    with pytest.raises(InvalidRequest, match="has no guests"):
        open_store("memory:", guest=True)


def test_importing_the_stores_loads_no_driver() -> None:
    drivers = {"apsw", "cattrs", "psycopg", "trio_websocket"}
    check = f"import sys, terzetto.stores; print(sorted({drivers} & sys.modules.keys()))"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", check], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
