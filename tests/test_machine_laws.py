"""`terzetto_protocol.machine`: laws that hold for every graph and every history (DESIGN, laws 1, 2, 4 and 5).

The witness of each driver checks after every turn, over all owners of a run: law 1 (the log folded from its
beginning and from its newest snapshot is the live image and state, byte by byte), that every status moves along
its table, D2 to D8, that no visit with a commit starts again, and that a refusal changed nothing.
"""

from operator import attrgetter

import pytest
from hypothesis import given, settings, strategies as st

from terzetto_protocol.decisions import Approve, Confirm
from terzetto_protocol.fold import Fold
from terzetto_protocol.statuses import RunStatus

from .flow_inventions import FlowPlan, FlowPlayer, flow_histories, flow_plans
from .inventions import Plan, Player, Spot, Way, histories, plans
from .machines import Died, Driver, ended, image_of
from .sketches import Add, Tally
from .witness import counts_of, state_of

QUICK = settings(max_examples=120, deadline=None, derandomize=True)
SWEEP = settings(max_examples=1000, deadline=None, database=None)

slow_store = st.sampled_from(["now", "later", "later", "settled"])
scripts = st.lists(st.integers(0, 23), max_size=24)


def player_of(driver: Driver) -> Player:
    return Player(driver) if driver.blueprint.flow is None else FlowPlayer(driver)


# -- any history ---------------------------------------------------------------------------------------------------


def hold(plan: Plan | FlowPlan, acks: str, history) -> None:
    """Act a history out, then let everything under way end: the run rests, and whoever reads its log knows the same."""
    driver = plan.driver(acks)
    player = player_of(driver)
    if isinstance(player, FlowPlayer):
        player.begin()
    for name, number in history:
        player.act(name, number)
    player.calm_down()
    _reads_the_same(driver)
    _goes_on(player)


def _reads_the_same(driver: Driver) -> None:
    """Law 1, once more and whole: from the newest snapshot, as another process would."""
    snapshot, bodies = driver.disk.log()
    fold = Fold.load(driver.blueprint, driver.header, snapshot, bodies)
    assert image_of(fold) == image_of(driver.machine.fold)
    assert state_of(fold) == state_of(driver.machine.fold)


def _goes_on(player: Player) -> None:
    """Law 5: who rests can be set going until it ends, or waits for a person whose decision cannot be carried out."""
    driver, last = player.driver, -1
    while not ended(driver) and driver.disk.seq > last:
        last = driver.disk.seq
        player.act("advance", 0)
        player.calm_down()
    assert ended(driver) or driver.status is RunStatus.AWAITING_INPUT
    assert driver.machine.fold.image.visits <= driver.header.max_steps


@QUICK
@given(plans(), slow_store, histories)
def test_every_history_of_every_graph_keeps_the_promises(plan, acks, history):
    hold(plan, acks, history)


@QUICK
@given(plans(branches=True), slow_store, histories)
def test_every_history_of_every_graph_with_branches_keeps_the_promises(plan, acks, history):
    """Law 1 and 5.5: entries of a branch fold into that branch's path, and all of it into the run."""
    hold(plan, acks, history)


@QUICK
@given(flow_plans(), slow_store, flow_histories)
def test_every_history_of_every_dataflow_keeps_the_promises(plan, acks, history):
    """Law 1 and 5.7: what follows from a value is computed anew wherever the log is folded."""
    hold(plan, acks, history)


@pytest.mark.slow
@SWEEP
@given(flow_plans(), slow_store, flow_histories)
def test_many_more_histories_of_dataflows_keep_the_promises(plan, acks, history):
    hold(plan, acks, history)


@pytest.mark.slow
@SWEEP
@given(st.one_of(plans(), plans(branches=True)), slow_store, histories)
def test_many_more_histories_keep_the_promises(plan, acks, history):
    hold(plan, acks, history)


# -- the same run, told in several ways ------------------------------------------------------------------------------


def act_out(driver: Driver, script: list[int], *, unspoiled: bool = False) -> None:
    """One logical history, whatever the store does: each number says how the next thing ends that can end.

    A store that answers `later` is asked only when nothing else can happen.
    """
    player = player_of(driver)
    for number in script:
        while not driver.running and (driver.sent or driver.unanswered):
            driver.ack(1 + number % 3, grouped=number % 2 == 0)
        if ended(driver):
            break
        if unspoiled and number % 8 == 7:
            continue  # without a log nothing has to be storable
        _one_act(player, number)
    driver.ack()


def _one_act(player: Player, number: int) -> None:
    driver = player.driver
    if driver.running and number % 5 == 4:
        driver.emit(str(number))
    if driver.running and number == 19:
        driver.halt(hard=True)
        driver.leave_all()
    elif driver.running and number == 18:
        driver.cancel("c")
        driver.finish()
    elif driver.running and number == 17:
        driver.halt()
        driver.finish()
    elif driver.running and number % 4 and isinstance(player, FlowPlayer):
        player.act("send", number)
    else:
        player.act("advance", number)


def same_log(plan: Plan | FlowPlan, script: list[int]) -> None:
    """Neither the store's pace nor the everyday path decides what is written, or what is seen; nor who looks on."""
    drivers = [plan.driver(acks, general=general) for general in (False, True) for acks in ("settled", "now", "later")]
    drivers.append(plan.driver("settled", strict=True))
    for driver in drivers:
        act_out(driver, script)
    first = drivers[0]
    for driver in drivers[1:]:
        assert driver.disk.writes == first.disk.writes
        assert driver.witness.seen == first.witness.seen
        assert driver.receipts == first.receipts


@QUICK
@given(plans(), scripts)
def test_the_pace_of_the_store_and_the_everyday_path_change_nothing(plan, script):
    """DESIGN: everyday path and general path agree; acknowledged at once, later or in groups, the log is the same.

    4.5: strict mode, where everything is as it should be, changes nothing either."""
    same_log(plan, script)


@QUICK
@given(flow_plans(limits=st.just(1)), scripts)
def test_the_pace_of_the_store_changes_nothing_in_a_dataflow_whose_visits_take_turns(plan, script):
    """5.7: with a limit of 1 nothing is left to chance."""
    same_log(plan, script)


@QUICK
@given(flow_plans(limits=st.just(1)), scripts)
def test_a_dataflow_without_a_store_is_the_same_run(plan, script):
    stored, unstored = plan.driver("settled"), plan.driver("settled", logged=False)
    for driver in (stored, unstored):
        act_out(driver, script, unspoiled=True)

    assert unstored.witness.seen == stored.witness.seen
    assert (unstored.state, unstored.status) == (stored.state, stored.status)


@pytest.mark.slow
@SWEEP
@given(st.one_of(plans(), flow_plans(limits=st.just(1))), scripts)
def test_the_pace_of_the_store_changes_nothing_in_many_more(plan, script):
    same_log(plan, script)


@QUICK
@given(plans(), scripts)
def test_a_run_without_a_store_is_the_same_run(plan, script):
    """`terzetto.run` carries graphs out as a runtime does."""
    stored, unstored = plan.driver("settled"), plan.driver("settled", logged=False)
    for driver in (stored, unstored):
        act_out(driver, script, unspoiled=True)

    assert unstored.disk.writes == []
    assert unstored.witness.seen == stored.witness.seen
    assert unstored.state == stored.state
    assert unstored.status is stored.status


@QUICK
@given(st.one_of(plans(), flow_plans(limits=st.just(1))), scripts)
def test_a_run_that_nobody_hears_of_is_the_same_run(plan, script):
    """`terzetto.run` begins and ends a run in one turn each, and tells nobody."""
    heard, alone = plan.driver("settled", logged=False), plan.driver("settled", logged=False, alone=True)
    heard.claim()
    for driver in (heard, alone):
        act_out(driver, script, unspoiled=True)

    assert image_of(alone.machine.fold) == image_of(heard.machine.fold)
    assert alone.state == heard.state
    assert counts_of(alone.machine.fold) == counts_of(heard.machine.fold)
    assert alone.finishes == heard.finishes[1:], "it was never queued"
    volatile = attrgetter("told", "durable", "announced", "claimed", "owned", "live", "lone", "crowded", "todo")
    assert volatile(alone.machine) == volatile(heard.machine)


# -- crashes at every point ------------------------------------------------------------------------------------------

TOUR = Plan(
    spots=(
        Spot("p0", "pure"),
        Spot("p1", "pure"),
        Spot("p2", "once"),
        Spot("p3", "barrier", decided="adds"),
        Spot("p4", "repeatable", max_visits=2),
        Spot("p5", "probed"),
        Spot("p6", "pure"),
    ),
    ways=(
        Way("p0", "p1", "plain"),
        Way("p1", "p2", "plain"),
        Way("p2", "p3", "plain"),
        Way("p3.approved", "p4", "plain"),
        Way("p4", "p5", "plain"),
        Way("p5", "p4", "conditional", "low"),
        Way("p5", "p6", "fallback"),
    ),
)
"""Something of everything."""


def go_on(driver: Driver) -> None:
    """The next thing on the way to the end: every visit, however it came to its result, adds one."""
    if driver.running and next(iter(driver.running.values())).probe:
        driver.probed(True, Add(1))
    elif driver.running:
        driver.finish(Add(1))
    elif driver.sent:
        driver.ack(1)
    elif driver.status is RunStatus.AWAITING_INPUT:
        reconcile = driver.disk.barriers[driver.barrier].reconcile
        driver.decide(Confirm(tuple(driver.batch(Add(1)))) if reconcile else Approve())
    else:
        driver.claim()


def die_at(point: int, acks: str, keep: int) -> tuple[Driver, bool]:
    """A tour whose first process dies after so many effects, and whether it did."""
    driver, died = TOUR.driver(acks), False
    driver.doom = point
    while not ended(driver):
        try:
            go_on(driver)
        except Died:
            driver.crash(keep=keep)
            died = True
    driver.doom = None
    driver.settle()
    return driver, died


@pytest.mark.parametrize("keep", [0, 1, 2])
@pytest.mark.parametrize("acks", ["now", "later", "settled"])
def test_a_process_may_die_between_any_two_effects(acks, keep):
    """7: the crash table, at every point that the machine knows: the same end, and no visit with a commit again."""
    unhurt, _ = die_at(10_000, acks, 0)
    assert (unhurt.status, unhurt.state) == (RunStatus.SUCCEEDED, Tally(9, ["approved"]))
    point, died = 0, True
    while died:
        driver, died = die_at(point, acks, keep)
        assert (driver.status, driver.state) == (unhurt.status, unhurt.state)
        assert driver.started.count("p2") <= 1, "0 when its process died between intent and body"
        _reads_the_same(driver)
        point += 1

    assert point > 30, "there are that many effects to die between"
