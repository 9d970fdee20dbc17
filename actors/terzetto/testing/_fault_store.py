"""A store around a store, which fails as a plan says."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast, final

import trio

from terzetto_protocol.errors import StoreUnavailable
from terzetto_protocol.records import Applied, BarrierRow, Head, Outcome, Posted, Rejected, RunRow, Write
from terzetto_protocol.statuses import RunStatus

from .. import _faults
from ..stores import Store, StoredRun, StoreHealth
from ._actions import Twist, act
from ._places import OnStore, StoreCall

if TYPE_CHECKING:
    from ._plan import FaultPlan

R = TypeVar("R")
Make = Callable[[], Awaitable[Any]]


@final
class FaultStore(Store):
    """A store that fails as a plan says, and keeps the whole contract where no rule applies.

    `FaultStore(MemoryStore())` takes the rules of its own `plan`, in force as long as it lives, and those of the plan
    whose `with` block we are in. What is asked of it is asked of the store inside, after what delays or raises, and
    before its answer is lost or changed. It never settles a commit inside a call, as a memory store does: whatever
    store is inside, commits go through the persistence actor.

    Args:
        store: any store that is not open yet.
        plan: its own one; by default a new one, to be given rules with `on`.
    """

    def __init__(self, store: Store, plan: "FaultPlan | None" = None) -> None:
        from ._plan import FaultPlan

        self.inner: Final = store
        self.plan: Final = FaultPlan() if plan is None else plan
        self.durable, self.shared, self.lease = store.durable, store.shared, store.lease

    def on(self, call: str | None = None, /) -> OnStore:
        """A call of this store, or every one: `store.on("commit").first(2).raises(StoreUnavailable)`."""
        return self.plan.on_store(call)

    async def _pass(self, name: str, call: Callable[..., Awaitable[R]], *arguments: Any, **options: Any) -> R:
        passing = StoreCall(name, arguments, options)
        make: Make = partial(call, *arguments, **options)
        twists: list[Twist] = []
        for plan in self._plans():
            for action in plan.due("store", name, passing):
                if isinstance(action, Twist):
                    twists.append(action)
                else:
                    await act(action)
        for twist in twists:
            make = partial(self._twisted, twist, passing, make)
        return cast("R", await make())

    def _plans(self) -> "list[FaultPlan]":
        """Those whose rules hold now."""
        from ._plan import FaultPlan

        plans = [self.plan]
        if isinstance(_faults.hook, FaultPlan) and _faults.hook is not self.plan:
            plans.append(_faults.hook)
        return plans

    async def _twisted(self, twist: Twist, call: StoreCall, make: Make) -> Any:
        match twist.text:
            case "drops":
                await trio.lowlevel.checkpoint()
                return [Applied()] * len(call.arguments[0]) if call.name == "commit" else None
            case "rejects":
                await trio.lowlevel.checkpoint()
                return [Rejected(twist.detail)] * len(call.arguments[0])
            case "tears":
                writes = call.arguments[0]
                await self.inner.commit(writes[: len(writes) // 2])
                raise StoreUnavailable("the write was torn")
            case "loses_answer":
                await make()
                raise StoreUnavailable("the answer was lost")
            case "duplicates":
                await make()
                return await make()
            case _:
                answer = await make()
                return flipped(answer) if twist.detail is None else twist.detail(answer)

    # -- the contract --------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """As the store inside."""
        if self.inner.lease != self.lease:
            self.inner.lease = self.lease
        await self._pass("open", self.inner.__aenter__)
        self.durable = self.inner.durable  # a store on a server knows when it has looked
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """As the store inside."""
        await self.inner.__aexit__(kind, error, trace)  # noqa: ASYNC102 - the store inside shields what it must

    async def commit(self, writes: Sequence[Write]) -> list[Outcome]:
        """As the store inside."""
        return await self._pass("commit", self.inner.commit, writes)

    async def reopen(self) -> None:
        """As the store inside."""
        await self._pass("reopen", self.inner.reopen)

    async def run(self, run_id: str) -> RunRow | None:
        """As the store inside."""
        return await self._pass("run", self.inner.run, run_id)

    async def load(self, run_id: str) -> StoredRun | None:
        """As the store inside."""
        return await self._pass("load", self.inner.load, run_id)

    async def run_by_key(self, key: str) -> RunRow | None:
        """As the store inside."""
        return await self._pass("run_by_key", self.inner.run_by_key, key)

    async def runs(
        self,
        *,
        statuses: Sequence[RunStatus] | None = None,
        before: str | None = None,
        limit: int | None = 100,
        thread: str | None = None,
    ) -> list[RunRow]:
        """As the store inside."""
        options = {"statuses": statuses, "before": before, "limit": limit, "thread": thread}
        return await self._pass("runs", self.inner.runs, **options)

    async def renew(self) -> None:
        """As the store inside."""
        await self._pass("renew", self.inner.renew)

    async def unfinished(self) -> list[RunRow]:
        """As the store inside."""
        return await self._pass("unfinished", self.inner.unfinished)

    async def foreign(self, run_ids: Collection[str]) -> list[RunRow]:
        """As the store inside."""
        return await self._pass("foreign", self.inner.foreign, run_ids)

    async def timers(self) -> list[tuple[str, float]]:
        """As the store inside."""
        return await self._pass("timers", self.inner.timers)

    async def head(self, thread: str) -> Head | None:
        """As the store inside."""
        return await self._pass("head", self.inner.head, thread)

    async def move_head(self, thread: str, expect: str, run_id: str, at: float) -> bool:
        """As the store inside."""
        return await self._pass("move_head", self.inner.move_head, thread, expect, run_id, at)

    async def snapshot(self, run_id: str, *, at: int | None = None) -> tuple[int, bytes] | None:
        """As the store inside."""
        return await self._pass("snapshot", self.inner.snapshot, run_id, at=at)

    async def checkpoints(self, run_id: str) -> list[int]:
        """As the store inside."""
        return await self._pass("checkpoints", self.inner.checkpoints, run_id)

    async def records(self, run_id: str, *, after: int = 0, limit: int | None = None) -> list[bytes]:
        """As the store inside."""
        return await self._pass("records", self.inner.records, run_id, after=after, limit=limit)

    async def records_by_event(self, run_id: str, *, after_event: int, limit: int | None = None) -> list[bytes]:
        """As the store inside."""
        options = {"after_event": after_event, "limit": limit}
        return await self._pass("records_by_event", self.inner.records_by_event, run_id, **options)

    async def barriers(self, run_id: str | None = None, *, only_open: bool = True) -> list[BarrierRow]:
        """As the store inside."""
        return await self._pass("barriers", self.inner.barriers, run_id, only_open=only_open)

    async def prune(
        self, run_id: str, before: int, *, epoch: int, keep: Collection[int] = (), closed_before: float = 0.0
    ) -> int:
        """As the store inside."""
        options = {"epoch": epoch, "keep": keep, "closed_before": closed_before}
        return await self._pass("prune", self.inner.prune, run_id, before, **options)

    async def delete(self, run_id: str, *, epoch: int) -> int:
        """As the store inside."""
        return await self._pass("delete", self.inner.delete, run_id, epoch=epoch)

    async def post(self, command: Posted) -> None:
        """As the store inside."""
        await self._pass("post", self.inner.post, command)

    async def posted(self, *, limit: int = 100) -> list[Posted]:
        """As the store inside."""
        return await self._pass("posted", self.inner.posted, limit=limit)

    async def decline(self, command_id: str) -> None:
        """As the store inside."""
        await self._pass("decline", self.inner.decline, command_id)

    async def wait_posted(self, seconds: float) -> None:
        """As the store inside."""
        await self._pass("wait_posted", self.inner.wait_posted, seconds)

    async def answer(self, command_id: str, receipt: bytes) -> None:
        """As the store inside."""
        await self._pass("answer", self.inner.answer, command_id, receipt)

    async def receipt(self, command_id: str) -> bytes | None:
        """As the store inside."""
        return await self._pass("receipt", self.inner.receipt, command_id)

    async def put_chunk(self, upload: str, number: int, data: bytes) -> None:
        """As the store inside."""
        await self._pass("put_chunk", self.inner.put_chunk, upload, number, data)

    async def keep_blob(self, digest: str, *, upload: str = "", run_id: str = "", at: float) -> bool:
        """As the store inside."""
        return await self._pass("keep_blob", self.inner.keep_blob, digest, upload=upload, run_id=run_id, at=at)

    async def blob_chunk(self, digest: str, number: int) -> bytes | None:
        """As the store inside."""
        return await self._pass("blob_chunk", self.inner.blob_chunk, digest, number)

    async def sweep_blobs(self, *, before: float, live: Collection[str]) -> bool:
        """As the store inside."""
        return await self._pass("sweep_blobs", self.inner.sweep_blobs, before=before, live=live)

    async def health(self, *, deep: bool = False) -> StoreHealth:
        """As the store inside."""
        return await self._pass("health", self.inner.health, deep=deep)

    def statistics(self) -> dict[str, Any]:
        """As the store inside."""
        return self.inner.statistics()


def flipped(answer: Any) -> Any:
    """The same with a bit turned in its last bytes; an answer without any is what it was."""
    if isinstance(answer, bytes):
        return answer[:-1] + bytes([answer[-1] ^ 1]) if answer else answer
    if isinstance(answer, list | tuple) and answer:
        items = [*cast("Sequence[Any]", answer)]
        items[-1] = flipped(items[-1])
        return items if isinstance(answer, list) else (*items,)
    return cast("Any", answer)
