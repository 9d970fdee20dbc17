"""Commands from outside: each is carried out once, however often it comes (SEMANTICS 6.5, 11)."""

import pytest
import trio

import terzetto
from terzetto import Approve, PauseReceipt, Refused, Resumed, Submitted, Undone
from terzetto.stores import MemoryStore
from terzetto_protocol.commands import Command, Fork, Pause, Rerun, Resume, Retry, Undo
from terzetto_protocol.errors import InvalidRequest, Malformed, UnknownRun
from terzetto_protocol.receipts import Denied

from .runtimes import FAILED, SUCCEEDED, Tally, chain, opened, parked, says, settled
from .test_inbox import NOTICED, Shared


async def fails(ctx: terzetto.NodeContext[Tally]) -> None:
    raise ValueError("no")


GRAPH = chain(says("first"), "gate", says("last"))
FAILING = chain(says("first"), "gate", fails, name="failing")


async def ready(runtime, command: Command):
    """A run for a command: it waits at its gate, is paused, or has failed, as the command wants it."""
    run = await parked(runtime, FAILING if isinstance(command, Retry) else GRAPH, "r")
    if isinstance(command, Resume):
        await run.pause()
    elif isinstance(command, Retry):
        await run.decide("gate", Approve())
        assert FAILED is (await run.result()).status
    return run


CASES = [
    (Pause("c", "r"), PauseReceipt("r", "paused", durable=True)),
    (Resume("c", "r"), Resumed("r", durable=True)),
    (Undo("c", "r"), Undone("r", 2, durable=True)),
    (Fork("c", "r", "new"), Submitted("new", durable=True)),
    (Fork("c", "r", "new", at=2), Submitted("new", durable=True)),
    (Retry("c", "r", "new"), Submitted("new", durable=True)),
    (Rerun("c", "r", "new", "last"), Submitted("new", durable=True)),
    (Rerun("c", "r", "new", "last", b'{"count": 7, "trail": []}'), Submitted("new", durable=True)),
]


@pytest.mark.parametrize("command, receipt", CASES, ids=repr)
async def test_a_command_whose_receipt_was_lost_is_carried_out_once(autojump_clock, command, receipt):
    """6.5: the same command twice gives the same receipt."""
    store = Shared()
    async with opened(store, GRAPH, FAILING) as runtime:
        await ready(runtime, command)
        before = len(await runtime.runs())
        store.lost = 2
        await store.leave(command)
        await trio.sleep(3)
        assert receipt == await store.answered(command)
        assert receipt == await runtime.ask(command)
        log = await runtime.get(getattr(command, "new_id", "r")).history()
        assert 1 == [(commit.detail or {}).get("command_id") for commit in log].count("c")
        assert before + isinstance(command, Fork | Retry | Rerun) == len(await runtime.runs())


async def test_new_runs_go_on_as_they_were_told_to(autojump_clock):
    """2: fork, retry and rerun make new runs, which name their parent."""
    store = Shared()
    async with opened(store, GRAPH) as runtime:
        await parked(runtime, GRAPH, "r")
        await runtime.ask(Fork("c1", "r", "forked"))
        await runtime.ask(Rerun("c2", "r", "again", "last", b'{"count": 7, "trail": ["edited"]}'))
        result = await runtime.get("again").result()
        assert Tally(7, ["edited", "last"]) == result.state
        await settled()
        await runtime.get("forked").decide("gate", Approve())
        assert ["first", "last"] == (await runtime.get("forked").result()).state.trail
        assert {"r@3", ""} == {row.header.parent for row in await runtime.runs()}


async def test_another_command_under_a_taken_id_is_refused(autojump_clock):
    """10: the same id with another input is a conflict."""
    async with opened(MemoryStore(), GRAPH) as runtime:
        await parked(runtime, GRAPH, "r")
        await runtime.ask(Fork("c1", "r", "new"))
        again = await runtime.ask(Fork("c2", "r", "new"))
        assert Submitted("new", durable=False, reused=True) == again
        with pytest.raises(terzetto.RunConflict):
            await runtime.ask(Fork("c3", "r", "new", at=2))


@pytest.mark.parametrize(
    "command, error, text",
    [
        (Fork("c", "r", "new", at=99), InvalidRequest, "has commits 1 to"),
        (Fork("c", "r", "a/b"), InvalidRequest, "not a run id"),
        (Retry("c", "r", "new"), InvalidRequest, "only one that has ended"),
        (Rerun("c", "r", "new", "nowhere"), InvalidRequest, "no place 'nowhere'"),
        (Rerun("c", "r", "new", "last", b"{"), Malformed, "malformed"),
        (Rerun("c", "r", "new", "last", b'{"count": "x"}'), Malformed, "count"),
        (Undo("c", "r", 9), InvalidRequest, "no 9 visits"),
        (Pause("c", "nobody"), UnknownRun, "no run 'nobody'"),
        (Fork("c", "nobody", "new"), UnknownRun, "no run 'nobody'"),
    ],
    ids=repr,
)
async def test_what_is_refused_changes_nothing(autojump_clock, command, error, text):
    """1: refused names the run and the value; in the inbox it is denied with the same words."""
    store = Shared()
    async with opened(store, GRAPH) as runtime:
        await parked(runtime, GRAPH, "r")
        with pytest.raises(error, match=text):
            await runtime.ask(command)
        await store.leave(command)
        await trio.sleep(NOTICED)
        receipt = await store.answered(command)
        assert isinstance(receipt, Denied)
        assert text in receipt.reason
        assert [("r", 3)] == [(row.run_id, row.seq) for row in await runtime.runs()]


async def test_a_pause_of_a_run_that_has_ended_is_refused(autojump_clock):
    async with opened(MemoryStore(), GRAPH) as runtime:
        run = await runtime.submit(GRAPH, Tally(), run_id="r", auto_approve=True)
        assert SUCCEEDED is (await run.result()).status
        with pytest.raises(Refused, match="SUCCEEDED"):
            await runtime.ask(Pause("c", "r"))
