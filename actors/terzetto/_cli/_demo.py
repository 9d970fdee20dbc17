"""`terzetto demo`: audit a source tree, be killed, and go on."""

from argparse import Namespace
from collections.abc import Sequence

import trio
from attrs import define

from terzetto_protocol.decisions import Approve, Decision, Reject
from terzetto_protocol.errors import StoreInUse
from terzetto_protocol.events import StreamItem
from terzetto_protocol.fold import Fold
from terzetto_protocol.records import RunRow
from terzetto_protocol.sayings import count
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .._demo.graph import Audit, audit
from .._handles import Run
from .._loading import load_fold
from .._runtime import Runtime
from ..stores import Store
from ._audit_screen import AuditScreen
from ._audits import Place, following, latest, newest, place_of
from ._desk import Desk
from ._exits import Exit, Stop, exit_of
from ._follow import Follower
from ._output import Output
from ._owner import owning
from ._run import exits_of
from ._stores import guest
from ._words import STYLES, typed


async def demo(args: Namespace, output: Output) -> int:
    """Audit a folder, or go on with its audit, or show one that is finished. A checkpoint."""
    place, screen = place_of(args), AuditScreen(output)
    row = await latest(place)
    if row is not None and row.status in TERMINAL and not args.fresh:
        return await _show_finished(place, row, screen)
    await _announce(place, row, screen, fresh=args.fresh)
    screen.asks = not args.approve and args.reject is None
    desk = Desk(output, place.store, exits_of(audit), screen.present, stay=not args.no_wait, decision=_decision(args))
    try:
        return await _Demo(place, screen, desk).carry(fresh=args.fresh)
    except StoreInUse as error:
        watch = f"; this audit: {typed('show', row.run_id, '--store', place.store)}" if row is not None else ""
        raise Stop(f"{error}{watch}", Exit.STORE) from error


def _decision(args: Namespace) -> Decision | None:
    if args.approve:
        return Approve()
    return None if args.reject is None else Reject(args.reject)


async def _announce(place: Place, row: RunRow | None, screen: AuditScreen, *, fresh: bool) -> None:
    """Say what begins, or goes on, as it is before this process touches it. A checkpoint."""
    run_id = place.name if row is None else following(place.name, row) if row.status in TERMINAL else row.run_id
    screen.output.line(f"auditing {place.root} as run {run_id}", "bold")
    if row is None or row.status in TERMINAL:
        return
    if fresh:
        screen.output.note(f"the audit {row.run_id} has not ended: it goes on, and no fresh one is made")
    async with guest(place.store) as store:
        screen.goes_on(await _fold(store, row))


async def _show_finished(place: Place, row: RunRow, screen: AuditScreen) -> int:
    async with guest(place.store) as store:
        state = (await _fold(store, row)).state
    screen.output.line(f"{state.root} was audited before (run {row.run_id} {row.status})", STYLES[row.status])
    screen.summary(state.summary)
    screen.ended(state, row.run_id, row.status, row.message)
    screen.output.line("(--fresh audits it anew)", "dim")
    return exit_of(row.status)


async def _fold(store: Store, row: RunRow) -> Fold[Audit]:
    return await load_fold(store, row, audit.build())


@define
class _Demo:
    """One audit that this process carries."""

    place: Place
    screen: AuditScreen
    desk: Desk

    async def carry(self, *, fresh: bool) -> int:
        """Begin or go on, to the end or to the barrier. A checkpoint."""

        async def body(runtime: Runtime) -> RunStatus:
            run = await self._submit(runtime, fresh=fresh)
            rest = await self._follow(runtime, run)
            if rest in TERMINAL:
                result = await run.result()
                self.screen.ended(result.state, run.run_id, result.status, result.message)
            return rest

        rest = await owning(self.place.store, [audit], self.screen.output, body)
        self.screen.progress.finish()
        if rest is None:
            self._tell_interrupted()
            return Exit.INTERRUPTED
        return exit_of(rest)

    async def _submit(self, runtime: Runtime, *, fresh: bool) -> Run[Audit]:
        row = await newest(runtime.store, self.place.name)
        run_id = self.place.name if row is None else row.run_id
        if row is not None and row.status in TERMINAL and fresh:
            run_id = following(self.place.name, row)
        return await runtime.submit(audit, self.place.state(), run_id=run_id)

    async def _follow(self, runtime: Runtime, run: Run[Audit]) -> RunStatus:
        fold = await _fold(runtime.store, await runtime.row(run.run_id))
        self.screen.begins_at(fold)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.screen.progress.run)

            async def saw(items: Sequence[StreamItem]) -> None:
                if self.screen.saw(items):
                    self.screen.learn((await _fold(runtime.store, await runtime.row(run.run_id))).state)

            rest = await Follower(runtime, run, self.desk, saw).to_rest(after=fold.image.event_id)
            nursery.cancel_scope.cancel(reason="the audit is at rest")
        return rest

    def _tell_interrupted(self) -> None:
        done, total = self.screen.done, self.screen.total
        if total is not None and done == total:
            how_far = " before the sign-off"
        else:
            how_far = "" if total is None else f" after {done:,} of {count(total, 'file')}"
        self.screen.output.note(f"interrupted{how_far}; the same command goes on")
