"""`terzetto.langgraph.Checkpointer`: what the conformance suite does not ask."""

import asyncio
import signal
import subprocess
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

import ormsgpack
import pytest
import trio
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from pydantic import BaseModel

import terzetto._shelves._postgres
import terzetto._shelves._redis_thread
import terzetto.langgraph
from terzetto_protocol.errors import (
    BlocksTheLoop,
    InvalidRequest,
    NotStorable,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
)

from . import postgres_servers, redis_servers
from .checkpoint_graphs import thread

Checkpointer = terzetto.langgraph.Checkpointer


def put(saver, config, id, values=None, versions=None, **metadata):
    checkpoint = {**empty_checkpoint(), "id": id}
    checkpoint["channel_values"] = values or {}
    checkpoint["channel_versions"] = dict(versions or {})
    return saver.put(config, checkpoint, {"source": "loop", "step": 0, "parents": {}, **metadata}, versions or {})


def ids(found):
    return [each.checkpoint["id"] for each in found]


def test_the_newest_come_first_whatever_thread_and_namespace(saver):
    for number, (name, namespace) in enumerate([("a", ""), ("b", ""), ("a", "sub"), ("b", "sub"), ("a", "")]):
        put(saver, thread(name, checkpoint_ns=namespace), f"{number}")

    assert ["4", "3", "2", "1", "0"] == ids(saver.list(None))
    assert ["4", "2", "0"] == ids(saver.list(thread("a")))
    assert ["4", "0"] == ids(saver.list(thread("a", checkpoint_ns="")))
    assert ["2", "0"] == ids(saver.list(thread("a"), before=thread("a", checkpoint_id="3")))
    assert ["4", "3"] == ids(saver.list(None, limit=2))
    assert [] == ids(saver.list(None, limit=0))


def test_more_than_a_page_is_listed_whole_and_filtered(saver):
    for number in range(70):
        put(saver, thread(), f"{number:03}", parity=number % 2)

    assert [f"{number:03}" for number in reversed(range(70))] == ids(saver.list(thread()))
    assert [f"{number:03}" for number in (69, 67, 65)] == ids(saver.list(thread(), filter={"parity": 1}, limit=3))
    assert 35 == len(list(saver.list(thread(), filter={"parity": 0})))


@pytest.mark.parametrize("name", ["'; drop table rows; --", "%", "_", "a\0b", "a\0", "", "ünï", "x" * 300, "a:b}c{d"])
def test_any_text_is_a_thread_a_namespace_a_channel_and_a_filter(saver, name):
    config = put(saver, thread(name, checkpoint_ns=name), "1", {name: name}, {name: "1"}, note=name)
    saver.put_writes(config, [(name, name)], name, name)
    put(saver, thread(name + "\0"), "2")
    (found,) = saver.list(thread(name), filter={"note": name.replace("\0", "")})

    assert {name: name} == found.checkpoint["channel_values"]
    assert [(name, name, name)] == found.pending_writes
    assert [] == list(saver.list(thread(name), filter={name: "another"}))
    saver.delete_thread(name)
    assert ["2"] == ids(saver.list(None))


def test_a_name_in_a_filter_is_never_a_statement(saver):
    put(saver, thread(), "1", **{"a') or 1=1 --": 1})

    assert [] == ids(saver.list(thread(), filter={"x') or 1=1 --": 1}))
    assert ["1"] == ids(saver.list(thread(), filter={"a') or 1=1 --": 1}))


def test_pending_writes_are_in_the_order_in_which_they_are_applied(saver):
    config = put(saver, thread(), "1")
    saver.put_writes(config, [("c", 3), ("c", 4)], "task-a", "path-2")
    saver.put_writes(config, [("c", number) for number in range(11)], "task-z", "path-1")
    saver.put_writes(config, [("c", "none")], "task-b")

    expected = ["none", *range(11), 3, 4]
    assert expected == [value for _, _, value in saver.get_tuple(config).pending_writes]


def test_what_a_task_wrote_stays_and_what_is_special_is_replaced(saver):
    config = put(saver, thread(), "1")
    saver.put_writes(config, [("c", "first"), ("__interrupt__", "why?")], "task")
    saver.put_writes(config, [("c", "second"), ("__interrupt__", "why now?"), ("d", "third")], "task")

    found = {channel: value for _, channel, value in saver.get_tuple(config).pending_writes}
    assert {"c": "first", "__interrupt__": "why now?", "d": "third"} == found


def test_a_copy_shares_the_connection_and_has_a_list_of_its_own(url):
    with Checkpointer(url, serde=JsonPlusSerializer(allowed_msgpack_modules=None)) as saver:
        copied = saver.with_allowlist({("tests", "Some")})
        config = put(copied, thread(), "1")

        assert copied is not saver
        assert "1" == saver.get_tuple(config).checkpoint["id"]


def test_versions_rise_and_no_two_forks_share_one():
    saver, current, seen = Checkpointer(), None, []
    for _ in range(50):
        current = saver.get_next_version(current)
        seen.append(current)

    assert sorted(seen) == seen
    assert saver.get_next_version(seen[9]) != seen[10]
    assert saver.get_next_version("9".zfill(32) + ".5") > "9".zfill(32) + ".5"


@dataclass
class Plan:
    steps: list[str]


class Pair(NamedTuple):
    left: int
    right: int


class Model(BaseModel):
    name: str


class Colour(Enum):
    RED = "red"


def test_classes_of_data_that_the_program_declares_come_back(saver):
    values = {
        "a": Plan(["x"]),
        "b": Pair(1, 2),
        "c": Model(name="n"),
        "d": Colour.RED,
        "e": [HumanMessage("hi"), {1: 2}],
    }
    config = put(saver, thread(), "1", values, dict.fromkeys(values, "1"))

    assert values == saver.get_tuple(config).checkpoint["channel_values"]


@pytest.mark.parametrize(
    "module, name",
    [("os", "system"), ("subprocess", "Popen"), ("antigravity", "fly"), (__name__, "put"), (__name__, "no")],
)
def test_a_name_in_what_is_stored_imports_nothing_and_calls_nothing(module, name, tmp_path):
    """SEMANTICS 15.4: whoever can write to the store cannot make the process do something."""
    serde = Checkpointer().serde
    before = set(sys.modules)
    argument = f"touch {tmp_path}/called"
    packed = ormsgpack.packb(ormsgpack.Ext(0, ormsgpack.packb((module, name, argument))))

    assert argument == serde.loads_typed(("msgpack", packed))
    assert "antigravity" not in set(sys.modules) - before
    assert [] == list(tmp_path.iterdir())
    with pytest.raises(NotImplementedError):
        serde.loads_typed(("pickle", b"cos\nsystem\n(S'true'\ntR."))


def test_pickle_is_refused():
    with pytest.raises(InvalidRequest, match="falls back to pickle"):
        Checkpointer(serde=JsonPlusSerializer(pickle_fallback=True))


def test_what_has_no_form_of_its_own_is_refused_and_nothing_is_stored(saver):
    with pytest.raises(NotStorable, match=r"what is in channel 'c' cannot be stored: .*object"):
        put(saver, thread(), "1", {"c": object()}, {"c": "1"})
    assert [] == list(saver.list(None))


def test_a_thread_must_be_named(saver):
    with pytest.raises(InvalidRequest, match="thread_id"):
        saver.get_tuple({"configurable": {}})
    for config in ({"configurable": None}, thread(None)):
        with pytest.raises(InvalidRequest, match="thread_id"):
            put(saver, config, "1")
    with pytest.raises(InvalidRequest, match="checkpoint_id"):
        saver.put_writes(thread(), [], "task")
    with pytest.raises(InvalidRequest, match="keep_latest or delete"):
        saver.prune(["1"], strategy="all")


def test_once_closed_it_says_so(lasting_url):
    saver = Checkpointer(lasting_url)
    saver.close()
    saver.close()

    with pytest.raises(StoreError, match="is closed"):
        saver.get_tuple(thread())
    with pytest.raises(StoreError, match="is closed"):
        asyncio.run(saver.aget_tuple(thread()))


def test_closed_while_others_put_it_says_so_to_each(lasting_url):
    saver, told = Checkpointer(lasting_url), []
    begin = threading.Barrier(4)

    def write():
        begin.wait()
        try:
            while True:
                put(saver, thread(), "1")
        except Exception as error:
            told.append(error)

    threads = [threading.Thread(target=write, daemon=True) for _ in range(3)]
    for each in threads:
        each.start()
    begin.wait()
    while saver.get_tuple(thread()) is None:
        pass
    saver.close()
    for each in threads:
        each.join(20)

    assert [StoreError] * 3 == [type(error) for error in told]


FORKED = """
import asyncio, os, signal, sys
from terzetto.langgraph import Checkpointer

saver, config = Checkpointer(sys.argv[1]), {"configurable": {"thread_id": "1"}}
asyncio.run(saver.aget_tuple(config))
asyncio.run(saver.aput_writes({"configurable": {"thread_id": "1", "checkpoint_id": "1"}}, [("a", 1)], "task"))
child = os.fork()
if not child:
    signal.alarm(20)
    for call in (lambda: saver.get_tuple(config), lambda: asyncio.run(saver.aget_tuple(config))):
        try:
            call()
        except Exception as error:
            print(type(error).__name__, "before a fork" in str(error), flush=True)
    saver.close()
    sys.exit()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), saver.get_tuple(config))
"""


def test_a_forked_process_is_told_and_leaves_its_parent_what_it_has(lasting_url):
    """The child does not wait for threads that are not there, and ends nothing that its parent has."""
    words = [sys.executable, "-c", FORKED, lasting_url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.splitlines() == ["StoreError True", "StoreError True", "0 None"]
    assert not done.stderr


FORGETFUL = """
import asyncio, sys
from terzetto.langgraph import Checkpointer

saver, config = Checkpointer(sys.argv[1]), {"configurable": {"thread_id": "1"}}
print(saver.get_tuple(config), asyncio.run(saver.aget_tuple(config)))
"""


def test_a_program_that_forgets_to_close_ends(lasting_url):
    words = [sys.executable, "-W", "error", "-c", FORGETFUL, lasting_url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert (0, "None None\n", "") == (done.returncode, done.stdout, done.stderr)


# Which callers it has


async def test_in_a_task_of_trio_the_plain_methods_are_refused(lasting_url):
    """SEMANTICS 15.5."""
    async with Checkpointer.open(lasting_url) as saver:
        for call in (
            partial(saver.get_tuple, thread()),
            partial(saver.list, thread()),
            partial(put, saver, thread(), "1"),
            partial(saver.delete_thread, "1"),
        ):
            with pytest.raises(BlocksTheLoop, match="a task of a Trio loop called it: await the one with an `a`"):
                call()
        await trio.to_thread.run_sync(put, saver, thread(), "1")
        assert ["1"] == [each.checkpoint["id"] async for each in saver.alist(thread())]


async def test_in_memory_nothing_blocks_and_nothing_is_refused():
    async with Checkpointer.open("memory:") as saver:
        config = put(saver, thread(), "1")
        assert (await saver.aget_tuple(config)) == saver.get_tuple(config)


def test_the_plain_methods_work_inside_asyncio_and_in_any_thread(url):
    async def main():
        async with Checkpointer.open(url) as saver:
            put(saver, thread(), "1")
            await asyncio.to_thread(put, saver, thread(), "2")
            return ids(saver.list(thread())), [each.checkpoint["id"] async for each in saver.alist(thread())]

    assert (["2", "1"], ["2", "1"]) == asyncio.run(main())


def test_twenty_threads_put_at_once(saver):
    gate = threading.Barrier(20)

    def work(number):
        gate.wait()
        for step in range(5):
            name, versions = f"{number:02}-{step}", {"c": f"{number}.{step}"}
            config = put(saver, thread(f"t{number % 4}"), name, {"c": [number, step]}, versions)
            saver.put_writes(config, [("c", step)], f"task-{number}")

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(work, range(20)))

    found = {each.checkpoint["id"]: each for each in saver.list(None)}
    assert 100 == len(found)
    for name, each in found.items():
        number, step = name.split("-")
        assert {"c": [int(number), int(step)]} == each.checkpoint["channel_values"]
        assert [(f"task-{int(number)}", "c", int(step))] == each.pending_writes


async def test_a_cancelled_put_that_has_begun_is_there(lasting_url):
    async with Checkpointer.open(lasting_url) as saver:
        checkpoint = {**empty_checkpoint(), "id": "1"}
        with trio.CancelScope() as scope:
            scope.cancel()
            await saver.aput(thread(), checkpoint, {}, {})
        found = [each.checkpoint["id"] async for each in saver.alist(thread())]

    assert found in ([], ["1"])  # whole, or never begun


def test_a_cancelled_put_under_asyncio_has_ended_when_the_cancel_arrives(lasting_url):
    async def main():
        async with Checkpointer.open(lasting_url) as saver:
            task = asyncio.create_task(saver.aput(thread(), {**empty_checkpoint(), "id": "1"}, {}, {}))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return ids(saver.list(thread()))

    assert ["1"] == asyncio.run(main())


# Where it is kept


def test_a_store_of_runs_is_refused_and_not_changed(tmp_path):
    file = tmp_path / "runs.db"

    async def main():
        async with terzetto.stores.open_store(f"sqlite:{file}"):
            pass

    trio.run(main)
    before = file.read_bytes()

    with pytest.raises(StoreError, match=r"another program's SQLite database, or a store of runs; nothing was changed"):
        Checkpointer(f"sqlite:{file}")
    assert before == file.read_bytes()


def test_a_newer_file_is_refused(tmp_path):
    import apsw

    Checkpointer(f"sqlite:{tmp_path}/c.db").close()
    with apsw.Connection(f"{tmp_path}/c.db") as connection:
        connection.execute("pragma user_version=99")

    with pytest.raises(StoreTooNew, match="shelf 99"):
        Checkpointer(f"sqlite:{tmp_path}/c.db")


@pytest.mark.parametrize(
    "url, text",
    [
        ("sqlit:x", "did you mean sqlite:?"),
        ("x.db", "did you mean sqlite:x.db?"),
        ("memory:x", "nothing follows memory:"),
        ("redsi://user:secret@host", "'redsi://user@host' is not a store URL: did you mean redis:?"),
        ("sqlite:", "it names no file"),
        ("sqlite::memory:", "did you mean memory:?"),
        ("sqlite:x?synchronous=off", "less would lose acknowledged checkpoints"),
        ("sqlite:x?mode=ro", "its only option is synchronous"),
        ("sqlite://host/x", "it names the host"),
    ],
)
def test_other_urls_are_refused_with_a_sentence(url, text):
    with pytest.raises(InvalidRequest) as caught:
        Checkpointer(url)
    assert text in str(caught.value)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "postgresql://127.0.0.1:1/x", "sqlite:missing/x.db"])
def test_a_place_that_cannot_be_reached_says_so(url, monkeypatch):
    monkeypatch.setattr("terzetto._shelves._postgres.PATIENCE", 1)

    with pytest.raises(StoreUnavailable):
        Checkpointer(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:se%zzcret@host/db", "postgresql://me:se%zzcret@[host/db", "redis://me:se/cret@host",
        "redis://me:12#secret@host", "redis://me:se?cret=@host", "redis://me:cret@host:x", "redis://host?password=cret",
        "redis://me:cret@[host",
    ],
)  # fmt: skip
def test_no_error_shows_a_password(url):
    with pytest.raises(InvalidRequest) as caught:
        Checkpointer(url)

    assert "cret" not in "".join(traceback.format_exception(caught.value)).replace(url, "")
    assert "cret" not in str(caught.value)


def test_a_redis_that_throws_keys_away_is_refused(tmp_path):
    from .redis_servers import running

    with (
        running(tmp_path, "--maxmemory-policy", "allkeys-lru") as server,
        pytest.raises(StoreError, match="may throw checkpoints away"),
    ):
        Checkpointer(server.url())


def test_a_redis_that_comes_back_has_what_it_acknowledged(tmp_path):
    from .redis_servers import DURABLE, running

    with running(tmp_path, *DURABLE) as server, Checkpointer(server.url()) as saver:
        put(saver, thread(), "1")
        server.kill()
        with pytest.raises(StoreUnavailable):
            put(saver, thread(), "2")
        server.start()
        put(saver, thread(), "3")

        assert ["3", "1"] == ids(saver.list(thread()))


def test_a_postgres_connection_that_breaks_is_replaced(postgres):
    with Checkpointer(postgres.url()) as saver:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: put(saver, thread(), "1"), range(40)))
        postgres.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'terzetto'")
        put(saver, thread(), "2")

        assert ["2", "1"] == ids(saver.list(thread()))


@pytest.mark.parametrize("server", ["postgres", "redis"])
def test_a_server_that_hangs_is_waited_for_no_longer_than_its_time(server, tmp_path, monkeypatch):
    """SEMANTICS 15.1."""
    with hanging(server, tmp_path, monkeypatch) as (url, freeze, thaw), Checkpointer(url) as saver:
        put(saver, thread(), "1")
        freeze()
        try:
            asked = threading.Thread(target=lambda: told.append(refusal(saver)), daemon=True)
            told = []
            asked.start()
            asked.join(10)
        finally:
            thaw()
        assert told == ["StoreUnavailable"]
        put(saver, thread(), "2")

        assert ids(saver.list(thread())) == ["2", "1"]


@contextmanager
def hanging(kind, folder, monkeypatch):
    """A server of one's own, and what stops it and lets it go on."""
    if kind == "redis":
        monkeypatch.setattr(terzetto._shelves._redis_thread, "PATIENCE", 1.0)
        with redis_servers.running(folder, *redis_servers.DURABLE) as server:
            yield server.url(), partial(server.signal, signal.SIGSTOP), partial(server.signal, signal.SIGCONT)
    else:
        monkeypatch.setattr(terzetto._shelves._postgres, "PATIENCE", 1.0)
        monkeypatch.setattr(terzetto._shelves._postgres, "SLACK", 0.5)
        with postgres_servers.server() as server:
            yield server.url(), server.freeze, server.thaw


def refusal(saver):
    try:
        return saver.get_tuple(thread())
    except StoreError as error:
        return type(error).__name__


def test_values_that_many_checkpoints_have_are_stored_once(tmp_path):
    """A growing number of steps costs bytes in proportion, and not a copy of the state each."""
    file = tmp_path / "c.db"
    with Checkpointer(f"sqlite:{file}") as saver:
        large, config = "x" * 10_000, thread()
        for number in range(100):
            versions = {"large": "1", "small": f"{number}"}
            checkpoint = {**empty_checkpoint(), "id": f"{number:03}", "channel_versions": versions}
            checkpoint["channel_values"] = {"large": large, "small": number}
            config = saver.put(config, checkpoint, {}, versions if number == 0 else {"small": f"{number}"})

        assert large == saver.get_tuple(config).checkpoint["channel_values"]["large"]
    assert file.stat().st_size < 300_000


def test_the_memory_saver_is_the_measure_of_what_is_missing():
    """Whatever of the interface LangGraph's own saver in memory has, ours has, too."""
    ours = set(vars(Checkpointer))

    assert {name for name in vars(InMemorySaver) if not name.startswith("_")} <= ours | {"stack"}
