"""A flow as a child process: what it writes is heard line by line, and nothing of it outlives whoever waits for it."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from terzetto_protocol.limits import FLOW_LINE

_HERE: Final = Path(__file__).parent
_REST: Final = 1.0
"""Time for which the rest of the output is read after the end of a process, seconds."""
_SLACK: Final = 1.0
"""Time that a watcher has beyond its grace, seconds."""


async def watched(
    command: Sequence[str], environment: Mapping[str, str], lock: Path, grace: float, hear: Callable[[bytes], None]
) -> int:
    """Run a command under a watcher, and return its exit code. A checkpoint.

    Cancelled, its group of processes gets SIGINT and, `grace` seconds later, SIGKILL; then this returns. The same
    happens when this process dies, however that happens.

    Args:
        command: what to run.
        environment: all of its environment.
        lock: a file that only one of those who run this at the same time has; the others wait.
        grace: seconds.
        hear: called with every line, cut after `FLOW_LINE` bytes.
    """
    watcher = [sys.executable, "-I", "-S", str(_HERE / "_watcher.py"), str(lock), f"{grace:g}", *command]
    process = await trio.lowlevel.open_process(
        watcher,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
    )
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "so is this"
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear, process.stdout, hear)
            code = await process.wait()
            nursery.cancel_scope.deadline = trio.current_time() + _REST
    finally:
        with trio.move_on_after(grace + _SLACK, shield=True):
            await process.stdin.aclose()  # noqa: ASYNC102 - shielded, with a deadline
            await process.wait()  # noqa: ASYNC102 - as above
        process.kill()
        with trio.CancelScope(shield=True):
            await process.stdout.aclose()  # noqa: ASYNC102, ASYNC120 - it closes a descriptor and waits for nothing
    return code


async def _hear(stream: trio.abc.ReceiveStream, hear: Callable[[bytes], None]) -> None:
    """Hand over what comes, line by line; a longer one is cut, and the rest of it is dropped."""
    line, is_cut = bytearray(), False
    async for data in stream:
        for piece in data.splitlines(keepends=True):
            if not is_cut:
                line += piece
            if is_cut := len(line) > FLOW_LINE:
                del line[FLOW_LINE:]
            if piece.endswith((b"\n", b"\r")):
                hear(bytes(line))
                line, is_cut = bytearray(), False
    if line:
        hear(bytes(line))


async def asked(command: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a short command, and return its exit code and what it wrote. A checkpoint; cancelled, it is killed."""
    done = await trio.run_process(
        list(command), env=dict(environment), capture_stdout=True, capture_stderr=True, check=False
    )
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def reader(python: str, *words: str) -> list[str]:
    """The command that reads artifacts."""
    return [python, str(_HERE / "_reader.py"), *words]
