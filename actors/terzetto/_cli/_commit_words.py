"""What a commit did, in words."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from terzetto_protocol.records import Kind
from terzetto_protocol.sayings import branches, decided
from terzetto_protocol.statuses import RunStatus, VisitStatus
from terzetto_protocol.views import CommitView, MutationView

_SHOWN: Final = 3
"""Mutations that are named."""


def what(commit: CommitView) -> str:
    """What a commit did, without what its status and its mutations tell."""
    say = _SAYINGS.get(commit.kind)
    words = commit.kind if say is None else say(commit)
    if commit.checkpoint is None:
        return words
    return f"{words}; checkpoint{f' {commit.checkpoint!r}' if commit.checkpoint else ''}"


def names_of(commit: CommitView) -> str:
    """The names of the mutations that a commit carries, where they are many the first ones."""
    shown = [name for mutation in commit.mutations if (name := _FLOWING.get(mutation.name, _named)(mutation))]
    names = ", ".join(shown[:_SHOWN])
    more = len(shown) - _SHOWN
    return f"{names} and {more:,} more" if more > 0 else names


def _named(mutation: MutationView) -> str:
    return mutation.name


_FLOWING: Final[Mapping[str, Callable[[MutationView], str]]] = {
    "@begun": lambda _: "",
    "@passed": lambda m: f"{m.data[1]}.{m.data[2]}",
    "@over": lambda _: "",
}
"""What the moves of a dataflow's state are called: a value that was sent by its output, and the others not at all."""


def place_of(commit: CommitView) -> str:
    """The visit that a commit is about, as `path/place@visit`."""
    return f"{f'{commit.path}/' if commit.path else ''}{commit.place}@{commit.visit}"


def _detail(commit: CommitView) -> Mapping[str, Any]:
    return commit.detail or {}


def _noted(text: str, otherwise: str = "") -> Callable[[CommitView], str]:
    """A text with what the commit's note says behind it, or instead of it."""

    def say(commit: CommitView) -> str:
        note = str(_detail(commit).get("text", ""))
        return ": ".join(filter(None, (text, note))) or otherwise

    return say


def _visit(commit: CommitView) -> str:
    verb = "joined" if commit.kind == Kind.JOIN else "finished"
    verb = "failed" if commit.outcome is VisitStatus.FAILED else verb
    failure = _detail(commit).get("failure") or _detail(commit)  # a join has it inside
    return ": ".join(filter(None, (f"{place_of(commit)} {verb}", failure.get("message", ""))))


def _forked(commit: CommitView) -> str:
    return f"{place_of(commit)} opened {branches(_detail(commit)['count'])}"


def _ended(commit: CommitView) -> str:
    why = ": ".join(filter(None, (str(_detail(commit).get(name, "")) for name in ("code", "message", "text"))))
    return f"ended: {why}" if why else "ended"


def _opened(commit: CommitView) -> str:
    return f"{', '.join(step.opens for step in commit.steps if step.opens)} opened"


def _resolved(commit: CommitView) -> str:
    return f"{_detail(commit)['barrier']} decided: {decided(_detail(commit))}"


def _paused(commit: CommitView) -> str:
    return "paused" if commit.status is RunStatus.PAUSED else "to be paused"


_SAYINGS: Final[Mapping[str, Callable[[CommitView], str]]] = {
    Kind.SUBMIT: _noted("submitted"),
    Kind.CLAIM: lambda c: f"claimed (epoch {c.epoch})",
    Kind.VISIT: _visit,
    Kind.INTENT: lambda c: f"{place_of(c)} is about to act, once",
    Kind.OPEN: _opened,
    Kind.UNKNOWN: lambda c: f"{', '.join(step.opens for step in c.steps)} asks what became of its effect",
    Kind.DECIDE: _resolved,
    Kind.QUEUE: _noted("", "queued"),
    Kind.CANCEL: _noted("cancel requested"),
    Kind.INTERRUPT: _noted("interrupted"),
    Kind.END: _ended,
    Kind.FORK: _forked,
    Kind.JOIN: _visit,
    Kind.SKIP: lambda c: f"{place_of(c)} skipped",
    Kind.PAUSE: _paused,
    Kind.PARK: lambda _: "waits for people",
    Kind.RETRY: lambda c: f"{place_of(c)} attempt {c.attempt} failed: {_detail(c)['failure']['message']}",
    Kind.ASK: lambda c: f"{place_of(c)} asks {_detail(c)['ask'][0]}",
    Kind.NOTE: lambda c: f"{place_of(c)} noted a result",
    Kind.CALL: lambda c: f"{place_of(c)} began {_detail(c)['path']}",
    Kind.RETURN: lambda c: f"{place_of(c)} was told the end of {_detail(c)['path']}",
    Kind.SEND: lambda c: f"{place_of(c)} sent {_detail(c)['output']}",
    Kind.KEEP: lambda c: f"kept for {_detail(c)['barrier']}: {decided(_detail(c))}",
    Kind.WITHDRAW: lambda c: f"withdrawn for {_detail(c)['barrier']}",
    Kind.REWIND: lambda c: f"undone: as after commit {_detail(c)['to']}",
    Kind.MIGRATE: lambda c: f"migrated from version {_detail(c)['since']} of its graph to {_detail(c)['to']}",
}
