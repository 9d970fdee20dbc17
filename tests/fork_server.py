"""A process that has imported everything and forks one life per order, so that many lives cost one start.

Orders come as JSON lines on standard input. Each is answered when its life has ended: its exit code, and whether it
was killed from here because its time was over. A life is forked while there is one thread and no loop: it begins as a
fresh `python` would, but for modules that are imported already.
"""

import gc
import json
import os
import runpy
import select
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import trio

for name in ("terzetto._cli._demo", "terzetto.stores._sqlite"):
    import_module(name)


def serve() -> dict[str, Any] | None:
    """Carry out orders until there are none; in a forked life return its order at once."""
    for line in sys.stdin:
        order = json.loads(line)
        life = os.fork()
        if not life:
            return order
        print(json.dumps(outlive(life, order["seconds"])), flush=True)
    return None


def outlive(life: int, seconds: float) -> tuple[int, bool]:
    """Wait for the end of a life, and make it one after so many seconds; nobody else has reaped it meanwhile."""
    ended = os.pidfd_open(life)
    late = not select.select([ended], [], [], seconds)[0]
    if late:
        os.kill(life, signal.SIGKILL)
    os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(life, 0)[1]), late


def live(order: dict[str, Any]) -> None:
    """Become what `python` with these words would be."""
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environ"])
    for number, path, mode in ((0, os.devnull, "r"), (1, order["out"], "w"), (2, order["errors"], "w")):
        with Path(path).open(mode) as file:
            os.dup2(file.fileno(), number)
    trio._core._run._r.seed()  # or every life would shuffle its tasks alike
    first, *rest = order["words"]
    if first == "-m":
        sys.argv, sys.path[0] = rest, order["folder"]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [first, *rest], str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


gc.freeze()  # what lives share is not looked at, and so not copied, by their collectors

if __name__ == "__main__" and (order := serve()) is not None:
    live(order)
