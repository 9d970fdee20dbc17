"""`terzetto undo`, `fork`, `retry` and `rerun`: after which a run goes on, in its owner or here."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any, Final
from uuid import uuid4

import msgspec

from terzetto_protocol.codec import check_json
from terzetto_protocol.commands import Command, Fork, Rerun, Retry, Undo
from terzetto_protocol.ids import check_run_id
from terzetto_protocol.limits import ID_LENGTH
from terzetto_protocol.records import RunRow
from terzetto_protocol.statuses import TERMINAL, RunStatus

from .._handles import Run
from .._runtime import Runtime
from ._exits import Stop
from ._graphs import graph_of, spec_for
from ._output import Output
from ._run import carry, read_input
from ._saying import say, told
from ._states import check_seq
from ._stores import carrier_of, find_run, guest, new_command_id, store_url

_LETTERS: Final = 6
"""Letters by which a new run's id differs from the old one's."""


async def undo(args: Namespace, output: Output) -> int:
    """Take the last of a run back, and go on from there. A checkpoint."""

    def command(row: RunRow) -> Command:
        if row.status in TERMINAL:
            raise Stop(f"run {row.run_id!r} has ended {row.status}, and stays so: fork it from one of its commits")
        return Undo(new_command_id(), row.run_id, args.count, args.repeat_effects)

    return await _steer(args, output, command)


async def fork(args: Namespace, output: Output) -> int:
    """A new run that goes on from a commit. A checkpoint."""

    def command(row: RunRow) -> Command:
        if args.at is None and row.status in TERMINAL:
            raise Stop(f"run {row.run_id!r} has ended {row.status}: say from which commit to go on, --at SEQ")
        at = row.seq if args.at is None else check_seq(row, args.at)
        return Fork(new_command_id(), row.run_id, _new_id(args, row), at, args.repeat_effects)

    return await _steer(args, output, command)


async def retry(args: Namespace, output: Output) -> int:
    """A new run from before the visit with which another failed. A checkpoint."""

    def command(row: RunRow) -> Command:
        if row.status not in TERMINAL:
            raise Stop(f"run {row.run_id!r} is {row.status}: only one that has ended is tried again")
        if row.status is RunStatus.SUCCEEDED:
            raise Stop(f"run {row.run_id!r} has SUCCEEDED: there is nothing to try again (fork or rerun it)")
        return Retry(new_command_id(), row.run_id, _new_id(args, row), args.repeat_effects)

    return await _steer(args, output, command)


async def rerun(args: Namespace, output: Output) -> int:
    """A new run that begins at a place. A checkpoint."""
    state = None if args.state is None else _json(read_input(args.state))

    def command(row: RunRow) -> Command:
        return Rerun(new_command_id(), row.run_id, _new_id(args, row), args.place, state, args.repeat_effects)

    return await _steer(args, output, command)


def _json(text: bytes) -> bytes:
    """The same; raises `Stop` for what is no JSON, before somebody has to be there who knows the graph."""
    check_json(text, "--state")
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Stop(f"--state takes JSON, and this is none: {error}") from error
    return text


def _new_id(args: Namespace, row: RunRow) -> str:
    """The new run's id, chosen before anybody is told, so that a command that comes twice makes one run."""
    if args.id is not None:
        return check_run_id(args.id)
    return f"{row.run_id[: ID_LENGTH - _LETTERS - 1]}-{uuid4().hex[:_LETTERS]}"


async def _steer(args: Namespace, output: Output, make: Callable[[RunRow], Command]) -> int:
    """Say a command to the owner; where there is none, and the graph is known, carry it out and the run on here."""
    url = store_url(args)
    async with guest(url) as store:
        row = await find_run(store, args.run)
        command, spec = make(row), spec_for(args.graph, row)
        if not spec or await carrier_of(store, url, row.run_id):
            return await say(args, output, store, row, command)
    found = graph_of(spec, row)

    async def begin(runtime: Runtime) -> tuple[Run[Any], int | None]:
        receipt = await runtime.ask(command)
        told(output, command, receipt)
        return runtime.get(receipt.run_id), row.event_id if receipt.run_id == row.run_id else None

    return await carry(args, output, spec, found, begin)
