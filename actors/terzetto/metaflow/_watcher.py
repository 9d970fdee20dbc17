"""The process between a program and a flow: `python _watcher.py LOCK GRACE COMMAND...`.

It holds one end of a pipe, its standard input. When the other end is closed, because the program cancels the flow or
because the program is no more, whatever happened to it, the flow's group of processes gets SIGINT, and after the grace
SIGKILL. When the flow ends by itself, what is left of its group gets SIGKILL, too, and so does whatever had left the
group for a session of its own: it becomes this process's child when its parent ends. So nothing of a flow outlives it.

It is run as a file and imports nothing of Terzetto.
"""

import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys

_ADOPT = 36  # PR_SET_CHILD_SUBREAPER
_TURN = 0.05
"""How often it looks whether another watcher of the same flow has gone, seconds."""


def main() -> int:
    """Have the flow run, and return its exit code."""
    lock, grace, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    with open(lock, "a") as file:  # noqa: PTH123 - pathlib takes a tenth of a second to import
        while not _is_locked(file.fileno()):
            if _first((0,), _TURN) is not None:
                return 130
        return _watch(command, grace)


def _watch(command: list[str], grace: float) -> int:
    ctypes.CDLL(None).prctl(_ADOPT, 1)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as flow:
        ended = os.pidfd_open(flow.pid)
        if _first((ended, 0), None) == 0:
            os.killpg(flow.pid, signal.SIGINT)
            _first((ended,), grace)
        os.killpg(flow.pid, signal.SIGKILL)  # nobody has waited for the flow yet, so that its id is no other's
        code = flow.wait()
    while left := _children():
        for each in left:
            os.kill(each, signal.SIGKILL)  # it is ours, so that its id is no other's before `waitpid`
            os.waitpid(each, 0)
    return code if code >= 0 else 128 - code


def _children() -> list[int]:
    """Ids of this process's children; the flow's own, once their parents have ended. None where no kernel tells."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - as above
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def _first(descriptors: tuple[int, ...], seconds: float | None) -> int | None:
    """The first of these that has something to say; None if none has in time."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(None if seconds is None else seconds * 1000)}
    return next((descriptor for descriptor in descriptors if descriptor in ready), None)


def _is_locked(descriptor: int) -> bool:
    """Whether this process is the only one that watches this flow now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
