"""Who want different things of one run: one wins, durably, and both hear the same (SEMANTICS 3 D5, D6, 6.4, 9.1)."""

import pytest
import trio

import terzetto
from terzetto_protocol.decisions import Approve, Reject
from terzetto_protocol.errors import CommitPruned, UnknownRun
from terzetto_protocol.events import RunEnded
from terzetto_protocol.receipts import AlreadyResolved, DecisionTaken, PauseReceipt
from terzetto_protocol.records import Kind
from terzetto_protocol.statuses import RunStatus

from .contests import contend, count, lasting, refused, seeds, shelves
from .fans import bare
from .runtimes import CANCELLED, SUCCEEDED, Held, Tally, both, chain, opened, parked, says, settled, told


def asking(timeout: float | None = None):
    graph = bare("asking")
    ask = graph.barrier("ask", timeout=timeout)
    graph.start(ask)
    graph.edge(ask.approved, graph.node(name="yes")(says("yes")))
    graph.edge(ask.rejected, graph.node(name="no")(says("no")))
    return graph


async def waits(runtime, graph, seed: int):
    """A run at its barrier."""
    return await parked(runtime, graph, f"r{seed}")


async def ended(run):
    """The end of a run, with every barrier approved on the way."""
    while await run.status() is not SUCCEEDED:
        await settled()
        for row in await run.barriers():
            await run.decide(row.barrier, Approve())
    return await run.result()


def decided(log) -> list[str]:
    """By whom, as the log has it."""
    return [record.detail.source for record in log if record.kind is Kind.DECIDE]


@both
@shelves
@seeds
async def test_cancel_against_completion(autojump_clock, dispatch, shelf, seeds):
    """9.1: `requested` and CANCELLED, or `already_terminal` and SUCCEEDED; waiters hear the same."""
    store, ends = shelf(), {}
    for seed in seeds:
        held = Held()
        graph = chain(held, says("last"), name=f"g{seed}")
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await runtime.submit(graph, Tally(), run_id=f"r{seed}")
            await held.begun.wait()

            async def finish(held=held) -> None:
                held.go.set()

            answers = await contend(seed, cancel=run.cancel, finish=finish, one=run.result, other=run.result)
            cancelled = answers["cancel"].outcome in {"requested", "stopped"}
            status = CANCELLED if cancelled else SUCCEEDED
            assert [status] * 2 == [answers["one"].status, answers["other"].status]
            assert RunEnded is type((await told(run))[-1])
        end, log = await lasting(store, f"r{seed}", graph)
        assert (status, int(cancelled)) == (end, count(log, Kind.CANCEL))
        ends[status] = seed
    assert {CANCELLED, SUCCEEDED} == set(ends) or len(seeds) < 25


@both
@shelves
@seeds
async def test_a_decision_against_its_timeout(autojump_clock, dispatch, shelf, seeds):
    """6.4: exactly one wins; the others get `already_resolved` with the winner."""
    store, graph = shelf(), asking(timeout=10)
    for seed in seeds:
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await waits(runtime, graph, seed)
            began = next(iter(await run.barriers())).deadline - 10

            async def late(run=run, began=began):
                await trio.sleep(began + 10 - runtime.supervisor.clock())
                return await run.decide("ask", Approve(), source="ann")

            answers = await contend(seed, ann=late, end=run.result)
            winner = "ann" if isinstance(answers["ann"], DecisionTaken) else "timeout"
            if winner == "timeout" and isinstance(answers["ann"], AlreadyResolved):
                assert "timeout" == answers["ann"].source
            assert ["yes" if winner == "ann" else "no"] == answers["end"].state.trail
        _, log = await lasting(store, f"r{seed}", graph)
        assert [winner] == decided(log)


@both
@shelves
@seeds
async def test_a_decision_against_a_cancel(autojump_clock, dispatch, shelf, seeds):
    """6.4: whoever comes second hears who was first; after the cancel nothing commits."""
    store, graph = shelf(), asking()
    for seed in seeds:
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await waits(runtime, graph, seed)
            answers = await contend(
                seed, ann=lambda run=run: run.decide("ask", Approve(), source="ann"), cancel=run.cancel, end=run.result
            )
            won = isinstance(answers["ann"], DecisionTaken)
            assert won or isinstance(answers["ann"], AlreadyResolved) or refused(answers["ann"])
            said = answers["cancel"].outcome
            assert (said == "already_terminal") == (answers["end"].status is SUCCEEDED)
        end, log = await lasting(store, f"r{seed}", graph)
        assert answers["end"].status == end
        assert ["ann"] * won == decided(log)
        assert int(end == CANCELLED) == sum(record.status is CANCELLED for record in log)


@both
@shelves
@seeds
async def test_two_decisions(autojump_clock, dispatch, shelf, seeds):
    """3 D5: exactly one winner, and the other is told which."""
    store, graph, winners = shelf(), asking(), set()
    for seed in seeds:
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await waits(runtime, graph, seed)
            answers = await contend(
                seed,
                ann=lambda run=run: run.decide("ask@1", Approve(), source="ann"),
                bob=lambda run=run: run.decide("ask@1", Reject("no"), source="bob"),
                end=run.result,
            )
            taken = [name for name in ("ann", "bob") if isinstance(answers[name], DecisionTaken)]
            (winner,) = taken
            (loser,) = {"ann", "bob"} - {winner}
            assert (winner, {"ann": "approve", "bob": "reject"}[winner]) == (
                answers[loser].source,
                answers[loser].decision,
            )
            assert [{"ann": "yes", "bob": "no"}[winner]] == answers["end"].state.trail
        _, log = await lasting(store, f"r{seed}", graph)
        assert [winner] == decided(log)
        winners.add(winner)
    assert {"ann", "bob"} == winners


@both
@shelves
async def test_fifty_deciders(autojump_clock, dispatch, shelf):
    """3 D5: one of fifty, and all others are told the same name."""
    store, graph = shelf(), asking()
    for seed in range(5):
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await waits(runtime, graph, seed)
            answers = await contend(
                seed,
                **{
                    f"p{n}": lambda n=n, run=run: run.decide("ask@1", Approve() if n % 2 else Reject(), source=f"p{n}")
                    for n in range(50)
                },
            )
            (winner,) = [name for name, answer in answers.items() if isinstance(answer, DecisionTaken)]
            others = [answer for name, answer in answers.items() if name != winner]
            assert {(AlreadyResolved, winner)} == {(type(each), each.source) for each in others}
        _, log = await lasting(store, f"r{seed}", graph)
        assert [winner] == decided(log)


@shelves
@pytest.mark.parametrize("number", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_many_cancels(autojump_clock, shelf, number):
    """9.1: all are told the same, one is stored."""
    store, held = shelf(), Held()
    graph = chain(held)
    async with opened(store, graph, limit=1000) as runtime:
        run = await runtime.submit(graph, Tally(), run_id="r")
        await held.begun.wait()
        answers = await contend(1, **{f"c{n}": run.cancel for n in range(number)})
        said = {answer.outcome for answer in answers.values()}
        assert said <= {"requested", "stopped", "already_terminal"}
        assert CANCELLED is (await run.result()).status
        assert {CANCELLED} == {
            answer.status for answer in answers.values() if answer.outcome == "already_terminal"
        } or ("already_terminal" not in said)
    _, log = await lasting(store, "r", graph)
    assert 1 == count(log, Kind.CANCEL)


@both
@shelves
@seeds
async def test_pause_against_completion(autojump_clock, dispatch, shelf, seeds):
    """2.8: the visit that was the last ends the run all the same; else it rests until it is resumed."""
    store = shelf()
    for seed in seeds:
        held = Held()
        graph = chain(held, says("a"), says("b"), name=f"g{seed}")
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await runtime.submit(graph, Tally(), run_id=f"r{seed}")
            await held.begun.wait()

            async def finish(held=held) -> None:
                held.go.set()

            answers = await contend(seed, pause=run.pause, finish=finish)
            await settled()
            if isinstance(answers["pause"], PauseReceipt):
                assert await run.status() in {RunStatus.PAUSED, SUCCEEDED}
            else:
                assert refused(answers["pause"])
                assert SUCCEEDED is await run.status()
            if RunStatus.PAUSED is await run.status():
                await run.resume()
            assert ["held", "a", "b"] == (await run.result()).state.trail
        assert SUCCEEDED == (await lasting(store, f"r{seed}", graph))[0]


@both
@shelves
async def test_fifty_submits_with_one_key(autojump_clock, dispatch, shelf):
    """10.2: they are one run; one of them made it, and all others are told so."""
    store, ran = shelf(), []

    async def once(ctx):
        ran.append(ctx.run_id)

    graph = chain(once)
    for seed in range(5):
        async with opened(store, graph, dispatch=dispatch) as runtime:

            async def submit(seed=seed):
                return await runtime.submit(graph, Tally(), key=f"key-{seed}")

            answers = await contend(seed, **{f"s{n}": submit for n in range(50)})
            (run_id,) = {run.run_id for run in answers.values()}
            assert 1 == sum(not run.reused for run in answers.values())
            await runtime.get(run_id).result()
        await lasting(store, run_id, graph)
        assert 1 == ran.count(run_id)
    assert 5 == len(ran)


@both
@shelves
@seeds
async def test_going_back_against_going_on(autojump_clock, dispatch, shelf, seeds):
    """9.3, 2: undo needs a run that rests; a fork has a life of its own, whatever becomes of the run."""
    store, graph = shelf(), chain(says("a"), "ask", says("b"))
    for seed in seeds:
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await waits(runtime, graph, seed)
            answers = await contend(
                seed,
                undo=run.undo,
                fork=lambda run=run, seed=seed: run.fork(new_id=f"f{seed}"),
                rerun=lambda run=run, seed=seed: run.rerun("a", new_id=f"n{seed}"),
                decide=lambda run=run: run.decide("ask", Approve()),
            )
            for name in ("fork", "undo"):  # too late: there is nothing to go back to, or nothing goes on from the end
                assert not isinstance(answers[name], Exception) or isinstance(answers["decide"], DecisionTaken)
            undone = isinstance(answers["undo"], terzetto.Undone)
            assert undone or refused(answers["undo"])
            made = [run, *(answers[name] for name in ("fork", "rerun") if isinstance(answers[name], terzetto.Run))]
            for each in made:
                assert "b" == (await ended(each)).state.trail[-1]
        for each in made:
            _, log = await lasting(store, each.run_id, graph)
            assert count(log, Kind.REWIND) == (undone and each is run)


@both
@shelves
@seeds
async def test_delete_against_readers(autojump_clock, dispatch, shelf, seeds):
    """3.5: it is there whole, or gone whole; readers of what is gone are told so."""
    store, graph = shelf(), chain(*(says(f"s{n}") for n in range(10)))
    for seed in seeds:
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            await run.result()
            answers = await contend(
                seed, delete=run.delete, state=run.state, history=run.history, replay=run.replay, other=run.delete
            )
            gone = UnknownRun, CommitPruned, terzetto.Refused
            deleted = [name for name in ("delete", "other") if isinstance(answers[name], int)]
            assert 1 == len(deleted)
            assert isinstance(answers["state"], gone) or 10 == len(answers["state"].trail)
            assert isinstance(answers["history"], gone) or len(answers["history"]) in (0, answers[deleted[0]])
            assert isinstance(answers["replay"], gone) or answers["replay"].holds
            with pytest.raises(UnknownRun):
                await run.status()
        assert None is await store.run("r")


@both
@shelves
@seeds
async def test_everybody_who_waits_hears_the_same_end(autojump_clock, dispatch, shelf, seeds):
    """9.3: waiters that came before, at and after the end, while it is decided, cancelled and paused at once."""
    store, graph = shelf(), asking()
    for seed in seeds:
        async with opened(store, graph, dispatch=dispatch) as runtime:
            run = await waits(runtime, graph, seed)
            waiters = {f"w{n}": run.result for n in range(10)}
            answers = await contend(
                seed,
                ann=lambda run=run: run.decide("ask", Approve(), source="ann"),
                cancel=run.cancel,
                pause=run.pause,
                **waiters,
            )
            (status,) = {answers[name].status for name in waiters}
            assert status in {SUCCEEDED, CANCELLED}
            assert status is (await run.result()).status
        assert status == (await lasting(store, f"r{seed}", graph))[0]
