"""The bad-node zoo: exceptions as odd as Python lets them be, and bodies that do what no body should."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import trio

Body = Callable[..., Awaitable[None]]


class Own(BaseException):
    """As some libraries have: what panicked in Rust, what a test runner raises to leave."""


class Says(Exception):
    """One whose message is whatever a function does."""

    def __init__(self, say: Callable[[], Any]) -> None:
        self.say = say

    def __str__(self) -> str:
        return self.say()

    __repr__ = __str__


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise ZeroDivisionError


class Unnamed(Exception, metaclass=Nameless):
    pass


class Endless(str):
    __slots__ = ()

    def splitlines(self, keepends: bool = False) -> Any:
        raise ZeroDivisionError


class Untraced(Exception):
    @property
    def __traceback__(self) -> Any:
        raise ZeroDivisionError


class Unasked(Exception):
    @property
    def retry_after(self) -> float:
        raise Own("asked")


class Undivided(ExceptionGroup[Exception]):
    def derive(self, excs: Any) -> Any:
        return 42


class Unopened(ExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:
        raise ZeroDivisionError


class Unpicklable(Exception):
    def __init__(self, one: int, *, other: Any) -> None:
        super().__init__("unpicklable")
        self.other = other

    def __reduce__(self) -> Any:
        raise TypeError("not me")


def throw(error: BaseException) -> Any:
    raise error


def nested(levels: int) -> BaseException:
    error: Exception = ValueError("deep")
    for level in range(levels):
        error = ExceptionGroup(f"level {level}", [error])
    return error


def circular() -> BaseException:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


ERRORS: dict[str, tuple[Callable[[], BaseException], str]] = {
    "of its own": (lambda: Own("mine"), "Own: mine"),
    "leaves the program": (lambda: SystemExit(3), "SystemExit: 3"),
    "closes a generator": (GeneratorExit, "GeneratorExit"),
    "cancelled elsewhere": (asyncio.CancelledError, "CancelledError"),
    "silent": (lambda: Says(lambda: throw(RuntimeError())), "Says (its message cannot be shown)"),
    "leaves while it is shown": (lambda: Says(lambda: throw(SystemExit(1))), "Says (its message cannot be shown)"),
    "panics while it is shown": (lambda: Says(lambda: throw(Own())), "Says (its message cannot be shown)"),
    "no text": (lambda: Says(lambda: 42), "Says (its message cannot be shown)"),
    "half a text": (lambda: Says(lambda: Endless("x")), "Says (its message cannot be shown)"),
    "huge": (lambda: ValueError("x" * 1_000_000), "ValueError: xxx"),
    "long name": (lambda: type("L" * 100_000, (Exception,), {})("x"), "(100000 characters): x"),
    "no name": (lambda: Unnamed("x"), "an exception whose type has no name: x"),
    "no traceback": (lambda: Untraced("x"), "Untraced: x"),
    "not to be asked": (lambda: Unasked("x"), "Unasked: x"),
    "not Unicode": (lambda: ValueError("a\ud800\x00b"), r"ValueError: a\ud800"),
    "unpicklable": (lambda: Unpicklable(1, other=lambda: None), "Unpicklable: unpicklable"),
    "its own cause": (circular, "ValueError: one"),
    "wide": (lambda: ExceptionGroup("g", [ValueError("x" * 3000)] * 2_000), "2000 errors: ValueError: xxx"),
    "deep": (lambda: nested(2_000), "ValueError: deep"),
    "undivided": (lambda: Undivided("g", [ValueError("a"), KeyError("b")]), "2 errors: ValueError: a; KeyError: 'b'"),
    "unopened": (lambda: Unopened("g", [ValueError("a")]), "ValueError: a"),
    "mixed": (lambda: BaseExceptionGroup("g", [Own("a"), SystemExit(1)]), "2 errors: Own: a; SystemExit: 1"),
}
"""What a node raises, and what is told of it."""


def raising(make: Callable[[], BaseException]) -> Body:
    async def animal(ctx: Any) -> None:
        raise make()

    return animal


async def used_up() -> BaseException:
    """A `Cancelled` that has done its work."""
    found: list[BaseException] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            found.append(error)
            raise
    return found[0]


async def cancelled_by_nobody(ctx: Any) -> None:
    raise await used_up()


async def mixes_it(ctx: Any) -> None:
    raise BaseExceptionGroup("g", [await used_up(), ValueError("v")])


async def comes_from_nowhere(ctx: Any) -> None:
    names: dict[str, Any] = {}
    exec(compile("def f():\n  raise ValueError('x')\n", "caf\udce9.py", "exec"), names)
    names["f"]()


async def recurses(ctx: Any) -> None:
    def again() -> None:
        again()

    again()


async def waits_for_another_loop(ctx: Any) -> None:
    loop = asyncio.new_event_loop()
    try:
        await loop.create_future()
    finally:
        loop.close()


async def stops_iterating(ctx: Any) -> None:
    next(iter(()))


RAISERS: dict[str, tuple[Body, str]] = {
    **{name: (raising(make), text) for name, (make, text) in ERRORS.items()},
    "cancelled by nobody": (cancelled_by_nobody, "Cancelled: "),
    "mixed with it": (mixes_it, "ValueError: v"),
    "a file without a name": (comes_from_nowhere, "ValueError: x"),
    "recursion": (recurses, "RecursionError: "),
    "another loop": (waits_for_another_loop, "TypeError: trio.run received unrecognized yield message"),
    "stop iteration": (stops_iterating, "RuntimeError: coroutine raised StopIteration"),
}
"""Bodies that raise, and what is told of it."""


# -- tasks -----------------------------------------------------------------------------------------------------

_left: list[Any] = []
"""What bodies opened, or it would be closed as garbage."""


async def leaves_a_scope(ctx: Any) -> None:
    _left.append(trio.CancelScope())
    _left[-1].__enter__()


async def leaves_a_cancelled_scope(ctx: Any) -> None:
    await leaves_a_scope(ctx)
    _left[-1].cancel()


async def leaves_a_nursery(ctx: Any) -> None:
    _left.append(trio.open_nursery())
    await _left[-1].__aenter__()


async def leaves_a_task(ctx: Any) -> None:
    _left.append(trio.open_nursery())
    (await _left[-1].__aenter__()).start_soon(trio.sleep_forever)


async def leaves_a_task_that_stays(ctx: Any) -> None:
    async def stays() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.3)

    _left.append(trio.open_nursery())
    (await _left[-1].__aenter__()).start_soon(stays)


async def leaves_a_task_that_fails(ctx: Any) -> None:
    async def fails() -> None:
        raise ValueError("too late")

    _left.append(trio.open_nursery())
    (await _left[-1].__aenter__()).start_soon(fails)
    raise ValueError("left")


LEAVERS: dict[str, Body] = {
    body.__name__.replace("_", " "): body
    for body in (
        leaves_a_scope,
        leaves_a_cancelled_scope,
        leaves_a_nursery,
        leaves_a_task,
        leaves_a_task_that_stays,
        leaves_a_task_that_fails,
    )
}
"""Bodies that leave something open on their task, which Trio cannot mend."""


def forget() -> None:
    """Let go of what bodies have left."""
    _left.clear()
    gc.collect()
