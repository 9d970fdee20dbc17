"""`terzetto._node`: what a body raises is its own failure, except what is not its doing (SEMANTICS 9.4)."""

import pytest
import trio

import terzetto
from terzetto._inline import run_to_end
from terzetto._results import Result
from terzetto_protocol.graph import Graph
from terzetto_protocol.statuses import RunStatus

from .runtimes import Add, Say, Tally, chain, says


async def outcome_of(graph: Graph[Tally]) -> Result[Tally]:
    return await run_to_end(graph, Tally(), run_id="r", max_steps=None, auto_approve=False, decider=None)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("I will not say")


ERRORS = {
    "plain": (ValueError("bad"), ("ValueError: bad",)),
    "no message": (ValueError(), ("ValueError",)),
    "blank message": (ValueError("  \n "), ("ValueError",)),
    "unspeakable": (Unspeakable(), ("Unspeakable (its message cannot be shown)",)),
    "system exit": (SystemExit(3), ("SystemExit: 3",)),
    "generator exit": (GeneratorExit(), ("GeneratorExit",)),
    "stop iteration": (StopIteration(), ("RuntimeError: coroutine raised StopIteration",)),
    "group": (ExceptionGroup("two", [KeyError("k"), OSError("o")]), ("KeyError: 'k'", "OSError: o")),
    "nested": (
        ExceptionGroup("a", [ExceptionGroup("b", [TypeError("t")]), ExceptionGroup("c", [ValueError(), OSError("o")])]),
        ("TypeError: t", "ValueError", "OSError: o"),
    ),
    "base group": (BaseExceptionGroup("b", [SystemExit(1), ValueError("v")]), ("SystemExit: 1", "ValueError: v")),
}


@pytest.mark.parametrize("kind", ERRORS)
async def test_what_a_node_raises_is_its_failure(kind):
    """9.4: SystemExit and GeneratorExit are that node's failure, groups are reported as their leaves, empty messages
    become the type's name."""
    error, leaves = ERRORS[kind]

    async def explode(ctx):
        raise error

    result = await outcome_of(chain(explode))
    assert RunStatus.FAILED is result.status
    assert leaves == result.failure.errors
    assert "node_error" == result.code
    assert "explode" in result.message


@pytest.mark.parametrize("options", [{}, {"run_timeout": 5}], ids=["untimed", "timed"])
@pytest.mark.parametrize("kind", ["task", "thread", "loop"])
async def test_a_node_that_returns_something_has_failed(kind, options):
    """4.2: nodes record what they change; who returns it, as elsewhere, would lose it without a word."""

    def returns(ctx):
        ctx.record(Say("recorded"))
        return {"trail": ["returned"]}

    async def returns_later(ctx):
        return returns(ctx)

    graph = Graph("returns", state=Tally, mutations=[Say])
    if kind == "loop":
        options = {"thread": False}
    graph.start(graph.node(name="a", **options)(returns_later if kind == "task" else returns))
    result = await outcome_of(graph)
    assert (RunStatus.FAILED, []) == (result.status, result.state.trail)
    assert "node 'a': TypeError: it returned a value (dict), and a node returns nothing" in result.message


async def test_a_failure_says_where_and_shows_no_values():
    async def explode(ctx):
        secret = "do not show"
        raise ValueError(len(secret))

    trace = (await outcome_of(chain(explode))).failure.trace
    assert trace[-1].endswith("in explode")
    assert "test_node.py:" in trace[-1]
    assert not any("secret" in frame for frame in trace)


async def test_a_failed_node_leaves_no_trace():
    """4.3: a node that raises leaves no trace in the state: its batch is dropped, and what it did to its input too."""

    async def scribble(ctx):
        ctx.record(Say("recorded"))
        ctx.state.trail.append("scribbled")
        raise ValueError

    result = await outcome_of(chain(says("before"), scribble))
    assert ["before"] == result.state.trail


async def test_keyboard_interrupt_is_raised_again():
    """9.4: KeyboardInterrupt is re-raised."""

    async def interrupt(ctx):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await terzetto.run(chain(interrupt), Tally())


async def test_keyboard_interrupt_in_a_group_is_raised_again():
    """9.4, in a node that opens its own nursery."""

    async def interrupt(ctx):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, ValueError("meanwhile"))
            nursery.start_soon(fail, KeyboardInterrupt())

    with pytest.RaisesGroup(KeyboardInterrupt, flatten_subgroups=True):
        await terzetto.run(chain(interrupt), Tally())


async def fail(error: BaseException) -> None:
    raise error


async def test_a_node_may_open_its_own_nursery():
    done: list[int] = []

    async def work(number: int) -> None:
        await trio.lowlevel.checkpoint()
        done.append(number)

    async def many(ctx):
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(work, number)
        ctx.record(Add(len(done)))

    assert 3 == (await terzetto.run(chain(many), Tally())).count


async def test_cancelled_siblings_are_no_failures():
    """9.4: Cancelled never counts as a failure: the group's real errors are the leaves."""

    async def many(ctx):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail, ValueError("the one"))

    assert ("ValueError: the one",) == (await outcome_of(chain(many))).failure.errors


async def test_a_scope_of_the_nodes_own_is_its_own_affair(autojump_clock):
    async def patient(ctx):
        with trio.move_on_after(1) as scope:
            await trio.sleep_forever()
        assert scope.cancelled_caught
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await trio.sleep_forever()
        ctx.record(Say("patient"))

    assert ["patient"] == (await terzetto.run(chain(patient), Tally())).trail


async def test_an_error_while_being_cancelled_is_not_lost_on_the_caller(autojump_clock):
    """9.4: with Cancelled beside it nothing is this node's failure: the cancel goes on to whoever cancelled."""

    async def mixed(ctx):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_when_cancelled)
            nursery.start_soon(trio.sleep_forever)

    async def fail_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("cleanup failed")

    with trio.move_on_after(1) as scope:
        await terzetto.run(chain(mixed), Tally())
    assert scope.cancelled_caught
