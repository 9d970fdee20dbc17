"""Any history of submits, ends, cancels and crashes on two threads, beside a model of a page (SEMANTICS 1, 9.2, 10)."""

import copy
from collections import Counter

import pytest
import trio
import trio.testing
from attrs import Factory, define
from hypothesis import HealthCheck, given, settings, strategies as st

from terzetto.stores import MemoryStore
from terzetto_protocol.errors import HeadMissing, Refused, ThreadBusy
from terzetto_protocol.limits import CLAIMS

from .runtimes import CANCELLED, FAILED, SUCCEEDED, Tally, opened, settled
from .stores import FaultyStore
from .talks import Talk, where

THREADS = ("t", "u")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
SWEEP = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))

threads = st.sampled_from(THREADS)
busies = st.sampled_from(["reject", "enqueue", "enqueue", "interrupt", "rollback"])
actions = st.one_of(
    st.tuples(st.just("submit"), threads, busies, st.booleans()),
    st.tuples(st.just("submit"), threads, busies, st.booleans()),
    st.tuples(st.just("end"), threads, st.sampled_from([True, True, False])),
    st.tuples(st.just("end"), threads, st.sampled_from([True, True, False])),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.sampled_from(["stop", "rollback", "rollback"])),
    st.tuples(st.just("crash")),
)
histories = st.lists(actions, max_size=25)


@define
class Model:
    """What has to be true, in terms of lists."""

    head: dict[str, str] = Factory(lambda: dict.fromkeys(THREADS, ""))
    line: dict[str, list[str]] = Factory(lambda: {thread: [] for thread in THREADS})
    given: dict[str, bool] = Factory(dict)
    on: dict[str, str] = Factory(dict)
    base: dict[str, str] = Factory(dict)
    """Of every run that has begun, the head by then."""
    said: dict[str, list[str]] = Factory(dict)
    """Of every run that has begun, its state."""
    ended: dict[str, object] = Factory(dict)
    lost: Counter[str] = Factory(Counter)
    """How often a run was at work when the process died (SEMANTICS 2.6)."""

    def submit(self, run, thread, busy, given):
        line = self.line[thread]
        if line and busy == "reject":
            return ThreadBusy
        if not given and not self.head[thread] and not (line and busy == "enqueue"):
            return HeadMissing
        if busy != "enqueue":
            self.ended |= dict.fromkeys(line, CANCELLED)
            line.clear()
        self.given[run], self.on[run] = given, thread
        line.append(run)
        self.go_on(thread)
        return None

    def go_on(self, thread):
        line = self.line[thread]
        while line and line[0] not in self.base:
            run, head = line[0], self.head[thread]
            if self.given[run] or head:
                self.base[run] = head
                self.said[run] = [] if self.given[run] else list(self.said[head])
            else:
                self.leave(run, CANCELLED)

    def leave(self, run, status):
        self.ended[run] = status
        self.line[self.on[run]].remove(run)
        self.go_on(self.on[run])

    def end(self, thread, well):
        run = self.line[thread][0]
        if well:
            self.said[run].append(run)
            self.head[thread] = run
        self.leave(run, SUCCEEDED if well else FAILED)

    def cancel(self, run, mode):
        if run not in self.ended:
            self.leave(run, CANCELLED)
        elif mode == "rollback" and self.ended[run] is SUCCEEDED:
            thread = self.on[run]
            if self.head[thread] == self.base[run]:
                return None
            if self.head[thread] != run or self.line[thread]:
                return Refused
            self.head[thread] = self.base[run]
        return None

    def crash(self):
        for line in self.line.values():
            if line:
                run = line[0]
                self.lost[run] += 1
                if self.lost[run] == CLAIMS:
                    self.leave(run, FAILED)


class Crash(Exception):
    """The process dies here."""


class History:
    """One history, acted out on a runtime and on the model."""

    def __init__(self, actions, store, dispatch):
        self.actions, self.dispatch = list(actions), dispatch
        self.inner, self.store = MemoryStore(), store
        self.model, self.talk = Model(), Talk()
        self.count, self.over = 0, False

    async def act_out(self):
        while not self.over:
            store = self.inner if self.store == "memory" else FaultyStore(self.inner)
            self.talk.begun.clear()
            try:
                async with opened(store, self.talk.graph, dispatch=self.dispatch, limit=1000) as runtime:
                    await self.live(runtime)
            except* Crash:
                pass

    async def live(self, runtime):
        """Up to the next crash: the world goes on with what was stored by then."""
        await self.compare(runtime)
        while self.actions:
            kind, *details = self.actions.pop(0)
            if kind == "crash":
                self.inner = copy.deepcopy(self.inner)
                self.model.crash()
                raise Crash
            await getattr(self, kind)(runtime, *details)
            await self.compare(runtime)
        await self.look_back(runtime)
        self.over = True

    async def submit(self, runtime, thread, busy, given):
        run, self.count = f"r{self.count}", self.count + 1
        state = [Tally()] if given else []
        expected, raised = self.model.submit(run, thread, busy, given), None
        try:
            await runtime.submit(self.talk.graph, *state, run_id=run, thread=thread, busy=busy)
        except (ThreadBusy, HeadMissing) as error:
            raised = type(error)
        assert expected is raised

    async def end(self, runtime, thread, well):
        if self.model.line[thread]:
            run = self.model.line[thread][0]
            if not well:
                self.talk.fails.add(run)
            self.talk.free(run)
            self.model.end(thread, well)

    async def cancel(self, runtime, number, mode):
        known = sorted(self.model.on)
        if known:
            run = known[number % len(known)]
            expected, raised = self.model.cancel(run, mode), None
            try:
                await runtime.cancel(run, mode=mode)
            except Refused as error:
                raised = type(error)
            assert expected is raised

    async def compare(self, runtime):
        await settled()
        for thread in THREADS:
            assert (self.model.head[thread], self.model.line[thread]) == await where(runtime, thread)
        rows = {row.run_id: row.status for row in await runtime.runs(limit=None)}
        assert set(self.model.on) == set(rows)
        assert {**rows, **self.model.ended} == rows
        assert {line[0] for line in self.model.line.values() if line} == {
            run for run in self.talk.begun if run not in self.model.ended
        }, "who is first has begun, and nobody else"

    async def look_back(self, runtime):
        for run, said in self.model.said.items():
            assert said == (await runtime.state(run)).trail
            assert (await runtime.get(run).replay()).holds
        for thread in THREADS:
            if head := self.model.head[thread]:
                assert self.model.said[head] == (await runtime.thread(thread).state()).trail


def hold(actions, store, dispatch):
    trio.run(History(actions, store, dispatch).act_out, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize("dispatch", ["direct", "task"])
@pytest.mark.parametrize("store", ["memory", "faulty"])
@QUICK
@given(histories)
def test_every_history_is_as_the_model_says(store, dispatch, actions):
    hold(actions, store, dispatch)


@pytest.mark.slow
@pytest.mark.parametrize("store", ["memory", "faulty"])
@SWEEP
@given(histories)
def test_many_more_histories_are_as_the_model_says(store, actions):
    hold(actions, store, "direct")
