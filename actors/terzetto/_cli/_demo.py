"""`terzetto demo`: audit a source tree, be killed, and go on."""

from argparse import Namespace
from collections.abc import Sequence

import trio
from attrs import define
from terzetto_protocol.decisions import Approve, Decision, Reject
from terzetto_protocol.events import StreamItem
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .._demo.graph import Audit, audit
from .._runtime import Run, Runtime
from .._supervisor import load_fold
from ._audit_screen import AuditScreen
from ._audits import Place, following, latest, newest, place_of
from ._desk import Desk
from ._exits import Exit, exit_of
from ._follow import Follower
from ._output import Output
from ._owner import owning
from ._run import exits_of
from ._stores import guest
from ._words import STYLES


async def demo(args: Namespace, output: Output) -> int:
    """Audit a folder, or go on with its audit, or show one that is finished. A checkpoint."""
    place, screen = place_of(args), AuditScreen(output)
    _, row = await latest(place)
    if row is not None and row.status in TERMINAL and not args.fresh:
        return await _show_finished(place, row, screen)
    if row is not None and row.status not in TERMINAL and args.fresh:
        output.note(f"the last audit, {row.run_id}, is {row.status}: it goes on instead of a fresh one")
    desk = Desk(output, place.store, exits_of(audit), screen.present, not args.no_wait, _decision(args))
    return await _Demo(place, screen, desk).carry(fresh=args.fresh)


def _decision(args: Namespace) -> Decision | None:
    if args.approve:
        return Approve()
    return None if args.reject is None else Reject(args.reject)


async def _show_finished(place: Place, row: RunRow, screen: AuditScreen) -> int:
    async with guest(place.store) as store:
        state: Audit = (await load_fold(store, row, audit.build())).state
    screen.output.line(f"{state.root} was audited before (run {row.run_id} {row.status})", STYLES[row.status])
    if row.message:
        screen.output.line(f"{row.code or row.status}: {row.message}")
    screen.summary(_figures(state))
    screen.ended(state, row.run_id, row.status)
    screen.output.line("--fresh audits it anew", "dim")
    return exit_of(row.status)
