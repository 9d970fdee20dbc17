"""The desk: commands as messages, answered with receipts (9.5)."""

import attrs
import pytest
import trio

import terzetto
from terzetto_protocol.commands import Cancel, Decide, Submit
from terzetto_protocol.errors import ActorStopped, Refused
from terzetto_protocol.receipts import CancelReceipt, DecisionTaken, Submitted


@attrs.define
class Empty:
    pass


graph = terzetto.Graph("gate", state=Empty)
gate = graph.barrier("gate")
graph.start(gate)


async def test_commands_are_answered_with_receipts() -> None:
    async with terzetto.open_runtime("memory:", [graph]) as runtime:
        with trio.fail_after(5):
            submitted = await runtime.address.ask(Submit("c1", "r-1", "gate", b"{}"))
            async with runtime.get("r-1").events() as events:
                async for event in events:
                    if isinstance(event, terzetto.BarrierOpened):
                        break
            taken = await runtime.address.ask(Decide("c2", "r-1", "gate", terzetto.Approve(), "me"))
            again = await runtime.address.ask(Cancel("c3", "r-1"))

    assert submitted == Submitted("r-1", durable=False)
    assert isinstance(taken, DecisionTaken)
    assert isinstance(again, CancelReceipt)
    assert again.outcome == "already_terminal"


async def test_a_refusal_is_raised_where_it_was_asked() -> None:
    async with terzetto.open_runtime("memory:", [graph]) as runtime:
        await runtime.submit(graph, Empty(), run_id="r-1")
        with trio.fail_after(5), pytest.raises(Refused, match="does not take"):
            await _when_parked(runtime)
            await runtime.address.ask(Decide("c1", "r-1", "gate", terzetto.Choose("elsewhere")))


async def _when_parked(runtime: terzetto.Runtime) -> None:
    async with runtime.get("r-1").events() as events:
        async for event in events:
            if isinstance(event, terzetto.BarrierOpened):
                return


async def test_another_message_is_refused_at_the_door() -> None:
    async with terzetto.open_runtime("memory:", [graph]) as runtime:
        with pytest.raises(
            TypeError,
            match="takes Decide, Withdraw, Undo, Cancel, Pause, Resume, Truncate, Delete, Submit, Fork, Retry, Rerun",
        ):
            runtime.address.tell_nowait("hello")  # type: ignore[arg-type]


async def test_a_closed_desk_answers_nobody_later() -> None:
    """9.5: a dying actor answers everyone who waits for it."""
    async with terzetto.open_runtime("memory:", [graph]) as runtime:
        address = runtime.address
    with pytest.raises(ActorStopped):
        await address.ask(Cancel("c1", "r-1"))
