"""Keys that vanish from a Redis server, and bytes that change: noticed, and never an empty success."""

import pytest

from terzetto.stores import RedisStore
from terzetto.stores._checksums import sum_columns
from terzetto.testing._store_laws import applied, barrier, claim, first, follow, header, posted
from terzetto_protocol.blobs import Hasher
from terzetto_protocol.errors import StoreDamaged, StoreError, StoreUnavailable
from terzetto_protocol.records import Rejected
from terzetto_protocol.statuses import RunStatus

from .redis_servers import RedisServer, base_of
from .sqlite_stores import in_time


def _digest(data: bytes) -> str:
    hasher = Hasher()
    hasher.add(data)
    return hasher.digest


BLOB = _digest(b"x")


async def _fill(store: RedisStore) -> None:
    """Something of everything: `r` waits for a person, `e` has ended and is a head, `q` waits for a slot."""
    await store.put_chunk("u", 0, b"x")
    await store.keep_blob(BLOB, upload="u", at=1.0)
    await applied(
        store,
        first("r", header=header("r", key="k", thread="t"), blobs=(BLOB,)),
        claim("r"),
        follow("r", 3),
        follow("r", 4, snapshot=b"four"),
        follow("r", 5, moved=True, status=RunStatus.AWAITING_INPUT, timer=9.0, barriers=(barrier("r"),)),
        first("e", header=header("e", thread="t", key="e", line=1)),
        follow("e", 2, epoch=1, expect=0, moved=True, status=RunStatus.SUCCEEDED, thread="t"),
        first("q"),
    )
    await store.post(posted("c-1", run_id="r"))
    await store.post(posted("c-2", run_id="r"))
    await store.answer("c-2", b"done")


async def _everything(store: RedisStore) -> dict[str, object]:
    """All answers that there are, each with the name of its question; an error stands for itself."""
    questions = {
        "run": lambda: store.run("r"),
        "load": lambda: store.load("r"),
        "load ended": lambda: store.load("e"),
        "load queued": lambda: store.load("q"),
        "by key": lambda: store.run_by_key("k"),
        "runs": store.runs,
        "waiting": lambda: store.runs(statuses=[RunStatus.AWAITING_INPUT]),
        "queued": lambda: store.runs(statuses=[RunStatus.QUEUED]),
        "on thread": lambda: store.runs(thread="t"),
        "unfinished": store.unfinished,
        "timers": store.timers,
        "head": lambda: store.head("t"),
        "snapshot": lambda: store.snapshot("r"),
        "older snapshot": lambda: store.snapshot("r", at=3),
        "checkpoints": lambda: store.checkpoints("r"),
        "records": lambda: store.records("r"),
        "late records": lambda: store.records("r", after=3, limit=1),
        "by event": lambda: store.records_by_event("r", after_event=20),
        "barriers": lambda: store.barriers("r"),
        "all barriers": store.barriers,
        "posted": store.posted,
        "waits": lambda: store.receipt("c-1"),
        "answered": lambda: store.receipt("c-2"),
        "blob": lambda: store.blob_chunk(BLOB, 0),
    }
    answers: dict[str, object] = {}
    for name, ask in questions.items():
        try:
            answers[name] = await ask()
        except (StoreDamaged, StoreUnavailable) as error:
            answers[name] = error
    return answers


def _is_said(name: str, answer: object, before: object) -> bool:
    """Whether an answer is what it was, or says that something is wrong."""
    if isinstance(answer, StoreError) or answer == before:
        return True
    if name in ("runs", "waiting", "queued", "on thread", "unfinished") and isinstance(answer, list):
        assert isinstance(before, list)
        return [row.run_id for row in answer] == [row.run_id for row in before] and any(row.damaged for row in answer)
    if name == "timers":
        return answer == [("r", 0.0)]
    return name in ("all barriers", "posted")  # what is damaged is left out, as the contract says; the check tells


GONE_FOR_GOOD = {"bell", "left", "expiring", "owners"}
"""What nobody is answered from."""


@in_time
async def test_no_key_vanishes_unnoticed(redis: RedisServer) -> None:
    """SEMANTICS 3: each key by itself. Every answer is what it was or an error, and the deep check tells."""
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        before, noticed = await _everything(store), 0
        assert not any(isinstance(answer, StoreError) for answer in before.values())
        for key in redis.keys(url):
            if not key or key.startswith(("owner:", "kept:", "commands:")) or key in GONE_FOR_GOOD:
                continue
            whole = redis.ask("DUMP", base_of(url) + key)
            redis.ask("DEL", base_of(url) + key)
            after = await _everything(store)
            wrong = {name: after[name] for name in after if not _is_said(name, after[name], before[name])}
            assert wrong == {}, f"without {key}"
            problems = (await store.health(deep=True)).problems
            if key not in ("free", "uploads"):
                assert problems != (), f"the check without {key}"
            noticed += 1
            redis.ask("RESTORE", base_of(url) + key, "0", whole, "REPLACE")
            assert await _everything(store) == before, "it is there again"
        assert (await store.health(deep=True)).problems == ()
        assert noticed >= 20


@pytest.mark.parametrize("key, field", [("run:r", "seq"), ("run:r", "first"), ("run:r", "epoch")])
@in_time
async def test_a_row_without_a_field(redis: RedisServer, key, field) -> None:
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("HDEL", base_of(url) + key, field)
        for ask in (store.run, store.load, store.records):
            with pytest.raises(StoreDamaged, match=r"run 'r'"):
                await ask("r")
        [outcome] = await store.commit([follow("r", 6)])
        assert isinstance(outcome, Rejected)


@in_time
async def test_a_commit_in_the_middle_vanishes(redis: RedisServer) -> None:
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("XDEL", base_of(url) + "log:r", "3-0")
        with pytest.raises(StoreDamaged, match=r"run 'r': commit 3 in store .* is damaged: it has vanished"):
            await store.records("r")
        assert len(await store.records("r", after=3)) == 2
        assert "run 'r': commit 3: it has vanished" in (await store.health(deep=True)).problems
        [outcome] = await store.commit([follow("r", 3)])
        assert isinstance(outcome, Rejected)
        assert not outcome.final, "nobody knows whether it was there"


@in_time
async def test_another_program_writes_over_a_run(redis: RedisServer) -> None:
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("SET", base_of(url) + "run:r", "x")
        redis.ask("SET", base_of(url) + "log:e", "x")
        with pytest.raises(StoreDamaged, match=r"run 'r': what is stored in store .* has written over it"):
            await store.load("r")
        outcomes = await store.commit([claim("q"), follow("r", 6), follow("e", 2, expect=1), first("new")])
        assert [getattr(each, "final", None) for each in outcomes] == [None, False, False, None]


@in_time
async def test_the_last_commit_vanishes(redis: RedisServer) -> None:
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("XDEL", base_of(url) + "log:r", "5-0")
        with pytest.raises(StoreDamaged, match="commit 5"):
            await store.load("r")
        with pytest.raises(StoreDamaged, match="commit 5"):
            await store.records("r", after=4)


@in_time
async def test_writing_to_what_has_vanished(redis: RedisServer) -> None:
    """A run whose keys are gone is not begun again, and the others of the group are applied."""
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("DEL", base_of(url) + "run:q")
        redis.ask("DEL", base_of(url) + "log:r")
        outcomes = await store.commit([first("q"), follow("r", 6, moved=True), first("new")])
        assert [getattr(each, "final", None) for each in outcomes] == [False, False, None]
        with pytest.raises(StoreDamaged, match=r"run 'q': what is stored of it .* its keys have vanished"):
            await store.run("q")
        for call in (store.prune, store.delete):
            with pytest.raises(StoreDamaged):
                await call("q", *([1] if call == store.prune else []), epoch=0)


@in_time
async def test_a_lost_list_of_keys(redis: RedisServer) -> None:
    """A key that was taken is not taken again because its list is gone."""
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("DEL", base_of(url) + "keys")
        with pytest.raises(StoreUnavailable, match="its list 'keys' is not what was stored: keys have vanished"):
            await store.commit([first("x", header=header("x", key="k"))])
        await applied(store, first("y"))


@in_time
async def test_an_emptied_database(redis: RedisServer) -> None:
    """SEMANTICS 3: nothing is believed of it, also when another store is in its place, until a copy is restored."""
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        base = base_of(url)
        copies = {key: redis.ask("DUMP", base + key) for key in redis.keys(url)}

        async def nothing_works() -> None:
            answers = await _everything(store)
            assert {type(answer) for answer in answers.values()} == {StoreUnavailable}
            for call in (lambda: store.commit([first("x")]), store.renew, store.reopen, lambda: store.post(posted())):
                with pytest.raises(StoreUnavailable, match="was emptied, or holds another store now"):
                    await call()
            health = await store.health(deep=True)
            assert "was emptied" in health.problems[0]

        for key in copies:
            redis.ask("DEL", base + key)
        await nothing_works()
        assert redis.keys(url) == [], "nothing was made anew"
        async with RedisStore(url) as other:
            await applied(other, first("r"))
            await nothing_works()
        for key in redis.keys(url):
            redis.ask("DEL", base + key)
        for key, copy in copies.items():
            redis.ask("RESTORE", base + key, "0", copy)
        await store.reopen()
        assert len(await store.records("r")) == 5
        assert (await store.health(deep=True)).problems == ()


@in_time
async def test_a_store_without_its_own_key(redis: RedisServer) -> None:
    """What is left of a store is not taken for a place to begin one."""
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("DEL", base_of(url))
    with pytest.raises(StoreError, match="has vanished, and others are left: restore a copy"):
        async with RedisStore(url):
            pass


CHANGES = {
    "the header": (("HSET", "run:r", "header", "\x80"), "its row"),
    "the status": (("HSET", "run:r", "status", "RUNNING"), "its row"),
    "a status that there is not": (("HSET", "run:r", "status", "DONE"), "its row"),
    "the epoch": (("HSET", "run:r", "epoch", "7"), "its row"),
    "no number": (("HSET", "run:r", "epoch", "x"), "its row"),
    "the last commit": (("HSET", "run:r", "event", "7"), "commit 5"),
    "the time": (("HSET", "run:r", "at", "7.5"), "commit 5"),
    "the count of commits": (("HSET", "run:r", "commits", "9"), "its log"),
    "the count of barriers": (("HSET", "run:r", "barriers", "2"), "its barriers"),
    "a snapshot": (("HSET", "snapshots:r", "4", "12 four"), "the snapshot of commit 4"),
    "a snapshot that is no snapshot": (("HSET", "snapshots:r", "4", "four"), "the snapshot of commit 4"),
    "a barrier": (("HSET", "barriers:r", "gate@2", "1  5 x"), "barrier 'gate@2'"),
    "a command": (("HSET", "command:c-2", "body", "x"), "command 'c-2'"),
    "a receipt": (("HSET", "command:c-2", "receipt", "x"), "command 'c-2'"),
    "a head": (("HSET", "heads", "t", "5.0 5 r"), "the head of thread 't'"),
    "a blob": (("HSET", f"blob:{BLOB}", "0", "y"), "another digest"),
    "another type": (("SET", "run:e", "x"), "WRONGTYPE"),
}


@pytest.mark.parametrize("change", CHANGES)
@in_time
async def test_changed_bytes_are_noticed(redis: RedisServer, change) -> None:
    url = redis.url()
    (command, key, *words), said = CHANGES[change]
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask(command, base_of(url) + key, *words)
        problems = (await store.health(deep=True)).problems
        assert any(said in problem for problem in problems), problems


FOUND_BY = {
    "submitted": ("101.0", "its row: it has submitted 101.0 instead of 100.0"),
    "key": ("l", "its row: it has key 'l' instead of 'k'"),
    "thread": ("", "its row: it has thread '' instead of 't'"),
    "newest": ("1", "its row: it has newest 1 instead of 4"),
    "first": ("4", "its log: its row has first 4, and commits 5 instead of 3"),
    "wrote": ("7", "commit 5: its bytes are not those that were stored"),
}


@pytest.mark.parametrize("field", FOUND_BY)
@in_time
async def test_a_field_that_is_not_what_the_header_or_the_log_says(redis: RedisServer, field) -> None:
    """1, 11: under another key or thread a run would be submitted twice, or not be found."""
    url = redis.url()
    value, said = FOUND_BY[field]
    async with RedisStore(url) as store:
        await _fill(store)
        assert (await store.health(deep=True)).problems == ()
        redis.ask("HSET", base_of(url) + "run:r", field, value)
        assert (await store.health(deep=True)).problems == (f"run 'r': {said}",)


@in_time
async def test_a_row_that_is_behind_its_log(redis: RedisServer) -> None:
    """3: it fits its own checksum, and is what it was before."""
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        before = sum_columns("r", RunStatus.AWAITING_INPUT, 0, "", "", 9.0)
        redis.ask("HSET", base_of(url) + "run:r", "epoch", "0", "sum", str(before))
        assert (await store.health(deep=True)).problems == ("run 'r': its row: it has epoch 0 instead of 1",)


KEYS = {"runs", "is", "timers", "keys", "on", "line"}
LISTED = {
    ("ZADD", "runs", "7", "r"): "runs 7.0 instead of 100.0",
    ("ZADD", "is:AWAITING_INPUT", "7", "r"): "status 7.0 instead of 100.0",
    ("RENAME", "is:AWAITING_INPUT", "is:PAUSED"): "status None instead of 100.0",
    ("ZADD", "timers", "7", "r"): "timers 7.0 instead of 9.0",
    ("HSET", "keys", "k", "e"): "keys 'e' instead of 'r'",
    ("ZADD", "on:t", "7", "r"): "on 7.0 instead of 100.0",
    ("ZADD", "line:t", "7", "r"): "line 7.0 instead of 0",
}


@pytest.mark.parametrize("damage", LISTED, ids=" ".join)
@in_time
async def test_a_list_that_is_not_what_a_run_says(redis: RedisServer, damage) -> None:
    """11.5: as many are in it as were put there, and the run is found by what it does not say."""
    url = redis.url()
    command, *words = damage
    words = [base_of(url) + word if word.partition(":")[0] in KEYS else word for word in words]
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask(command, *words)
        assert (await store.health(deep=True)).problems == (
            f"run 'r': what the lists have for it: it has {LISTED[damage]}",
        )


@in_time
async def test_a_damaged_run_keeps_nobody_from_the_others(redis: RedisServer) -> None:
    url = redis.url()
    async with RedisStore(url) as store:
        await _fill(store)
        redis.ask("HSET", base_of(url) + "run:r", "message", "other")
        rows = {row.run_id: row.damaged for row in await store.runs()}
        assert rows == {"r": "its row: its bytes are not those that were stored", "e": "", "q": ""}
        assert await store.timers() == [("r", 0.0)]
        with pytest.raises(StoreDamaged, match="its row"):
            await store.load("r")
        await applied(store, claim("q"))
