"""`terzetto console`: runs on a terminal, live, with keys that steer them."""

import os
import signal
from argparse import Namespace
from collections.abc import AsyncIterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import trio
from attrs import define, field
from msgspec.structs import replace

from terzetto_protocol.commands import Command, Submit
from terzetto_protocol.errors import InvalidRequest, TerzettoError
from terzetto_protocol.ids import check_run_id
from terzetto_protocol.screen import Screen
from terzetto_protocol.screen_runs import KEPT
from terzetto_protocol.screen_talk import (
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
from terzetto_protocol.wire_asks import GetGraphs, GetProgress, GetRun, ListBarriers, ListRuns
from terzetto_protocol.wire_errors import failed

from .._chance import new_id
from ._desk import person
from ._exits import Exit, Stop
from ._keys import read_keys
from ._output import Output, abandon_stdout
from ._remote import reached
from ._screen import Drawing
from ._tty import Terminal, taken_over
from ._words import typed

if TYPE_CHECKING:
    from ..console import Console

PAGE: Final = 1000
"""Runs that are listed at once."""
FRAME: Final = 0.05
"""The shortest time between two drawings, seconds."""
TICK: Final = 1.0
"""The longest: what is said of times goes on."""
LOOK: Final = 0.3
"""The shortest time between two looks at how a run stands, seconds."""
_REST: Final = 3
"""How much longer than a look the rest after it is at least."""
_BARRIERS: Final = 50
"""Open barriers of a run that are shown."""
_BACK: Final = 200
"""Events that are asked for of a long run: its last ones."""
_AT_ONCE: Final = 256
"""Events that are taken before the next drawing."""
_DIGITS: Final = 10
"""Of a new run's id."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALS: Final = (*_ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)


async def console(args: Namespace, output: Output) -> int:
    """Show a console's runs until the person leaves, or a signal comes. A checkpoint.

    Cancelled, or after an error, the terminal is as it was; commands that were sent may be carried out.
    """
    _check(args, output)
    async with reached(args) as client:
        screen = Screen(who=args.by or person())
        with trio.open_signal_receiver(*_SIGNALS) as signals, taken_over() as terminal:
            live = _Live(client, screen, terminal, Drawing(args.url, plain=args.plain))
            await live.run(signals)
    return live.code


def _check(args: Namespace, output: Output) -> None:
    instead = f"`terzetto runs --url {args.url}` lists runs"
    if args.store:
        raise Stop(f"the console shows what a server serves: `{typed('serve', '--store', args.store)}`, and then --url")
    if args.json:
        raise Stop(f"the console is for people: {instead} as JSON with --json")
    if not output.terminal or os.environ.get("TERM", "") in ("", "dumb"):
        raise Stop(f"the console needs a terminal that can move its cursor: {instead} as lines")
    if find_spec("rich") is None:
        raise Stop(f"the console needs the extra `cli` (pip install 'terzetto[cli]'); {instead} without it")


def _named(graph: str) -> str:
    """An id for a new run, by which a person knows its graph."""
    number = new_id()
    try:
        return check_run_id(f"{graph}-{number[:_DIGITS]}")
    except InvalidRequest:
        return number


@define(eq=False)
class _Live:
    """A screen, and all that goes on around it."""

    client: "Console"
    screen: Screen
    terminal: Terminal
    drawing: Drawing
    code: int = Exit.FINE
    _nursery: trio.Nursery = field(init=False)
    _dirty: trio.Event = field(factory=trio.Event)
    _wanted: str = ""
    """The run that is to be watched."""
    _turned: trio.Event = field(factory=trio.Event)
    """Another run is to be watched."""
    _stale: trio.Event = field(factory=trio.Event)
    """The run may stand otherwise than it was seen."""

    async def run(self, signals: AsyncIterator[int]) -> None:
        """Until it is left. A checkpoint."""
        async with trio.open_nursery() as self._nursery:
            for task in (self._draw, self._keys, self._connection, self._list, self._graphs, self._watch, self._look):
                self._nursery.start_soon(task)
            self._nursery.start_soon(self._signals, signals)

    def _feed(self, happening: Happening) -> None:
        for effect in self.screen.feed(happening):
            self._do(effect)
        self._dirty.set()

    def _do(self, effect: Effect) -> None:
        match effect:
            case Send(command):
                self._nursery.start_soon(self._send, command)
            case Watch(run_id):
                self._wanted = run_id
                self._turned.set()
                self._stale.set()
            case Look():
                self._stale.set()
            case Redraw():
                self.drawing.forget()
            case Leave():
                self._leave(Exit.FINE)

    def _leave(self, code: Exit) -> None:
        self.code = code
        self._nursery.cancel_scope.cancel(reason="the screen is left")

    # -- the terminal ----------------------------------------------------------------------------------------

    async def _draw(self) -> None:
        while True:
            self._dirty = trio.Event()
            if not self.client.connected and (self.screen.connected or self.client.trouble != self.screen.lost):
                self._feed(Lost(self.client.trouble))
            try:
                page = self.drawing.draw(self.screen, self.terminal.size)
            except OSError:
                abandon_stdout()
                self._leave(Exit.INTERRUPTED)  # the terminal is gone
                return
            if page != self.screen.page:
                self._feed(Resized(page))
            await trio.sleep(FRAME)
            with trio.move_on_after(TICK):
                await self._dirty.wait()

    async def _keys(self) -> None:
        await read_keys(self.terminal.keys, self._feed)
        self._leave(Exit.INTERRUPTED)  # the terminal is gone

    async def _signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGTSTP:
                self._stop()
            elif number == signal.SIGCONT:
                self._take_over()  # whoever stopped this process may not have come by `_stop`
            elif number == signal.SIGWINCH:
                self.drawing.forget()
            else:
                self._leave(Exit.INTERRUPTED)
            self._dirty.set()

    def _stop(self) -> None:
        """Ctrl-Z: the shell has the terminal until it lets this process go on."""
        self.terminal.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take_over()

    def _take_over(self) -> None:
        self.terminal.enter()
        self.drawing.forget()

    # -- the server ------------------------------------------------------------------------------------------

    async def _connection(self) -> None:
        while True:
            await self.client.turned()
            self._feed(Connected() if self.client.connected else Lost(self.client.trouble))

    async def _graphs(self) -> None:
        self._feed(Known((await self.client.ask(GetGraphs())).graphs))

    async def _list(self) -> None:
        """List the runs, and again after a connection was lost, for what changed meanwhile was not told."""
        async with self.client.follow() as changes:
            await self._pages()
            async for changed in changes:
                if changed is None:
                    await self._pages()
                else:
                    self._feed(changed)

    async def _pages(self) -> None:
        before, first = "", True
        while first or before:
            page = await self.client.ask(ListRuns(before=before, limit=PAGE))
            before = page.next if len(self.screen.runs) < KEPT else ""
            self._feed(Listed(page.runs, first=first, last=not before))
            first = False

    async def _watch(self) -> None:
        """Tell what the selected run tells."""
        while True:
            self._turned = trio.Event()
            async with trio.open_nursery() as nursery:
                if self._wanted:
                    nursery.start_soon(self._tell, self._wanted)
                await self._turned.wait()
                nursery.cancel_scope.cancel(reason="another run is selected")

    async def _tell(self, run_id: str) -> None:
        await trio.sleep(FRAME)  # who goes through the list looks at none of these
        try:
            async with self.client.watch(run_id, last_event_id=await self._since(run_id)) as events:
                async for event in events:
                    self._feed(Heard(run_id, (event,)))
        except TerzettoError as error:
            self._feed(LookFailed(run_id, failed(None, error).code, str(error)))

    async def _since(self, run_id: str) -> int | None:
        """Where the last events of a run begin; all of them where they are few."""
        view = (await self.client.ask(GetRun(run_id))).run
        return None if view.seq < _BACK else max(0, view.event_id - _BACK)

    async def _look(self) -> None:
        """See how the selected run stands, as often as that may have changed, but not all the time."""
        while True:
            await self._stale.wait()
            self._stale = trio.Event()
            begin = trio.current_time()
            if run_id := self._wanted:
                await self._look_at(run_id)
            await trio.sleep(max(LOOK, _REST * (trio.current_time() - begin)))  # a long run costs the server more

    async def _look_at(self, run_id: str) -> None:
        try:
            places = (await self.client.ask(GetProgress(run_id))).places
            barriers = (await self.client.ask(ListBarriers(run_id, limit=_BARRIERS))).barriers
        except TerzettoError as error:
            self._feed(LookFailed(run_id, failed(None, error).code, str(error)))
        else:
            self._feed(Looked(run_id, places, tuple(each.barrier for each in barriers)))

    async def _send(self, command: Command) -> None:
        command = replace(command, command_id=new_id())
        if isinstance(command, Submit):
            command = replace(command, run_id=_named(command.graph))
        try:
            receipt = await self.client.ask(command)
        except TerzettoError as error:
            self._feed(NotDone(command, failed(None, error).code, str(error)))
        else:
            self._feed(Done(command, receipt))
