"""`terzetto.testing.FaultPlan`: sentences, what they refuse, which passes they take, and where they hold."""

import os
import signal

import pytest
import trio

import terzetto
from terzetto import _faults
from terzetto.stores import MemoryStore
from terzetto.testing import Fault, FaultPlan, FaultStore, ImpossibleFault, points
from terzetto_protocol.errors import ActorStopped, StoreUnavailable

from .runtimes import Tally, both, chain, opened, says, told

ERROR = ConnectionError("gone")


def struck(plan: FaultPlan, point: str = "commit_sent", passes: int = 6) -> list[int]:
    """At which passes of a point a plan raises."""
    found = []
    for number in range(1, passes + 1):
        try:
            plan(point, number)
        except ConnectionError:
            found.append(number)
    return found


# -- which passes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choose, expected",
    [
        (lambda place: place, [1, 2, 3, 4, 5, 6]),
        (lambda place: place.on_pass(3), [3]),
        (lambda place: place.from_pass(4), [4, 5, 6]),
        (lambda place: place.first(2), [1, 2]),
        (lambda place: place.first(0 + 1), [1]),
        (lambda place: place.when(lambda number: number % 2 == 0), [2, 4, 6]),
        (lambda place: place.when(lambda number: number % 2 == 0).on_pass(2), [4]),
        (lambda place: place.on_pass(2).when(lambda number: number % 2 == 0), [4]),
        (lambda place: place.when(lambda n: n > 1).when(lambda n: n < 5).from_pass(2), [3, 4]),
        (lambda place: place.with_probability(0), []),
        (lambda place: place.with_probability(1).first(2), [1, 2]),
    ],
)
def test_a_rule_says_which_passes(choose, expected):
    plan = choose(FaultPlan().at("commit_sent")).raises(ERROR)

    assert expected == struck(plan)
    assert [Fault("commit_sent", number, "raises ConnectionError('gone')") for number in expected] == plan.done
    assert ["commit_sent"] * 6 == plan.passed
    assert ([] if expected else 1) == (plan.unused and 1)


def test_chance_is_the_plans_own_and_comes_back_with_its_seed():
    def tried(seed):
        return struck(FaultPlan(seed=seed).at("commit_sent").with_probability(0.3).raises(ERROR), passes=200)

    assert tried(7) == tried(7) != tried(8)
    assert 30 < len(tried(7)) < 90


def test_other_places_do_not_count():
    plan = FaultPlan().at("commit_sent").on_pass(2).raises(ERROR)

    assert [] == struck(plan, "commit_durable")
    assert [2] == struck(plan)


def test_several_rules_apply_in_their_order():
    said = []
    plan = FaultPlan().at("node_start").calls(lambda: said.append(1)).at("node_start").calls(lambda: said.append(2))
    plan("node_start", None)

    assert [1, 2] == said


def test_a_rule_counts_from_when_it_was_made():
    plan = FaultPlan()
    struck(plan)
    plan.at("commit_sent").on_pass(2).raises(ERROR)

    assert [2] == struck(plan)
    assert [Fault("commit_sent", 8, "raises ConnectionError('gone')")] == plan.done


def test_a_part_of_a_sentence_may_be_used_again():
    """What a method returns is a new one: a place that was named stays what it was."""
    place = FaultPlan().at("commit_sent")
    place.on_pass(5).raises(ERROR)
    plan = place.first(2).raises(ERROR)

    assert [1, 2, 5] == struck(plan)


@pytest.mark.parametrize("error", [ConnectionError, lambda: ConnectionError("made"), ConnectionError("given")])
def test_an_error_or_what_makes_one(error):
    assert [1, 2] == struck(FaultPlan().at("commit_sent").raises(error), passes=2)


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said, message, possible",
    [
        (lambda plan: plan.at("commit_snt"), "did you mean 'commit_sent'", tuple(points)),
        (lambda plan: plan.on_store("comit"), "did you mean 'commit'", None),
        (lambda plan: plan.at("commit_sent").delays(1), r"at\('commit_sent'\) cannot say delays", None),
        (
            lambda plan: plan.at("commit_sent").drops(),
            "possible are kills, raises, calls",
            ("kills", "raises", "calls"),
        ),
        (lambda plan: plan.on_node("a").first(2).drops(), r"on_node\('a'\).first\(2\) cannot say drops", None),
        (lambda plan: plan.on_dispatch().duplicates(), "cannot say duplicates", None),
        (lambda plan: plan.on_store("run").tears(), "it is possible for commit", ("commit",)),
        (lambda plan: plan.on_store().drops(), "it is possible for commit, post", None),
        (lambda plan: plan.on_store("run").loses_answer(), "it is possible for commit", None),
        (lambda plan: plan.on_store("run").corrupts(), "it is possible for records", None),
        (lambda plan: plan.on_store("prune").duplicates(), "cannot say duplicates", None),
        (lambda plan: plan.on_node("a").delays(-1), "nobody can be delayed by -1", None),
        (lambda plan: plan.on_node("a").delays(float("inf")), r"for ever is hangs\(\)", None),
        (lambda plan: plan.on_node("a").with_probability(1.5), "1.5 is no probability", None),
        (lambda plan: plan.on_node("a").on_pass(0), "counted from 1 on", None),
        (lambda plan: plan.on_node("a").first(0), "counted from 1 on", None),
        (lambda plan: plan.on_node("a").first(2).on_pass(1), "says already which passes", None),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(said, message, possible):
    """With a sentence that says what is possible there, and the same as data."""
    plan = FaultPlan()
    with pytest.raises(ImpossibleFault, match=message) as caught:
        said(plan)

    assert [] == plan.rules
    assert possible is None or possible == caught.value.possible


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="kils"):
        FaultPlan().at("commit_sent").kils()


def test_every_place_names_what_it_can_do():
    plan = FaultPlan()
    places = [plan.at("commit_sent"), plan.on_node(), plan.after_node(), plan.on_dispatch(), plan.on_mailbox("m")]
    for place in [*places, plan.on_store()]:
        assert all(hasattr(type(place), name) for name in place.possible)


# -- the block -------------------------------------------------------------------------------------------------


def test_a_plan_holds_in_its_block_alone():
    plan = FaultPlan().at("commit_sent").raises(ERROR)
    with pytest.raises(KeyError), plan:
        assert _faults.hook is plan
        raise KeyError

    assert _faults.hook is None


def test_there_is_one_plan_at_a_time():
    with FaultPlan(seed=5).at("commit_sent").kills() as first:
        for second in (FaultPlan(), first):
            with pytest.raises(ImpossibleFault, match=r"FaultPlan\(seed=5\).at\('commit_sent'\).kills\(\) is in force"):
                second.__enter__()

        assert _faults.hook is first


def test_a_sentence_without_an_end_is_refused():
    plan = FaultPlan()
    plan.on_node("pay").first(3)
    with pytest.raises(ImpossibleFault, match=r"on_node\('pay'\): the plan does not say what happens"):
        plan.__enter__()


def test_a_plan_may_be_in_force_twice_and_goes_on_counting():
    plan = FaultPlan()
    for _ in range(2):
        with plan:
            _faults.hook("node_start", None)

    assert ["node_start", "node_start"] == plan.passed


def test_rules_that_never_applied_are_told_as_they_were_written():
    plan = FaultPlan(seed=3).at("node_start").on_pass(9).kills()
    plan.on_store("commit").first(2).raises(StoreUnavailable).on_node("a").when(bool).with_probability(0.5).delays(1.5)
    plan.on_mailbox("m").duplicates().after_node().hangs().on_dispatch("b").reorders()
    rules = [
        "at('node_start').on_pass(9).kills()",
        "on_store('commit').first(2).raises(StoreUnavailable)",
        "on_node('a').when(bool).with_probability(0.5).delays(1.5)",
        "on_mailbox('m').duplicates()",
        "after_node().hangs()",
        "on_dispatch('b').reorders()",
    ]

    assert rules == plan.unused == plan.rules
    assert "FaultPlan(seed=3)." + ".".join(rules) == repr(plan)
    assert "commit_sent #3: kills" == str(Fault("commit_sent", 3, "kills"))


# -- in a runtime ----------------------------------------------------------------------------------------------


@both
async def test_every_point_is_passed_about_something(autojump_clock, dispatch):
    """What passes a point has a run: a rule may be about one alone."""
    about = {}
    plan = FaultPlan()
    for point in points:
        plan.at(point).when(lambda what, point=point: bool(about.setdefault(point, what)) and False).kills()
    graph = chain(says("a"), "sign-off", says("b"))
    with plan:
        async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
            await (await runtime.submit(graph, Tally(), run_id="r", auto_approve=True)).result()

    assert {"r"} == {what.run_id for what in about.values()}
    assert set(points) - {"intent_durable"} == set(about)
    assert [] == plan.done


@both
async def test_an_actor_that_dies_at_a_point_is_started_again(autojump_clock, dispatch):
    """9: what an error kills is started again, and the run goes on where its log ends."""
    graph = chain(says("a"), says("b"))
    with FaultPlan().at("commit_durable").on_pass(3).raises(ERROR) as plan:
        async with opened(MemoryStore(), graph, dispatch=dispatch) as runtime:
            run = await runtime.submit(graph, Tally(), run_id="r")
            with pytest.raises(ActorStopped):
                await run.result()
            await told(run)
            assert ["a", "b"] == (await run.state()).trail
            assert runtime.statistics().restarts

    assert [] == plan.unused


async def test_a_runtime_within_the_block_has_a_store_that_fails(autojump_clock):
    graph = chain(says("a"))
    with FaultPlan().on_store("commit").first(2).raises(StoreUnavailable) as plan:
        async with opened(MemoryStore(), graph) as runtime:
            assert isinstance(runtime.store, FaultStore)
            assert ["a"] == (await runtime.run(graph, Tally())).trail
            assert 2 == runtime.statistics().persistence.failures

    assert ["store commit #1: raises StoreUnavailable", "store commit #2: raises StoreUnavailable"] == [
        *map(str, plan.done)
    ]


async def test_without_a_runtime_there_are_points_and_nodes(autojump_clock):
    """`terzetto.run` has neither a store nor mailboxes."""
    graph = chain(says("slow"))
    with FaultPlan().on_node("slow").delays(3) as plan:
        await terzetto.run(graph, Tally())

    assert 3 == trio.current_time()
    assert ["dispatch slow", "node_start", "node slow", "after slow", "effect_done", "mutation_recorded"] == [
        each for each in plan.passed if each != "event_published"
    ]


# -- the environment -------------------------------------------------------------------------------------------


@pytest.fixture
def killed(monkeypatch):
    """Whether somebody has killed this process, which survives."""
    found = []
    monkeypatch.setattr(os, "kill", lambda number, signal_: found.append((number, signal_)))
    return found


def test_a_kill_is_a_kill(killed):
    FaultPlan().at("node_start").kills()("node_start", None)

    assert [(os.getpid(), signal.SIGKILL)] == killed


def test_the_environment_arms_a_plan(killed, monkeypatch):
    monkeypatch.setattr(_faults, "hook", None)
    monkeypatch.setattr(_faults, "_armed", None)
    _faults.install_from_environment({"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": "node_start:2"})
    _faults.hook("node_start", None)

    assert [] == killed

    _faults.hook("node_start", None)

    assert [(os.getpid(), signal.SIGKILL)] == killed


def test_a_plan_in_force_is_left_alone_by_the_environment(monkeypatch):
    with FaultPlan() as plan:
        _faults.install_from_environment({"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": "node_start:2"})

        assert _faults.hook is plan


@pytest.mark.parametrize("wanted", ["nowhere", "node_start:x", "node_start:-1", "node_start:0"])
def test_an_unknown_point_in_the_environment_is_refused(wanted, monkeypatch):
    with pytest.raises(ValueError, match="is not POINT or POINT:COUNT"):
        _faults.install_from_environment({"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": wanted})

    assert _faults.hook is None
