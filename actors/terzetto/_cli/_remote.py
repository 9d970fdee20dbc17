"""Commands that go to a console by `--url`, instead of to a store."""

from argparse import Namespace
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from terzetto_protocol.commands import Command
from terzetto_protocol.errors import Refused
from terzetto_protocol.events import DurableEvent, RunEnded
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.views import CommitView, RunLine, RunView
from terzetto_protocol.wire_asks import GetRun, ListRuns, ReadCommit, ReadHistory, ReadState
from terzetto_protocol.wire_errors import WireError

from ._exits import Exit, Stop, exit_of
from ._output import Output
from ._saying import Answered, told
from ._serve import token_of

if TYPE_CHECKING:
    from ..console import Console

_PATIENCE: Final = 10.0
"""How long the first connection may take, seconds."""
_PAGE: Final = 1000


@asynccontextmanager
async def reached(args: Namespace) -> AsyncGenerator["Console", None]:
    """The console that `--url` names. A checkpoint; raises `Stop` where there is none."""
    from ..console import connect

    try:
        async with connect(
            args.url, token=token_of(getattr(args, "token_file", None)), name="terzetto command line", timeout=_PATIENCE
        ) as console:
            yield console
    except WireError as error:
        raise Stop(str(error), Exit.STORE if error.code == "unreachable" else Exit.WRONG) from error


async def say_there(args: Namespace, output: Output, command: Command) -> int:
    """Send a command, wait for its receipt, and tell it. A checkpoint."""
    async with reached(args) as console:
        receipt = None
        with trio.move_on_after(args.wait):
            receipt = await console.ask(command)
    if receipt is None:
        raise Stop(f"{args.url} did not answer in {args.wait:g} s; it may carry it out", Exit.STORE)
    output.document(Answered(command.run_id, command.command_id, recorded=False, receipt=receipt))
    return told(output, command, receipt)


async def lines_there(args: Namespace, statuses: list[RunStatus] | None) -> list[RunLine]:
    """What `runs` lists. A checkpoint."""
    async with reached(args) as console:
        found: list[RunLine] = []
        before, most = args.before or "", args.limit
        while most is None or len(found) < most:
            count = _PAGE if most is None else min(_PAGE, most - len(found))
            page = await console.ask(ListRuns(tuple(statuses or ()), "", args.thread or "", before, count))
            found += page.runs
            before = page.next
            if not before:
                break
    return found


async def run_there(args: Namespace, last: int | None) -> RunView:
    """What `show` shows, with the last so many commits, or all. A checkpoint."""
    async with reached(args) as console:
        view = (await console.ask(GetRun(args.run))).run
        commits: list[CommitView] = []
        before: int | None = None
        while last is None or len(commits) < last:
            count = _PAGE if last is None else min(_PAGE, last - len(commits))
            page = await console.ask(ReadHistory(args.run, before, count))
            for commit in page.commits:
                whole = commit.seq in page.cut
                commits.append(await _commit(console, args.run, commit.seq) if whole else commit)
            before = page.next
            if before is None or not page.commits:
                break
        try:
            state, seq = await console.whole(ReadState(args.run, view.seq)), view.seq
        except Refused:  # its graph is not known there
            state, seq = None, 0
    return replace(view, commits=tuple(reversed(commits)), state=state, state_seq=seq)


async def commit_there(args: Namespace) -> tuple[CommitView, object]:
    """A commit, and the state as of it. A checkpoint."""
    async with reached(args) as console:
        return await _commit(console, args.run, args.at), await console.whole(ReadState(args.run, args.at))


async def _commit(console: "Console", run_id: str, seq: int) -> CommitView:
    found: CommitView = await console.whole(ReadCommit(run_id, seq), type=CommitView)
    return found


class RemoteWatcher:
    """Shows a run's durable events, as they are told."""

    def __init__(self, console: "Console", run_id: str, last: int, output: Output) -> None:
        self._console, self._run_id, self._output = console, run_id, output
        self.last = last
        self.code: int | None = None
        """Exit code, once the run has ended."""

    async def follow(self) -> None:
        """Show events until the run's last one. A checkpoint; cancelled, `last` is the last one that was shown."""
        from ._watch import show_event

        async with self._console.watch(self._run_id, last_event_id=self.last or None) as events:
            async for event in events:
                if isinstance(event, DurableEvent):
                    show_event(self._output, event)
                    self.last = event.id
                if isinstance(event, RunEnded):
                    self.code = exit_of(event.status)
        if self.code is None:  # its end was seen before
            self.code = exit_of((await self._console.ask(GetRun(self._run_id))).run.status)
