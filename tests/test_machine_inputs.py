"""`terzetto_protocol.machine`: every input in each status is accepted or refused, and a refusal changes nothing.

The driver compares everything that the machine knows before and after a refusal.
"""

from contextlib import suppress

import pytest

from terzetto_protocol.decisions import Approve
from terzetto_protocol.errors import IllegalTransition, Refused
from terzetto_protocol.inputs import (
    BodiesCancelled,
    CancelRequested,
    Claimed,
    CommitDurable,
    CommitRefused,
    Decided,
    Emitted,
    Halted,
    NodeCancelled,
    NodeFailed,
    NodeFinished,
    PauseRequested,
    Probed,
    ResumeRequested,
    StoreGaveUp,
    TimerFired,
)
from terzetto_protocol.records import Failure
from terzetto_protocol.statuses import RUN_MOVES, RunStatus

from .machines import Driver, ended
from .sketches import gated

NOW = 1000.0
VISIT = 1
"""The visit that is live wherever one is."""

INPUTS = {
    "claimed": lambda d: Claimed(NOW),
    "finished": lambda d: NodeFinished(VISIT, d.batch(), NOW),
    "failed": lambda d: NodeFailed(VISIT, Failure("node_error", "no"), NOW),
    "node cancelled": lambda d: NodeCancelled(VISIT, NOW),
    "bodies cancelled": lambda d: BodiesCancelled((VISIT,), NOW),
    "probed": lambda d: Probed(VISIT, None, (), NOW),
    "emitted": lambda d: Emitted(VISIT, "...", NOW),
    "decided": lambda d: Decided("gate@2", Approve(), "ann", NOW),
    "timer": lambda d: TimerFired("gate@2", NOW),
    "cancel": lambda d: CancelRequested("", NOW, "c"),
    "pause": lambda d: PauseRequested(NOW, "p"),
    "resume": lambda d: ResumeRequested(NOW, "r"),
    "halted": lambda d: Halted("bye", NOW),
    "halted hard": lambda d: Halted("bye", NOW, hard=True),
    "gave up": lambda d: StoreGaveUp("too large", NOW),
    "durable": lambda d: CommitDurable(d.disk.seq, NOW),
    "refused": lambda d: CommitRefused(d.disk.seq + 1, "stale", NOW),
}

ALWAYS = {"emitted", "cancel", "halted", "halted hard", "durable", "refused"}
ENDINGS = {"finished", "failed", "node cancelled", "bodies cancelled"}
ACCEPTED = {
    "QUEUED": ALWAYS | {"claimed", "gave up", "pause"},
    "RUNNING": ALWAYS | ENDINGS | {"pause"},
    "RUNNING at the gate": ALWAYS | {"gave up", "pause"},
    "RUNNING, found": ALWAYS | {"claimed", "gave up", "pause"},
    "AWAITING_INPUT": ALWAYS | {"decided", "timer", "gave up", "pause"},
    "AWAITING_INPUT, found": ALWAYS | {"decided", "timer", "gave up", "pause"},
    "PAUSED": ALWAYS | {"resume", "gave up", "pause"},
    "PAUSED, found": ALWAYS | {"resume", "gave up", "pause"},
    "CANCELLING": ALWAYS | ENDINGS,
    "CANCELLING, found": ALWAYS | {"claimed", "gave up"},
    "INTERRUPTED": ALWAYS | {"claimed", "gave up", "pause"},
    "SUCCEEDED": ALWAYS,
    "FAILED": ALWAYS,
    "CANCELLED": ALWAYS,
    "FENCED": ALWAYS - {"cancel"} | ENDINGS | {"probed"},
}
"""What is said to whom, and not in vain. A visit without an intent is never probed."""

STORES = ["now", "later", "settled"]
CASES = [(name, acks) for name in ACCEPTED for acks in (["later"] if name == "RUNNING at the gate" else STORES)]
"""Nothing waits at the gate where every write is durable at once."""


def run_in(situation: str, acks: str) -> Driver:
    status, _, how = situation.partition(", ")
    driver = Driver(gated(timeout=5), acks=acks)
    driver.ack()
    if status != "QUEUED":
        driver.claim()
        if status != "RUNNING at the gate":
            driver.ack()
            _bring_to(driver, status)
    if how == "found":
        driver.ack()
        driver.crash()
    return driver


def _bring_to(driver: Driver, status: str) -> None:
    match status:
        case "AWAITING_INPUT" | "PAUSED":
            driver.finish(pause=status == "PAUSED")
        case "CANCELLING":
            driver.cancel()
        case "INTERRUPTED":
            driver.leave()
        case "SUCCEEDED":
            driver.finish(next="")
        case "FAILED":
            driver.fail()
        case "CANCELLED":
            driver.cancel()
            driver.leave()
        case "FENCED":
            driver.feed(CommitRefused(driver.disk.seq, "stale", 0.0))


@pytest.mark.parametrize("situation, acks", CASES)
@pytest.mark.parametrize("name", INPUTS)
def test_each_input_is_accepted_or_refused_in_each_status(name, situation, acks):
    """2: anything else raises `IllegalTransition` (or `Refused`) and writes nothing."""
    driver = run_in(situation, acks)
    before, message = driver.status, INPUTS[name](driver)
    driver.now = NOW
    if name in ACCEPTED[situation]:
        driver.feed(message)
    else:
        with pytest.raises(Refused, match="'r'"):
            driver.feed(message)
        assert driver.status is before
        return
    if name in ENDINGS:
        driver.running.pop(VISIT, None)
    assert driver.status is before or driver.status in reachable(before)
    ownerless = situation in ("RUNNING, found", "CANCELLING, found") and driver.status is before
    if name != "gave up" and not ownerless:  # it is said to runs that were loaded for it, and carry nothing
        driver.settle()


def reachable(source: RunStatus) -> set[RunStatus]:
    """Where one input may lead: over any number of moves, for one may end a run that it claimed."""
    found, todo = set[RunStatus](), [source]
    while todo:
        for target in RUN_MOVES[todo.pop()] - found:
            found.add(target)
            todo.append(target)
    return found


@pytest.mark.parametrize("situation", [name for name in ACCEPTED if name != "FENCED"])
def test_a_command_that_the_status_forbids_says_from_where_to_where(situation):
    """2: anything else raises `IllegalTransition`."""
    for name in ("claimed", "pause", "resume"):
        driver = run_in(situation, "now" if "gate" not in situation else "later")
        if name not in ACCEPTED[situation]:
            with pytest.raises(IllegalTransition) as caught:
                driver.feed(INPUTS[name](driver))
            assert caught.value.source == driver.status
            assert driver.status in str(caught.value)


@pytest.mark.parametrize("name", [*INPUTS])
def test_no_input_moves_a_run_that_has_ended(name):
    """2: terminal statuses are immutable."""
    for situation in ("SUCCEEDED", "FAILED", "CANCELLED"):
        driver = run_in(situation, "now")
        seq, events = driver.disk.seq, list(driver.events)
        with suppress(Refused):
            driver.feed(INPUTS[name](driver))
        assert (driver.disk.seq, driver.events) == (seq, events)
        assert ended(driver)
