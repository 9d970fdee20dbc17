"""Errors that end nothing: stored with the commit of their attempt, told, listed and bounded (SEMANTICS 9.9)."""

import msgspec
import pytest
import trio

import terzetto
from terzetto import ObservedError
from terzetto._cli import main
from terzetto.stores import MemoryStore
from terzetto.testing import context, reported
from terzetto_protocol.errors import InvalidRequest, NotStorable
from terzetto_protocol.events import BarrierOpened, ErrorObserved, NodeFinished, RetryScheduled, count_told, told_by
from terzetto_protocol.image import read_record
from terzetto_protocol.inputs import Again, UndoRequested
from terzetto_protocol.limits import OBSERVED_LENGTH, OBSERVED_RUN, OBSERVED_VISIT
from terzetto_protocol.progress_view import progress_view
from terzetto_protocol.records import Kind, Observed, Record
from terzetto_protocol.retry import RetryPolicy
from terzetto_protocol.sayings import event_line, event_note
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.travel import as_was, undone
from terzetto_protocol.views import event_view, observed_in

from .branches import fan, reads_the_same
from .machines import Driver
from .runtimes import SUCCEEDED, Held, Say, Step, Tally, both, chain, once, opened, says, stores, told
from .sketches import Add, Burst, Spoil, sketch

_R = RunStatus


def observed(*messages: str, more: int = 0, node: str = "a", visit: int = 1) -> Observed:
    return Observed(tuple(ObservedError("warning", message, node, visit) for message in messages), more)


def listed(driver: Driver) -> list[str]:
    return [error.message for error in driver.machine.fold.image.observed.errors]


def reports(driver: Driver) -> list[tuple[str, int, str]]:
    seen = [event for event in driver.witness.seen if isinstance(event, ErrorObserved)]
    return [(event.node, event.visit, event.message) for event in seen]


# -- what a node says ----------------------------------------------------------------------------------------


def test_a_node_reports_errors_and_texts():
    """9.9: of an exception its type and message are kept; an empty message becomes the type's name."""
    ctx = context(Tally())
    ctx.report("slow")
    ctx.report(ValueError("bad\n  input"), level="degraded")
    ctx.report(TimeoutError(), level="partial_failure")
    assert [
        ObservedError("warning", "slow", "node", 1),
        ObservedError("degraded", "ValueError: bad input", "node", 1),
        ObservedError("partial_failure", "TimeoutError", "node", 1),
    ] == list(reported(ctx))
    assert () == reported(context(Tally()))


def test_reports_are_bounded():
    """12: every limit is a named constant: texts are cut, and further errors are counted."""
    ctx = context(Tally())
    for number in range(OBSERVED_VISIT + 5):
        ctx.report(f"{number} " + "x" * OBSERVED_LENGTH)
    assert OBSERVED_VISIT == len(reported(ctx))
    assert 5 == ctx.remarks.observed.more
    assert reported(ctx)[3].message.endswith(f"x... ({OBSERVED_LENGTH + 2} characters)")
    assert OBSERVED_LENGTH + 30 > len(reported(ctx)[3].message)


def test_what_is_no_report_is_refused():
    ctx = context(Tally())
    with pytest.raises(InvalidRequest, match="'fatal' is no level of an error: they are warning, degraded"):
        ctx.report("no", level="fatal")
    with pytest.raises(NotStorable):
        ctx.report("\ud800")
    ctx.report(ValueError("\ud800"))
    assert ["ValueError: \\ud800"] == [error.message for error in reported(ctx)]


# -- what a machine makes of it ------------------------------------------------------------------------------


@pytest.mark.parametrize("acks", ["now", "later", "settled"])
def test_they_are_told_before_the_end_of_their_visit(acks):
    """D3, D4: durable with the commit of the visit, in order, and told by it alone."""
    driver = Driver(sketch("a:pure b", "a>b"), acks=acks)
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish(Add(1), observed=observed("one", "two", more=3))
    if acks == "later":
        assert [] == reports(driver)
    driver.ack()
    driver.finish()
    driver.ack()
    assert [("a", 1, "one"), ("a", 1, "two")] == reports(driver)
    told_of = [event.more for event in driver.witness.seen if isinstance(event, ErrorObserved)]
    names = driver.events
    assert ([0, 3], 3) == (told_of, driver.machine.fold.image.observed.more)
    assert ["ErrorObserved", "ErrorObserved", "NodeFinished"] == names[names.index("ErrorObserved") :][:3]
    reads_the_same(driver)
    driver.settle()
    assert (_R.SUCCEEDED, 1) == (driver.status, driver.state.count)


def test_a_run_without_a_log_has_them_too():
    driver = Driver(sketch("a b", "a>b"), logged=False).claim()
    driver.finish(observed=observed("one"))
    driver.finish()
    assert ["one"] == listed(driver)


def test_a_visit_that_fails_loses_none():
    """9.9: a failure is a commit too."""
    driver = Driver(sketch("a")).claim()
    driver.fail(observed=observed("before"))
    assert (_R.FAILED, ["before"]) == (driver.status, listed(driver))
    assert ["ErrorObserved", "NodeFailed", "RunEnded"] == driver.events[-3:]


@pytest.mark.parametrize("how", ["burst", "spoil"])
def test_a_visit_whose_batch_cannot_be_applied_loses_none(how):
    driver = Driver(sketch("a")).claim()
    driver.finish(Burst() if how == "burst" else Spoil(), observed=observed("before"))
    assert (_R.FAILED, ["before"]) == (driver.status, listed(driver))


def test_each_attempt_reports_for_itself():
    """9.8: what a failed attempt recorded is gone, and what it reported is not."""
    driver = Driver(fan("x:tried")).claim()
    driver.fail(again=Again(0.5), observed=observed("first"))
    assert (["first"], "RetryScheduled") == (listed(driver), driver.events[-1])
    driver.settle()
    assert ["first"] == listed(driver)


@pytest.mark.parametrize("kind", ["once", "probed"])
def test_a_body_whose_effect_is_unknown_reports_with_the_question(kind):
    driver = Driver(sketch(f"a:{kind}")).claim()
    driver.fail(unknown=True, observed=observed("cut off"))
    if kind == "probed":
        driver.probed(None, observed=observed("cannot tell"))
    assert [{"once": "cut off", "probed": "cannot tell"}[kind]] == listed(driver)
    assert ["ErrorObserved", "BarrierOpened"] == driver.events[-2:]


def test_a_probe_that_knows_reports_with_the_visit():
    driver = Driver(sketch("a:probed b", "a>b")).claim()
    driver.crash()
    driver.claim()
    driver.probed(True, observed=observed("found late"))
    assert ["found late"] == listed(driver)


def test_an_attempt_that_is_cancelled_commits_nothing_and_reports_nothing():
    """D6: no commit succeeds after an acknowledged cancel."""
    driver = Driver(sketch("a")).claim()
    driver.cancel()
    driver.finish(observed=observed("late"))
    assert (_R.CANCELLED, [], []) == (driver.status, listed(driver), reports(driver))


def test_branches_report_with_their_paths_and_a_discarded_one_has_reported():
    driver = Driver(fan("x y")).claim()
    driver.finish(node="x", observed=observed("odd", node="fan/x/x", visit=2))
    driver.fail(node="y")
    assert ([("fan/x/x", 2, "odd")], ["odd"]) == (reports(driver), listed(driver))
    reads_the_same(driver)


def test_a_sibling_that_was_left_behind_is_reported_by_the_join():
    """9.1: a place whose branch failed fails without the sibling that stays, and says so."""
    graph = fan("x y", more="mend")
    graph.edge("fan", "mend", on_error=True)
    driver = Driver(graph).claim()
    driver.fail(node="x")
    driver.stick("y")
    assert [("fan/y/y", 3, "it ignored 5 s of cancellation, and may still run")] == reports(driver)
    driver.finish()
    (error,) = driver.machine.fold.image.observed.errors
    assert (_R.SUCCEEDED, "degraded") == (driver.status, error.level)


def test_a_runs_list_is_bounded():
    """12: the first errors are listed, and the rest are counted; views made of the log alone say the same."""
    count = OBSERVED_RUN + 10
    driver = Driver(sketch("a b", "a>b b>a"), max_steps=1000).claim()
    for number in range(count):
        driver.finish(observed=observed(str(number), more=number % 2))
    image = driver.machine.fold.image.observed
    assert [str(number) for number in range(OBSERVED_RUN)] == listed(driver)
    assert 10 + count // 2 == image.more
    assert image == observed_in(driver.disk.records)


def test_an_undo_keeps_them_and_a_fork_begins_without():
    """History is kept: what was reported was reported."""
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(observed=observed("one"), pause=True)
    was = as_was(driver.machine.fold)
    assert () == was.image.observed.errors
    to = undone(driver.disk.records, 1)
    assert to is not None
    driver.feed(UndoRequested(to, was, driver.now))
    assert ["one"] == listed(driver)
    reads_the_same(driver)


def test_a_log_from_before_is_read():
    """A record that ends before the new field is one without."""
    record = Record(1, Kind.VISIT, 1, 0.0, _R.RUNNING, 1, 1, "a")
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record))
    assert record == read_record(msgspec.msgpack.encode(fields[:-1]))


def test_what_is_counted_is_what_is_told():
    record = Record(3, Kind.VISIT, 1, 0.0, _R.RUNNING, 7, 1, "a", observed=observed("one", "two"))
    events = told_by("r", record)
    assert count_told(record) == len(events)
    assert [7, 8, 9] == [event.id for event in events]
    assert NodeFinished is type(events[-1])


def test_a_picture_says_the_last_one():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish(observed=Observed((ObservedError("partial_failure", "two pages missing", "a", 1),)))
    assert "partial failure: two pages missing" == progress_view(driver.disk.records, carried=True)["a"].note


# -- in a runtime --------------------------------------------------------------------------------------------


@both
@stores
async def test_they_are_events_and_part_of_the_result(autojump_clock, dispatch, store):
    """9.9: visible in the stream, in the history and in the result, also after a restart."""

    async def shaky(ctx):
        ctx.report("cache is cold")
        ctx.record(Say("shaky"))
        ctx.report(OSError("no network"), level="degraded")

    graph, shelf = chain(shaky, says("after")), store()
    async with opened(shelf, graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        result = await run.result()
        seen = [event for event in await told(run) if isinstance(event, ErrorObserved)]
        (commit,) = [each for each in await run.history() if each.place == "shaky"]
    assert (SUCCEEDED, ["shaky", "after"], 0) == (result.status, result.state.trail, result.unlisted)
    expected = (
        ObservedError("warning", "cache is cold", "shaky", 1),
        ObservedError("degraded", "OSError: no network", "shaky", 1),
    )
    assert expected == result.observed
    assert [error.message for error in expected] == [event.message for event in seen]
    assert ["ErrorObserved", "ErrorObserved", "NodeFinished"] == [event["type"] for event in commit.events]
    async with opened(shelf, graph) as runtime:
        assert expected == (await runtime.get("r").result()).observed
        assert seen == [event for event in await told(runtime.get("r")) if isinstance(event, ErrorObserved)]


@both
async def test_attempts_and_timeouts_report(autojump_clock, dispatch):
    async def flaky(ctx):
        ctx.report(f"attempt {ctx.visit.attempt}")
        if ctx.visit.attempt == 1:
            raise OSError("again")
        await trio.sleep_forever()

    graph = chain(Step(flaky, {"run_timeout": 1, "retry": RetryPolicy(max_attempts=2, initial=1, jitter=0)}))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        result = await run.result()
        kinds = [type(event) for event in await told(run)]
    assert ["attempt 1", "attempt 2"] == [error.message for error in result.observed]
    assert RetryScheduled is kinds[kinds.index(ErrorObserved) + 1]


@both
async def test_a_once_body_that_times_out_reports_with_its_question(autojump_clock, dispatch):
    async def pay(ctx):
        ctx.report("the bank is slow")
        await trio.sleep_forever()

    graph = chain(once(pay, run_timeout=1))
    async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
        run = await runtime.submit(graph, Tally())
        events = await told(run, until=BarrierOpened)
        assert ErrorObserved is type(events[-2])
        await run.cancel()
        assert 1 == len((await run.result()).observed)


@pytest.mark.parametrize("thread", [True, False])
async def test_plain_functions_report(thread):
    def work(ctx):
        ctx.report("odd")

    graph = chain(Step(work, {"thread": thread}), says("after"))
    async with opened(MemoryStore(), graph) as runtime:
        assert ["odd"] == [error.message for error in (await (await runtime.submit(graph, Tally())).result()).observed]


async def test_a_report_is_a_sign_of_life(autojump_clock):
    """9.7: `idle_timeout` is refreshed by what a node says."""

    async def slow(ctx):
        for _ in range(5):
            await trio.sleep(1)
            ctx.report("still at it")

    graph = chain(Step(slow, {"idle_timeout": 2}))
    async with opened(MemoryStore(), graph) as runtime:
        assert SUCCEEDED is (await (await runtime.submit(graph, Tally())).result()).status


async def test_a_run_that_is_cancelled_keeps_what_was_committed(autojump_clock):
    held = Held()

    async def shaky(ctx):
        ctx.report("early")

    graph = chain(shaky, held)
    async with opened(MemoryStore(), graph) as runtime:
        run = await runtime.submit(graph, Tally())
        await held.begun.wait()
        await run.cancel()
        assert ["early"] == [error.message for error in (await run.result()).observed]


async def test_terzetto_run_goes_on():
    async def shaky(ctx):
        ctx.report("odd")
        ctx.record(Say("shaky"))

    assert ["shaky", "after"] == (await terzetto.run(chain(shaky, says("after")), Tally())).trail


# -- on the command line -------------------------------------------------------------------------------------


def test_the_command_line_shows_them(tmp_path, capsys):
    async def shaky(ctx):
        for number in range(OBSERVED_VISIT + 2):
            ctx.report(f"odd {number}", level="partial_failure")

    async def work() -> None:
        graph = chain(shaky, says("after"))
        async with terzetto.open_runtime(store, graphs=[graph]) as runtime:
            await (await runtime.submit(graph, Tally(), run_id="r")).result()

    store = f"sqlite:{tmp_path / 'runs.db'}"
    trio.run(work)
    assert 0 == main(["show", "r", "--store", store])
    assert "shaky@1 partial failure: odd 3\n" in (output := capsys.readouterr().out)
    assert "and 2 more errors that ended nothing\n" in output


def test_an_event_is_said_in_words():
    record = Record(1, Kind.VISIT, 1, 0.0, _R.RUNNING, 1, 1, "a", observed=observed("odd"))
    view = event_view(told_by("r", record)[0])
    assert ("a@1 warning: odd", "ErrorObserved warning: odd") == (event_line(view), event_note(view))
