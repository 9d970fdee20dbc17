"""Who decides: a flag, the person at this terminal, or somebody at another one."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from getpass import getuser
from typing import Any, Final

import trio
from attrs import define, field

from terzetto_protocol.decisions import Approve, Choose, Confirm, Decision, Fail, Reject, Retry
from terzetto_protocol.errors import Refused
from terzetto_protocol.receipts import AlreadyResolved
from terzetto_protocol.sayings import short
from terzetto_protocol.views import BarrierView

from .._handles import Run
from ._output import Output
from ._saying import winner
from ._words import clock, typed

_LINE: Final = 4096
"""Characters that a terminal gives at once, at most."""
_STANDARD: Final[Mapping[str, tuple[str, Callable[[str], Decision]]]] = {
    "approved": ("approve", lambda _: Approve()),
    "rejected": ("reject", Reject),
}
_RECONCILING: Final[Mapping[str, Callable[[str], Decision]]] = {
    "confirm": lambda note: Confirm(note=note),
    "retry": Retry,
    "fail": Fail,
}
_WITH_REASON: Final = frozenset({"reject", "fail"})


@define
class Desk:
    """How one command answers the barriers of the run that it carries."""

    output: Output
    store: str
    """Absolute, for the commands that are shown."""
    exits: Callable[[str], Sequence[str]]
    """The exits of a barrier, by its name."""
    present: Callable[[BarrierView], None]
    """Shows what is to be decided."""
    auto: bool = False
    """Whether the run approves its barriers by itself."""
    stay: bool = False
    """Whether to wait for a decision from elsewhere."""
    decision: Decision | None = None
    """Given on the command line."""
    _busy: trio.Lock = field(factory=trio.Lock)

    def attends(self, barrier: BarrierView) -> bool:
        """Whether somebody will answer while this command runs."""
        return self.output.terminal or self.stay or self._answered(barrier)

    def _answered(self, barrier: BarrierView) -> bool:
        """Whether the command line, or the run itself, has the answer."""
        approves = self.auto and "approved" in self.exits(barrier.name)
        return not barrier.reconcile and (approves or self.decision is not None)

    async def serve(self, run: Run[Any], barrier: BarrierView, scope: trio.CancelScope) -> None:
        """See to one barrier until the scope is cancelled, which takes nothing back. A checkpoint."""
        with scope:
            async with self._busy:  # one question at a time
                if not self._answered(barrier):
                    self.present(barrier)
                    if not self.output.terminal or not await self._converse(run, barrier):
                        self.tell_how(run.run_id, barrier)
                elif self.decision is not None:
                    self.present(barrier)
                    await run.decide(barrier.barrier, self.decision, source=person())

    def tell_how(self, run_id: str, barrier: BarrierView) -> None:
        """Say what to type at another terminal."""
        words = choices(barrier, self.exits(barrier.name))
        flags = [["--choose", word] if isinstance(words[word](""), Choose) else [f"--{word}"] for word in words]
        command = typed("decide", run_id, barrier.barrier, *flags[0], "--store", self.store)
        others = f" (or with {' or '.join(map(shlex.join, flags[1:]))})" if flags[1:] else ""
        self.output.line(f"Decide it from any terminal{others}:")
        self.output.line(f"  {command}", copied=True)
        if self.output.json_mode:
            self.output.note(f"{barrier.barrier} waits for a decision: {command}")

    async def _converse(self, run: Run[Any], barrier: BarrierView) -> bool:
        """Ask until there is an answer; False when the person has closed the input."""
        words = choices(barrier, self.exits(barrier.name))
        while True:
            answer = await self._ask(f"{' / '.join(labels(words))}:")
            if answer is None:
                return False
            chosen = [word for word in words if answer and word.startswith(answer.casefold())]
            if len(chosen) != 1:
                continue
            reason = await self._ask("reason (may be empty):") if chosen[0] in _WITH_REASON else ""
            if reason is None or await self._decide(run, barrier, words[chosen[0]](reason)):
                return reason is not None

    async def _decide(self, run: Run[Any], barrier: BarrierView, decision: Decision) -> bool:
        try:
            receipt = await run.decide(barrier.barrier, decision, source=person())
        except Refused as error:
            self.output.line(str(error), "red")
            return False
        if isinstance(receipt, AlreadyResolved):
            self.output.line(f"{receipt.barrier} was decided already: {winner(receipt)}")
        return True

    async def _ask(self, question: str) -> str | None:
        forget_typed()
        self.output.prompt(question)
        answer = await read_line()
        if answer is not None:
            self.output.answered()
        return answer


def choices(barrier: BarrierView, exits: Sequence[str]) -> dict[str, Callable[[str], Decision]]:
    """What may be answered, by the word that a person types; each takes the reason that was given."""
    if barrier.reconcile:
        return dict(_RECONCILING)
    return dict(_STANDARD.get(name) or (name, _choosing(name)) for name in exits)


def _choosing(name: str) -> Callable[[str], Decision]:
    return lambda note: Choose(name, note)


def labels(words: Mapping[str, object]) -> list[str]:
    """`[a]pprove`: each word with the letters in brackets that are enough."""
    shown: list[str] = []
    for word in words:
        others = [other for other in words if other != word]
        enough = next((n for n in range(1, len(word)) if not any(o.startswith(word[:n]) for o in others)), len(word))
        shown.append(f"[{word[:enough]}]{word[enough:]}")
    return shown


async def read_line() -> str | None:
    """The next line of the terminal, or None at its end. A checkpoint; cancelled, it has taken nothing.

    No thread waits in `read`: a decision from elsewhere ends the question, and nothing is left that would
    swallow what the person types next. A terminal hands over whole lines, so this never blocks.
    """
    fd = sys.stdin.fileno()
    await trio.lowlevel.wait_readable(fd)
    data = os.read(fd, _LINE)
    return data.decode(errors="replace").strip() if data else None


def forget_typed() -> None:
    """What was typed before a question was asked is no answer to it."""
    try:
        import termios
    except ImportError:
        return  # Windows
    with suppress(termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def person() -> str:
    """Who decides, as the log keeps it."""
    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return "command line"  # a container may have no name for its user


def present_payload(output: Output) -> Callable[[BarrierView], None]:
    """Shows a barrier's payload as JSON."""

    def present(barrier: BarrierView) -> None:
        asks = "asks what became of its effect" if barrier.reconcile else "waits for a decision"
        shown = "" if barrier.payload is None else f": {short(barrier.payload)}"
        output.line(f"{clock(barrier.opened)}  {barrier.barrier} {asks}{shown}", "yellow")

    return present
