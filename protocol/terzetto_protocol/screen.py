"""The terminal console as a pure machine: what is shown, what a key does, and what has to be asked of the server.

`feed` takes one happening, a key or something that the server told, and gives the effects of it. Commands come
without ids: whoever sends them makes one. What it looks like is made of it by `screen_sheet.sheet`.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import msgspec
from attrs import Factory, define, frozen

from .codec import UNDECODABLE
from .commands import Cancel, Command, Decide, Pause, Resume, Submit
from .decisions import Approve, Choose, Confirm, Decision, Fail, Reject, Retry
from .graph_view import GraphView
from .keystrokes import Key, Pasted
from .line_edit import LineEdit
from .receipts import Submitted
from .samples import sample
from .screen_prompts import LinePrompt, PickPrompt, Prompt
from .screen_run import ShownRun
from .screen_runs import RunList
from .screen_talk import (
    Connected,
    Done,
    Effect,
    Happening,
    Heard,
    Known,
    Leave,
    Listed,
    Look,
    Looked,
    LookFailed,
    Lost,
    NotDone,
    Redraw,
    Resized,
    Send,
    Watch,
)
from .screen_words import answered, what
from .statuses import TERMINAL, RunStatus
from .views import BarrierView, RunLine
from .wire import Changed

STANDARD: Final = ("approved", "rejected")
"""The exits of a barrier that declares none of its own."""
_RECONCILING: Final = ("confirm", "retry", "fail")
"""What may be answered to who asks what became of an effect."""
_PAGE: Final = 10
"""Rows of a page, before the size of the screen is known."""


@frozen
class Note:
    """A line about what was done last."""

    text: str
    role: str = ""


@define(eq=False)
class Screen:
    """Everything that a terminal console knows.

    Args:
        who: signs decisions.
    """

    who: str = ""
    runs: RunList = Factory(RunList)
    run: ShownRun = Factory(partial(ShownRun, ""))
    """The selected one."""
    graphs: dict[str, GraphView] = Factory(dict[str, GraphView])
    connected: bool = True
    lost: str = ""
    """Why there is no connection."""
    prompt: Prompt | None = None
    note: Note = Note("")
    whole: bool = False
    """Whether the selected run has the whole screen."""
    helping: bool = False
    scroll: int = 0
    """Events below the last one that is shown."""
    page: int = _PAGE
    states: dict[str, str] = Factory(dict[str, str])
    """What was typed last for a run of a graph, as JSON, by its name."""
    _effects: list[Effect] = Factory(list[Effect])

    def feed(self, happening: Happening) -> list[Effect]:
        """Take what has happened; what is to be done now, in order."""
        match happening:
            case Key() | Pasted():
                self._typed(happening)
            case Listed(runs=runs, first=first, last=last):
                self.runs.listed(runs, first=first, last=last)
                self._look_at(runs)
            case Changed(runs=runs):
                self.runs.changed(happening)
                self._look_at(runs)
            case Connected() | Lost():
                self._connection(happening)
            case Done() | NotDone():
                self._answer(happening)
            case Known(graphs=graphs):
                self.graphs = {graph.name: graph for graph in graphs}
            case Resized(page=page):
                self.page = max(1, page)
            case _:
                self._hear(happening)
        self._follow()
        effects, self._effects = self._effects, []
        return effects

    # -- the server ------------------------------------------------------------------------------------------

    def _connection(self, happening: Connected | Lost) -> None:
        self.connected = isinstance(happening, Connected)
        self.lost = "" if isinstance(happening, Connected) else happening.why
        if self.connected and self.run.run_id:
            self._effects.append(Look(self.run.run_id))

    def _look_at(self, changed: Iterable[RunLine]) -> None:
        if any(line.run_id == self.run.run_id for line in changed):
            self._effects.append(Look(self.run.run_id))

    def _hear(self, happening: Looked | LookFailed | Heard) -> None:
        """What is told of a run that is not shown any more does not count."""
        if happening.run_id != self.run.run_id:
            return
        match happening:
            case Looked(places=places, barriers=barriers):
                self.run.look(places, barriers)
            case LookFailed(code=code, message=message):
                self.run.trouble = f"{message} ({code})"
            case Heard(items=items):
                before = self.run.count
                if self.run.hear(items):
                    self._effects.append(Look(self.run.run_id))
                if self.scroll:  # who looks at older events goes on looking at them
                    self.scroll = min(self.scroll + self.run.count - before, len(self.run.events))

    def _answer(self, happening: Done | NotDone) -> None:
        if isinstance(happening, NotDone):
            self.note = Note(f"not done: {happening.message} ({happening.code})", "error")
            return
        self.note = Note(*answered(happening.command, happening.receipt))
        if isinstance(happening.receipt, Submitted):
            self.runs.select(happening.receipt.run_id)

    def _follow(self) -> None:
        """Watch what is selected now."""
        if self.run.run_id != self.runs.selected:
            self.run, self.scroll = ShownRun(self.runs.selected), 0
            self._effects.append(Watch(self.run.run_id))

    # -- keys ------------------------------------------------------------------------------------------------

    def _typed(self, typed: Key | Pasted) -> None:
        if self.prompt is not None:
            prompt = self.prompt
            if prompt.feed(typed) and self.prompt is prompt:  # an answer may lead to the next question
                self.prompt = None
        elif isinstance(typed, Key):
            self._key(typed.name)

    def _key(self, name: str) -> None:
        if self.helping:
            self.helping = False
            return
        self.note = Note("")
        match name:
            case "q":
                self._effects.append(Leave())
            case "?":
                self.helping = True
            case "ctrl-l":
                self._effects.append(Redraw())
            case "enter" | "right" | "l":
                self.whole = bool(self.runs.selected)
            case "escape" | "left" | "h":
                self._back()
            case "/":
                self._ask_filter()
            case "tab":
                self.runs.next_waiting()
            case "n":
                self._ask_graph()
            case "a" | "r" | "d" | "c" | "p":
                self._steer(name)
            case _:
                self._scroll(name) if self.whole else self._move(name)

    def _back(self) -> None:
        """One step: from older events to the last, from the run to the list, from the filter to all runs."""
        if self.whole:
            self.whole, self.scroll = False, 0
        else:
            self.runs.narrow("")

    def _move(self, name: str) -> None:
        at = self.runs.at
        match name:
            case "up" | "k":
                self.runs.go(at - 1)
            case "down" | "j":
                self.runs.go(at + 1)
            case "page-up" | "ctrl-b":
                self.runs.go(at - self.page)
            case "page-down" | "ctrl-f":
                self.runs.go(at + self.page)
            case "home" | "g":
                self.runs.go(0)
            case "end" | "G":
                self.runs.go(len(self.runs.shown) - 1)
            case _:
                pass

    def _scroll(self, name: str) -> None:
        most = len(self.run.events)
        by = {"up": 1, "k": 1, "down": -1, "j": -1, "page-up": self.page, "page-down": -self.page}
        by |= {"ctrl-b": self.page, "ctrl-f": -self.page, "home": most, "g": most, "end": -most, "G": -most}
        self.scroll = max(0, min(self.scroll + by.get(name, 0), most - 1))

    # -- commands --------------------------------------------------------------------------------------------

    def _steer(self, name: str) -> None:
        line = self.runs.line
        if line is None:
            self.note = Note("no run is selected", "error")
        elif line.status in TERMINAL:
            self.note = Note(f"run {line.run_id} has ended {line.status}", "error")
        elif name == "c":
            self._ask_cancel(line.run_id)
        elif name == "p":
            paused = line.status is RunStatus.PAUSED
            self._send(Resume("", line.run_id) if paused else Pause("", line.run_id))
        else:
            self._ask_barrier(name)

    def _send(self, command: Command) -> None:
        self._effects.append(Send(command))
        later = "" if self.connected else " (it goes out when there is a connection again)"
        self.note = Note(f"sent: {what(command)}{later}", "dim")

    def _ask_cancel(self, run_id: str) -> None:
        self.prompt = LinePrompt(
            f"cancel run {run_id}? Enter cancels it, Esc leaves it; reason:",
            lambda reason: self._send(Cancel("", run_id, reason.strip())),
        )

    def _ask_barrier(self, name: str) -> None:
        """Which barrier, if several are open."""
        barriers = self.run.barriers
        if not barriers:
            self.note = Note(f"run {self.run.run_id} waits for nobody", "error")
        elif len(barriers) == 1:
            self._answer_barrier(name, barriers[0])
        else:
            self.prompt = PickPrompt(
                "which barrier?",
                [barrier.barrier for barrier in barriers],
                lambda at: self._answer_barrier(name, barriers[at]),
            )

    def _answer_barrier(self, name: str, barrier: BarrierView) -> None:
        """At once, where the key says it all; else by a choice."""
        exits = self.exits(barrier)
        wanted = {"a": "approved", "r": "rejected"}.get(name)
        if wanted in exits:
            self._choose(barrier, str(wanted))
        else:
            question = "what became of its effect?" if barrier.reconcile else "which way?"
            self.prompt = PickPrompt(
                f"{barrier.barrier}: {question}", exits, lambda at: self._choose(barrier, exits[at])
            )

    def exits(self, barrier: BarrierView) -> tuple[str, ...]:
        """What may be answered to a barrier of the selected run."""
        if barrier.reconcile:
            return _RECONCILING
        line = self.runs.line
        graph = None if line is None else self.graphs.get(line.graph)
        declared = () if graph is None else graph.barriers
        return next((each.exits for each in declared if each.name == barrier.name), STANDARD)

    def _choose(self, barrier: BarrierView, exit: str) -> None:
        run_id = self.run.run_id
        send = partial(self._decide, run_id, barrier.barrier)
        match exit:
            case "rejected":
                self._ask_reason(f"reject {barrier.barrier} of {run_id}; reason:", lambda text: send(Reject(text)))
            case "fail" if barrier.reconcile:
                self._ask_reason(f"{barrier.barrier} failed; reason:", lambda text: send(Fail(text)))
            case "confirm" if barrier.reconcile:
                send(Confirm())
            case "retry" if barrier.reconcile:
                send(Retry())
            case "approved":
                send(Approve())
            case _:
                send(Choose(exit))

    def _ask_reason(self, title: str, then: Callable[[str], None]) -> None:
        self.prompt = LinePrompt(title, lambda text: then(text.strip()))

    def _decide(self, run_id: str, barrier: str, decision: Decision) -> None:
        self._send(Decide("", run_id, barrier, decision, self.who))

    # -- other questions -------------------------------------------------------------------------------------

    def _ask_filter(self) -> None:
        before = self.runs.filter
        self.whole = False
        self.prompt = LinePrompt(
            "show runs with:",
            self.runs.narrow,
            LineEdit.at_end(before),
            heard=self.runs.narrow,
            left=lambda: self.runs.narrow(before),
        )

    def _ask_graph(self) -> None:
        names = list(self.graphs)
        if not names:
            self.note = Note("the server has told of no graph yet", "error")
        elif len(names) == 1:
            self._ask_state(names[0])
        else:
            self.prompt = PickPrompt("a run of which graph?", names, lambda at: self._ask_state(names[at]))

    def _ask_state(self, graph: str, mistake: str = "") -> None:
        title = f"a run of {graph}; {mistake or 'its state as JSON'}:"
        text = self.states.get(graph) or sample(self.graphs[graph].state)
        self.prompt = LinePrompt(title, partial(self._submit, graph), LineEdit.at_end(text))

    def _submit(self, graph: str, text: str) -> None:
        self.states[graph] = text  # to be mended, or sent again
        try:
            msgspec.json.decode(text)
        except UNDECODABLE as error:
            self._ask_state(graph, f"that is no JSON ({error})")
            return
        self._send(Submit("", "", graph, text.encode()))
