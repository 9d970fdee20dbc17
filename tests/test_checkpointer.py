"""`terzetto.checkpointer`: records as page 001 describes them, by themselves and in LangGraph."""

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import trio
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, Send, interrupt

from terzetto.checkpointer import (
    Backend,
    CheckpointBackend,
    CheckpointerConfig,
    CheckpointMetadata,
    CheckpointRecord,
    HarnessCheckpointer,
    MemoryBackend,
    PostgresBackend,
    RedisBackend,
    SqliteBackend,
)
from terzetto_protocol.errors import BlocksTheLoop, InvalidRequest, Malformed, StoreError, StoreUnavailable

from .checkpoint_graphs import Log, chain, thread
from .conftest import url_of
from .redis_servers import running


def keys(server, pattern):
    return sorted(key.decode() for key in server.ask("KEYS", pattern))


class ListBackend:
    """What somebody would inject: it knows of nothing but the four methods."""

    def __init__(self):
        self.records = []

    async def aput(self, record):
        await anything()
        self.records = [it for it in self.records if it.checkpoint_id != record.checkpoint_id]
        self.records.insert(0, record)

    async def aget(self, thread_id, checkpoint_id):
        await anything()
        found = [it for it in self.records if it.thread_id == thread_id and checkpoint_id in (None, it.checkpoint_id)]
        return found[0] if found else None

    async def alist(self, thread_id, *, limit=None):
        await anything()
        return [it for it in self.records if it.thread_id == thread_id][:limit]

    async def adelete(self, thread_id):
        before = len(self.records)
        self.records = [it for it in self.records if it.thread_id != thread_id]
        return before - len(self.records)


async def anything():
    """Wait for the loop once, whichever it is."""
    if trio.lowlevel.in_trio_task():
        await trio.lowlevel.checkpoint()
    else:
        await asyncio.sleep(0)


def made(kind, request, **others):
    if kind == "injected":
        return HarnessCheckpointer(backend=ListBackend())
    url = url_of(kind, request)
    place = url.partition("?")[0]
    prefix = f"{url.rpartition('=')[2]}:ckpt:"
    return HarnessCheckpointer(CheckpointerConfig(backend=kind, url=url, redis_url=place, key_prefix=prefix, **others))


OURS = ("memory", "redis", "sqlite", "postgres")


@pytest.fixture(params=[*OURS, "injected"])
def harness(request):
    harness = made(request.param, request)
    yield harness
    harness.close()


def ids(records):
    return [record.checkpoint_id for record in records]


def test_a_checkpoint_comes_back_as_a_record(harness):
    parent = harness.put(thread(), {"id": "1", "channel_values": {"a": [1, {"b": None}], "ü": 0.5}})
    config = harness.put(parent, {"id": "2"}, CheckpointMetadata(step=3, source_layer="graph", writes={"a": 1}))
    record = harness.get_tuple(config)

    assert {"configurable": {"thread_id": "1", "checkpoint_ns": "", "checkpoint_id": "2"}} == config
    assert isinstance(record, CheckpointRecord)
    assert ("1", "", "2", "1", {"id": "2"}) == (
        record.thread_id, record.checkpoint_ns, record.checkpoint_id, record.parent_checkpoint_id, record.checkpoint
    )  # fmt: skip
    metadata = record.metadata
    assert (3, "graph", {"a": 1}, {}) == (metadata.step, metadata.source_layer, metadata.writes, metadata.parents)
    assert {"a": [1, {"b": None}], "ü": 0.5} == harness.get_tuple(parent).checkpoint["channel_values"]
    assert parent == record.parent_config
    assert config == record.config


def test_the_newest_come_first_and_none_of_0(harness):
    for number in range(5):
        harness.put({"thread_id": "flat"}, {"id": f"{number}"}, {"parity": number % 2})
    listed = [ids(harness.list({"thread_id": "flat"}, limit=limit)) for limit in (None, 0, 2, 9)]

    assert [["4", "3", "2", "1", "0"], [], ["4", "3"], ["4", "3", "2", "1", "0"]] == listed
    assert "4" == harness.get_tuple({"thread_id": "flat"}).checkpoint_id
    assert ["3", "1"] == ids(harness.list({"thread_id": "flat"}, filter={"parity": 1}))
    assert ["2", "1"] == ids(harness.list({"thread_id": "flat"}, before={"checkpoint_id": "3"}, limit=2))
    assert ["2"] == ids(harness.list({"thread_id": "flat", "checkpoint_id": "2"}))


def test_the_time_decides_what_is_newest(harness):
    for name, when in (("a", 30.0), ("b", 10.0), ("c", 20.0)):
        harness.put(thread(), {"id": name}, {"timestamp": when})

    assert ["a", "c", "b"] == ids(harness.list(thread()))
    harness.put(thread(), {"id": "b"}, {"timestamp": 40.0})
    assert ["b", "a", "c"] == ids(harness.list(thread()))


def test_deleting_tells_how_many_there_were(harness):
    for number in range(3):
        config = harness.put(thread(), {"id": f"{number}"})
    harness.put(thread(), {"id": "0"})
    harness.put(thread(checkpoint_ns="sub"), {"id": "s"})
    harness.put(thread("other"), {"id": "x"})
    harness.put_writes(config, [("c", 1)], "task")

    assert [4, 0, 0] == [harness.delete_thread(it) for it in ("1", "1", "never")]
    assert None is harness.get_tuple(thread())
    assert ["x"] == ids(harness.list(thread("other")))


def together(*calls):
    """What calls return that begin at the same time."""
    begin = threading.Barrier(len(calls))

    def go(call):
        begin.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(go, call) for call in calls]]


@pytest.mark.parametrize("kind", OURS)
def test_who_deletes_at_the_same_time_is_told_each_record_once(kind, request):
    harness = made(kind, request)
    for _ in range(5):
        for number in range(3):
            harness.put(thread(), {"id": f"{number}"})

        assert sum(together(*[lambda: harness.delete_thread("1")] * 4)) == 3
    harness.close()


@pytest.mark.parametrize("kind", OURS)
def test_who_puts_the_same_id_at_the_same_time_puts_one_record(kind, request):
    harness = made(kind, request)
    for number in range(5):
        together(*[lambda: harness.put(thread(), {"id": "1"})] * 4)

        assert ["1"] == ids(harness.list(thread())), number
    harness.close()


def test_the_same_id_twice_is_one_record(harness):
    harness.put(thread(), {"id": "1", "x": "first"})
    harness.put(thread(), {"id": "1", "x": "second"})

    assert ["second"] == [it.checkpoint["x"] for it in harness.list(thread())]


def test_namespaces_are_kept_apart(harness):
    for namespace in ("", "sub:1", "sub:1|deep"):
        for number in range(2):
            harness.put(thread(checkpoint_ns=namespace), {"id": f"{namespace}{number}", "x": namespace})

    for namespace in ("", "sub:1", "sub:1|deep"):
        assert f"{namespace}1" == harness.get_tuple(thread(checkpoint_ns=namespace)).checkpoint_id
        assert [namespace] * 2 == [it.checkpoint["x"] for it in harness.list(thread(checkpoint_ns=namespace))]
        assert None is harness.get_tuple(thread(checkpoint_ns=namespace, checkpoint_id="none"))
    assert None is harness.get_tuple(thread(checkpoint_ns="other"))
    assert "1" == harness.get_tuple(thread()).checkpoint_id
    assert 6 == len(ids(harness.list(thread())))


@pytest.mark.parametrize("kind", OURS)
def test_two_namespaces_may_have_the_same_id(kind, request):
    harness = made(kind, request)
    for namespace in ("", "sub"):
        harness.put(thread(checkpoint_ns=namespace), {"id": "1", "x": namespace})

    assert [("", ""), ("sub", "sub")] == [
        (namespace, harness.get_tuple(thread(checkpoint_ns=namespace, checkpoint_id="1")).checkpoint["x"])
        for namespace in ("", "sub")
    ]
    assert 2 == harness.delete_thread("1")
    harness.close()


def test_a_checkpoint_without_an_id_gets_one(harness):
    config = harness.put(thread(), {"x": 1})

    assert config["configurable"]["checkpoint_id"].startswith("ckpt-")
    assert 5 + 16 == len(config["configurable"]["checkpoint_id"])
    assert {"x": 1} == harness.get_tuple(config).checkpoint


def test_what_is_put_is_what_it_was_then(harness):
    if isinstance(harness.backend, ListBackend):
        return
    state = {"id": "1", "x": [1]}
    config = harness.put(thread(), state)
    state["x"].append(2)

    assert [1] == harness.get_tuple(config).checkpoint["x"]


def test_pending_writes_are_kept_in_their_order(harness):
    config = harness.put(thread(), {"id": "1"})
    harness.put_writes(config, [("c", 1), ("__interrupt__", "why?")], "task-b", "path-2")
    harness.put_writes(config, [("c", 9), ("__interrupt__", "why now?"), ("d", 3)], "task-b", "path-2")
    harness.put_writes(config, [("c", 0)], "task-c", "path-1")

    expected = [("task-c", "c", 0), ("task-b", "__interrupt__", "why now?"), ("task-b", "c", 1), ("task-b", "d", 3)]
    assert expected == harness.get_tuple(config).pending_writes
    assert expected == next(harness.list(thread())).pending_writes


def test_the_plain_methods_work_everywhere_but_in_a_task_of_trio(harness):
    async def in_trio():
        for call in (harness.get_tuple, harness.list):
            with pytest.raises(BlocksTheLoop, match="await the one with an `a` in front"):
                call(thread())
        with pytest.raises(BlocksTheLoop):
            harness.put(thread(), {"id": "trio"})
        with pytest.raises(BlocksTheLoop):
            harness.delete_thread("1")
        await harness.aput(thread(), {"id": "trio"})
        await trio.to_thread.run_sync(harness.put, thread(), {"id": "thread of trio"})
        return [it.checkpoint_id async for it in harness.alist(thread())]

    async def in_asyncio():
        harness.put(thread(), {"id": "asyncio"})
        await harness.aput(thread(), {"id": "asyncio too"})
        await asyncio.to_thread(harness.put, thread(), {"id": "thread of asyncio"})
        return (await harness.aget_tuple(thread())).checkpoint_id

    assert ["thread of trio", "trio"] == trio.run(in_trio)
    assert "thread of asyncio" == asyncio.run(in_asyncio())
    threads = [threading.Thread(target=harness.put, args=(thread(), {"id": f"t{number}"})) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 13 == len(ids(harness.list(thread())))
    assert 13 == trio.run(harness.adelete_thread, "1")


# In LangGraph


def test_langgraph_takes_it_as_it_is(harness):
    def ask(state: Log):
        return {"log": [interrupt("why?")]}

    graph = StateGraph(Log).add_node(ask).add_edge(START, "ask").compile(checkpointer=harness)

    assert isinstance(harness, HarnessCheckpointer)
    assert isinstance(harness, BaseCheckpointSaver)
    assert ["why?"] == [it.value for it in graph.invoke({"log": ["begin"]}, thread())["__interrupt__"]]
    assert ["begin", "because"] == graph.invoke(Command(resume="because"), thread())["log"]
    assert ["begin", "because"] == graph.get_state(thread()).values["log"]
    assert 3 == harness.delete_thread("1")


def test_langgraph_goes_back_forks_and_branches_on_it(harness):
    graph = chain("a", "b").compile(checkpointer=harness)
    graph.invoke({"log": []}, thread())
    at_b = next(it for it in graph.get_state_history(thread()) if it.next == ("b",))
    fork = graph.update_state(at_b.config, {"log": ["fork"]}, as_node="a")

    assert ["a", "fork", "b"] == graph.invoke(None, fork)["log"]
    assert ["a", "b"] == graph.invoke(None, at_b.config)["log"]

    builder = StateGraph(Log).add_node("one", lambda state: {"log": [f"one {state['log'][0]}"]})
    builder.add_conditional_edges(START, lambda state: [Send("one", {"log": [str(n)]}) for n in range(9)], ["one"])
    wide = builder.compile(checkpointer=harness)
    assert ["x", *(f"one {n}" for n in range(9))] == wide.invoke({"log": ["x"]}, thread("wide"))["log"]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_langgraph_under_asyncio_keeps_its_state(harness, durability):
    async def main():
        graph = chain("a", "b").compile(checkpointer=harness)
        for _ in range(3):
            await graph.ainvoke({"log": ["turn"]}, thread(), durability=durability)
        return (await graph.aget_state(thread())).values["log"]

    assert ["turn", "a", "b"] * 3 == asyncio.run(main())


@pytest.mark.parametrize("kind", ["redis", "sqlite", "postgres"])
def test_another_checkpointer_goes_on(kind, request):
    """What one has kept, another finds, with everything that JSON does not have."""
    first = made(kind, request)

    def ask(state: Log):
        return {"log": [b"bytes", {1: 2}, float("inf"), interrupt("why?")]}

    builder = StateGraph(Log).add_node(ask).add_edge(START, "ask")
    builder.compile(checkpointer=first).invoke({"log": [b"\0", {"__langgraph__": 1}]}, thread())
    second = HarnessCheckpointer(first.config)
    result = builder.compile(checkpointer=second).invoke(Command(resume="because"), thread())["log"]

    assert [b"\0", {"__langgraph__": 1}, b"bytes", {1: 2}, float("inf"), "because"] == result
    for each in (first, second):
        each.close()


# In Redis


def test_the_layout_in_redis_is_the_one_that_others_read(redis):
    place = f"redis://127.0.0.1:{redis.port}"
    config = CheckpointerConfig(backend="redis", redis_url=place, key_prefix="layout:")
    with_ttl = HarnessCheckpointer(
        CheckpointerConfig(backend="redis", redis_url=place, key_prefix="layout:", ttl_seconds=90)
    )
    harness = HarnessCheckpointer(config)
    harness.put(thread("t"), {"id": "c1", "channel_values": {"x": 1}}, {"timestamp": 12.5, "step": 1})

    assert ["layout:t:index", "layout:t:item:c1"] == keys(redis, "layout:*")
    assert b"12.5" == redis.ask("ZSCORE", "layout:t:index", "c1")
    item = redis.ask("GET", "layout:t:item:c1")
    assert {
        "thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "c1", "parent_checkpoint_id": None,
        "checkpoint": {"id": "c1", "channel_values": {"x": 1}},
        "metadata": {"step": 1, "source_layer": "unified", "timestamp": 12.5, "writes": {}, "parents": {}},
    } == json.loads(item)  # fmt: skip
    assert -1 == redis.ask("TTL", "layout:t:item:c1") == redis.ask("TTL", "layout:t:index")
    with_ttl.put(thread("u"), {"id": "c1"})
    assert 90 == redis.ask("TTL", "layout:u:item:c1") == redis.ask("TTL", "layout:u:index")
    assert [1, 1, 0] == [harness.delete_thread(it) for it in "tuv"]
    assert [] == keys(redis, "layout:*")
    for each in (harness, with_ttl):
        each.close()


def test_after_the_newest_has_expired_the_next_is_the_newest(redis):
    config = CheckpointerConfig(
        backend="redis", redis_url=f"redis://127.0.0.1:{redis.port}", key_prefix="expiry:", ttl_seconds=50
    )
    harness = HarnessCheckpointer(config)
    for number in range(3):
        harness.put(thread(), {"id": f"{number}"})
    redis.ask("DEL", "expiry:1:item:2")  # what its time does

    assert "1" == harness.get_tuple(thread()).checkpoint_id
    assert ["1", "0"] == ids(harness.list(thread()))
    assert [] == [it for it in keys(redis, "expiry:*") if it.endswith(":2")]
    assert 2 == redis.ask("ZCARD", "expiry:1:index")
    assert 2 == harness.delete_thread("1")
    harness.close()


def test_a_look_at_the_newest_sees_only_some_whose_time_may_be_over(redis, monkeypatch):
    monkeypatch.setattr("terzetto.checkpointer._redis.SWEPT", 2)
    place = f"redis://127.0.0.1:{redis.port}"
    harness = HarnessCheckpointer(
        CheckpointerConfig(backend="redis", redis_url=place, key_prefix="swept:", ttl_seconds=50)
    )
    for number in range(6):
        harness.put(thread(), {"id": f"{number}"})
    for number in range(4):
        redis.ask("DEL", f"swept:1:item:{number}")

    assert "5" == harness.get_tuple(thread()).checkpoint_id
    assert 4 == redis.ask("ZCARD", "swept:1:index")
    assert ["5", "4"] == ids(harness.list(thread()))
    assert 2 == redis.ask("ZCARD", "swept:1:index")
    harness.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "postgres"])
def test_what_is_too_old_is_not_there(kind, request, monkeypatch):
    harness = made(kind, request, ttl_seconds=10)
    now = [1000.0]
    monkeypatch.setattr("terzetto.checkpointer._shelved.time.time", lambda: now[0])
    harness.put(thread(), {"id": "old"})
    now[0] += 9
    harness.put(thread(), {"id": "new"})

    assert ["new", "old"] == ids(harness.list(thread()))
    now[0] += 2
    assert ["new"] == ids(harness.list(thread()))
    assert 1 == harness.delete_thread("1")
    harness.close()


def test_a_redis_that_throws_keys_away_is_refused(tmp_path):
    with running(tmp_path, "--maxmemory-policy", "volatile-lru") as server:
        threads = threading.active_count()
        with pytest.raises(StoreError, match=r"may throw checkpoints away \(maxmemory-policy volatile-lru\)"):
            HarnessCheckpointer(CheckpointerConfig(backend="redis", redis_url=f"redis://127.0.0.1:{server.port}"))
        assert threads == threading.active_count()


# What it is made of


@pytest.mark.parametrize("kind", OURS[1:])
def test_a_block_closes_it_at_its_end(kind, request):
    def block(harness):
        with harness as opened:
            assert harness is opened
            opened.put(thread(), {"id": "1"})
            raise KeyError

    async def async_block(harness):
        async with harness as opened:
            assert harness is opened
            await opened.aput(thread(), {"id": "1"})
            raise KeyError

    ways = (block, lambda it: trio.run(async_block, it), lambda it: asyncio.run(async_block(it)))
    for way in ways:
        harness = made(kind, request)
        with pytest.raises(KeyError):
            way(harness)
        with pytest.raises(StoreError, match="closed"):
            harness.put(thread(), {"id": "2"})
        harness.close()


def test_a_block_leaves_a_backend_of_others_open(tmp_path):
    backend = SqliteBackend(f"sqlite:{tmp_path}/c.db")
    with HarnessCheckpointer(backend=backend) as harness:
        assert isinstance(harness, BaseCheckpointSaver)
        harness.put(thread(), {"id": "1"})

    assert ["1"] == ids(backend.list("1"))
    backend.close()


def test_it_loads_neither_langgraph_nor_a_driver():
    program = (
        "from terzetto.checkpointer import *\n"
        "import sys\n"
        "h = HarnessCheckpointer()\n"
        "c = h.put({'thread_id': 'a'}, {'id': '1'})\n"
        "assert h.get_tuple(c).checkpoint_id == '1'\n"
        "assert isinstance(h, HarnessCheckpointer) and not isinstance(h, int)\n"
        "heads = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(heads & {'langgraph', 'langchain_core', 'redis', 'coredis', 'psycopg', 'pydantic', 'asyncio'}))\n"
        "try: h.put({'thread_id': 'a'}, {'id': '2', 'x': b'1'})\n"
        "except ValueError as error: print(error)\n"
    )
    program = program.replace("import *", "import HarnessCheckpointer")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert "a bytes in a checkpoint cannot be stored: JSON has no such value" in done.stdout
    assert "['asyncio']" == done.stdout.splitlines()[0]


@pytest.mark.parametrize("name, backend", [("anyio", "redis"), ("coredis", "redis"), ("psycopg", "postgres")])
def test_a_missing_extra_says_what_to_install(name, backend):
    program = (
        f"import sys; sys.modules[{name!r}] = None\n"
        "from terzetto.checkpointer import CheckpointerConfig, HarnessCheckpointer\n"
        f"HarnessCheckpointer(CheckpointerConfig(backend={backend!r}, url='postgresql://x/y'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr.strip().endswith(f"pip install 'terzetto[{backend}]'")
    assert "ImportError" in done.stderr


def test_a_config_says_what_is_wrong():
    assert CheckpointBackend.MEMORY is CheckpointerConfig().backend
    assert ("redis://localhost:6379/0", "harness:ckpt:", None) == (
        CheckpointerConfig().redis_url, CheckpointerConfig().key_prefix, CheckpointerConfig().ttl_seconds
    )  # fmt: skip
    for wrong, text in (
        ({"backend": "mongo"}, "no backend 'mongo' .known ones: memory, redis, sqlite, postgres"),
        ({"ttl_seconds": 0}, "at least 1"),
        ({"backend": "sqlite"}, "takes a url: url='sqlite:FILE'"),
        ({"backend": "postgres", "url": "sqlite:x"}, "takes a url"),
        ({"backend": "sqlite", "url": "postgresql://me:word@host/db"}, "not 'postgresql://me@host/db'"),
    ):
        with pytest.raises(InvalidRequest, match=text):
            CheckpointerConfig(**wrong)
    with pytest.raises(TypeError):
        CheckpointerConfig(prefix="x")
    assert "word" not in repr(CheckpointerConfig(redis_url="redis://me:word@host", url="postgresql://me:word@host/db"))
    assert {"self": 1, "": 2} == {name: CheckpointMetadata(**{"self": 1, "": 2})[name] for name in ("self", "")}
    with pytest.raises(InvalidRequest, match="-1"):
        CheckpointMetadata(step=-2)
    for nobody in ({}, {"configurable": None}, thread(None)):
        with pytest.raises(InvalidRequest, match="thread_id"):
            HarnessCheckpointer().get_tuple(nobody)
    with pytest.raises(StoreUnavailable):
        HarnessCheckpointer(CheckpointerConfig(backend="redis", redis_url="redis://127.0.0.1:1"))


def test_backends_are_what_they_are_called(tmp_path, redis, postgres):
    place = f"redis://127.0.0.1:{redis.port}"
    made = {
        MemoryBackend: MemoryBackend(),
        SqliteBackend: SqliteBackend(f"sqlite:{tmp_path}/c.db"),
        PostgresBackend: PostgresBackend(postgres.url()),
        RedisBackend: RedisBackend(CheckpointerConfig(redis_url=place)),
    }
    for kind, backend in made.items():
        harness = HarnessCheckpointer(backend=backend)
        harness.put(thread("shared"), {"id": "1"})

        assert isinstance(backend, kind)
        assert isinstance(backend, Backend)
        assert backend is harness.backend
        assert 1 == harness.delete_thread("shared")
        harness.close()
        assert None is trio.run(backend.aget, "shared", None)  # it is not its to close
        backend.close()


def test_what_is_no_record_is_malformed(redis):
    place = f"redis://127.0.0.1:{redis.port}"
    harness = HarnessCheckpointer(CheckpointerConfig(backend="redis", redis_url=place, key_prefix="bad:"))
    harness.put(thread(), {"id": "1"})
    for text in ("no json", "[]", '{"metadata": 1}', '{"metadata": {"step": -9}}'):
        redis.ask("SET", "bad:1:item:1", text)
        with pytest.raises(Malformed, match="a checkpoint record is malformed"):
            harness.get_tuple(thread())
    harness.close()
