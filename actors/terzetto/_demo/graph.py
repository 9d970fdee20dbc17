"""The audit: one branch per file of a source tree, a person's sign-off, and a report that is written once."""

from pathlib import Path

import trio
from attrs import Factory, define, frozen

from terzetto_protocol.context import ItemContext, NodeContext
from terzetto_protocol.decisions import Exiting, Reject
from terzetto_protocol.graph import Graph

from .report import report_is_complete, write_report
from .scan import FileRow, Summary, add, python_files, scan_file

_NAMES_AT_ONCE = 1000
_FILES_AT_ONCE = 8


@define
class Audit:
    """What is known so far; rows come in the order of the files, whichever was looked at first."""

    root: str = "."
    """The audited folder, as the process that runs the graph sees it."""
    out: str = "."
    """Where the report goes."""
    title: str = "audit"
    files: list[str] = Factory(list[str])
    rows: list[FileRow] = Factory(list[FileRow])
    summary: Summary = Factory(Summary)
    verdict: str = ""
    """`approved`, or `rejected` with the reason."""
    published: bool = False


@frozen
class Found:
    """Some of the files that there are."""

    names: tuple[str, ...]

    def apply(self, audit: Audit) -> None:
        """Add them, in order."""
        audit.files.extend(self.names)


@frozen
class Scanned:
    """One file was looked at."""

    row: FileRow

    def apply(self, audit: Audit) -> None:
        """Add the row and fold it into the summary."""
        audit.rows.append(self.row)
        audit.summary = add(audit.summary, self.row)


@frozen
class SignedOff:
    """Somebody has decided."""

    verdict: str

    def apply(self, audit: Audit) -> None:
        """Keep what was said."""
        audit.verdict = self.verdict


@frozen
class Published:
    """The report stands."""

    def apply(self, audit: Audit) -> None:
        """Note it."""
        audit.published = True


def _signed(decision: Exiting) -> list[SignedOff]:
    if isinstance(decision, Reject):
        return [SignedOff(f"rejected: {decision.reason}" if decision.reason else "rejected")]
    return [SignedOff("approved")]


audit = Graph("audit", state=Audit, mutations=[Found, Scanned, SignedOff, Published], max_steps=10_000_000)
Ctx = NodeContext[Audit]


@audit.node
async def collect(ctx: Ctx) -> None:
    """List the files, in an order that does not depend on the file system."""
    names = await trio.to_thread.run_sync(python_files, Path(ctx.state.root))
    for begin in range(0, len(names), _NAMES_AT_ONCE):
        ctx.record(Found(tuple(names[begin : begin + _NAMES_AT_ONCE])))


@audit.node(effects="pure")
def scan(ctx: ItemContext[Audit, str]) -> None:
    """Look at a file; looking twice does no harm, so this may run ahead of the disk."""
    ctx.record(Scanned(scan_file(Path(ctx.state.root), ctx.item)))


async def _was_published(ctx: Ctx) -> bool:
    """Whether the report of exactly these rows stands already: a kill in the middle needs no person."""
    state = ctx.state
    done = await trio.to_thread.run_sync(report_is_complete, Path(state.out), tuple(state.rows), state.summary)
    if done:
        ctx.record(Published())
    return done


@audit.node(effects="once", probe=_was_published)
async def publish(ctx: Ctx) -> None:
    """Write `audit.html` and `audit.json`."""
    state = ctx.state
    await trio.to_thread.run_sync(write_report, Path(state.out), state.title, tuple(state.rows), state.summary)
    ctx.record(Published())


scan_all = audit.map("scan-all", scan, over=lambda state: state.files, limit=_FILES_AT_ONCE, merge="replay")
sign_off = audit.barrier("sign-off", payload=lambda state: state.summary, decided=_signed)

audit.start(collect)
audit.edge(collect, scan_all)
audit.edge(scan_all, sign_off)
audit.edge(sign_off.approved, publish)
