"""Carrying out what is said from outside, as messages: each command once, however often it comes.

A command comes again when its owner died after it had carried it out, and before the receipt was stored. Then
the log tells what was answered.
"""

from typing import TYPE_CHECKING, Final

from terzetto_protocol.answered import answered
from terzetto_protocol.commands import (
    Branching,
    Cancel,
    Command,
    Decide,
    Delete,
    Fork,
    Pause,
    Rerun,
    Resume,
    Retry,
    Submit,
    Truncate,
    Undo,
    Withdraw,
)
from terzetto_protocol.errors import UnknownGraph
from terzetto_protocol.image import read_record
from terzetto_protocol.receipts import Deleted, Receipt, Submitted, Truncated

from ._forking import Forking
from ._inbox import COMMANDS

if TYPE_CHECKING:
    from ._handles import Run
    from ._runtime import Runtime


class CarryingOut:
    """Does what commands say, with a runtime."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime: Final = runtime

    async def carry_out(self, command: Command) -> Receipt:
        """Do what a command says, or tell what came of it before. A checkpoint."""
        command = COMMANDS.copy(command)
        return await self._answered(command) or await self._do(command)

    async def _answered(self, command: Command) -> Receipt | None:
        if isinstance(command, Branching):
            run_id, limit = command.new_id, 1
        elif isinstance(command, Undo | Pause | Resume):
            run_id, limit = command.run_id, None
        else:
            return None
        store = self._runtime.store
        records = map(read_record, await store.records(run_id, limit=limit))
        return answered(run_id, records, command.command_id, durable=store.durable)

    async def _do(self, command: Command) -> Receipt:
        steering = self._runtime.supervisor.steering
        match command:
            case Decide():
                return await steering.decide(command)
            case Withdraw():
                return await steering.withdraw(command)
            case Undo():
                return await steering.undo(command, self._runtime.past)
            case Cancel():
                return await steering.cancel(command)
            case Pause():
                return await steering.pause(command)
            case Resume():
                return await steering.resume(command)
            case Truncate(run_id=run_id, keep_from=keep_from):
                count = await self._runtime.prune(run_id, keep_from)
                return Truncated(run_id, count, self._runtime.store.durable)
            case Delete(run_id=run_id):
                return Deleted(run_id, await self._runtime.delete(run_id), self._runtime.store.durable)
            case Submit():
                return self._begun(await self._submit(command))
            case _:
                return self._begun(await self._branch(command))

    def _begun(self, run: "Run[object]") -> Submitted:
        return Submitted(run.run_id, self._runtime.store.durable, run.reused)

    async def _submit(self, command: Submit) -> "Run[object]":
        registry = self._runtime.registry
        known = registry.find(command.graph, command.version)
        if known is None and command.version:  # another version is another graph: it was not asked for
            text = f"graph {command.graph!r} {command.version!r} is not known here"
            raise UnknownGraph(command.graph, command.version, text)
        graph = (known or registry.latest(command.graph)).graph
        state = graph.from_json(command.state) if command.state else None
        vocabulary = graph.build().vocabulary
        return await self._runtime.submit(
            graph,
            state,
            run_id=command.run_id,
            key=command.key,
            auto_approve=command.auto_approve,
            thread=command.thread or None,
            busy=command.busy,
            record=[vocabulary.revive(each) for each in command.record],
            metadata=command.metadata,
            max_steps=command.max_steps,
            deadline=command.deadline,
            deadline_parked=command.deadline_parked,
            durability=command.durability,
            on_completion=command.on_completion,
        )

    async def _branch(self, command: Branching) -> "Run[object]":
        forking, repeat = Forking(self._runtime, command.command_id), command.repeat_effects
        match command:
            case Fork(run_id=run_id, at=at, new_id=new_id):
                return await forking.fork(run_id, at, new_id, repeat_effects=repeat)
            case Retry(run_id=run_id, new_id=new_id):
                return await forking.retry(run_id, new_id, repeat_effects=repeat)
            case Rerun(run_id=run_id, place=place, new_id=new_id):
                state = await self._edited(command)
                return await forking.rerun(run_id, place, state, new_id, repeat_effects=repeat)

    async def _edited(self, command: Rerun) -> object:
        if command.state is None:
            return None
        return (await self._runtime.past(command.run_id)).blueprint.graph.from_json(command.state)
