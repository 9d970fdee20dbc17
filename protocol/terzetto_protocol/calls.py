"""Graphs that a body runs and waits for: they begin and end inside of its visit."""

from typing import Any, Generic, TypeVar

from .composites import call_name
from .errors import InvalidRequest, NotStorable, Refused, describe
from .leaving import Leaving
from .pending import Pending, label_of
from .questions import RunGraph
from .records import Answer, Called, Failure, Kind, Returned
from .statuses import FailureCode, RunStatus, VisitStatus
from .turn import Answered, CancelNodes

S = TypeVar("S")

_R, _V = RunStatus, VisitStatus


class Calls(Leaving[S], Generic[S]):
    """The part of a run's machine that knows graphs within a visit."""

    __slots__ = ()

    def _call(self, entry: Pending, question: RunGraph, at: float) -> None:
        """Let a graph begin that a body runs; one that runs already is only waited for."""
        blueprint, name = self.blueprint_of(entry), call_name(entry.place, question.graph.name)
        place = blueprint.calls.get(name)
        if place is None or place.lens.graph is not question.graph:
            text = f"node {entry.place!r} runs graph {question.graph.name!r}: say so with @graph.node(runs=[...])"
            raise InvalidRequest(text)
        if question.lens is not None and question.lens != place.lens:
            text = f"node {entry.place!r} runs graph {question.graph.name!r} through a lens that it does not declare"
            raise InvalidRequest(f"{text}: say @graph.node(runs=[lens])")
        path = self._path_of(entry, name, question.number)
        if path in self.fold.image.forks:
            return
        steps = self._branches(place, path, range(1))
        if isinstance(steps, Failure):
            raise Refused(self.run_id, steps.message)
        detail = Called(path, question.key, question.state)
        self.commit(Kind.CALL, at, _R.RUNNING, entry=entry, attempt=entry.attempt, steps=steps, detail=detail)
        self.plan("enter", [step.visit for step in steps])

    def _path_of(self, entry: Pending, name: str, number: int) -> str:
        last = f"{name}.{number}" if number else name
        return f"{entry.path}/{last}" if entry.path else last

    def _return(self, path: str, at: float) -> None:
        """A graph that a body runs has ended: the body is told, now and whenever it runs again."""
        opened, branch = self.fold.image.forks[path], self.fold.branches[path]
        entry = self.fold.image.frontier[opened.owner]
        answer = self._answer_of(path)
        unsure = [each for each in self.fold.within(path) if each.status in (_V.RUNNING, _V.UNKNOWN)]
        if path in self.failing:
            self.failing.remove(path)
        detail = Returned(path, opened.called, answer, tuple(map(label_of, unsure)))
        observed = self._left_within(path)
        self.commit(Kind.RETURN, at, _R.RUNNING, entry=entry, attempt=entry.attempt, detail=detail, observed=observed)
        told = answer or Answer(failure=branch.failure or Failure(FailureCode.NODE_ERROR, "nobody waits for it"))
        self.waits.post(self.fold.image.seq, Answered(entry.visit, opened.called, told))

    def _answer(self, entry: Pending, key: str) -> None:
        """Tell a body what is known under this key, once that is durable."""
        self.waits.post(self.fold.image.seq, Answered(entry.visit, key, entry.journal[key]))

    def _answer_of(self, path: str) -> Answer | None:
        branch: Any = self.fold.branches[path]
        if branch.failure is not None:
            return Answer(failure=branch.failure)
        if path in self.failing:
            return None
        try:
            return Answer(value=branch.pack())
        except NotStorable as error:
            return Answer(failure=Failure(FailureCode.NODE_ERROR, str(error), (describe(error),)))

    def _end_calls(self, entry: Pending) -> None:
        """A body has ended without waiting for the graphs that it runs: they end with it."""
        for path in self.fold.calls(entry.visit):
            within = {each.visit for each in self.fold.within(path)}
            self.waits.forget(within)
            self.failing = [each for each in self.failing if each != path]
            if live := tuple(sorted(self.live & within)):
                self.live -= within
                self.effects.append(CancelNodes(live))

    def _release_waiting(self) -> None:
        """Nothing is to begin any more, and only bodies are left that wait, for graphs or people: they need not."""
        if self.is_leaving and self.status is _R.RUNNING and all(map(self._waits_inside, self.live)):
            self.effects.append(CancelNodes())

    def _waits_inside(self, visit: int) -> bool:
        """Whether a body waits for the end of a graph or for a decision: whoever runs it again is told."""
        return bool(self.fold.image.frontier[visit].asks or self.fold.calls(visit))
