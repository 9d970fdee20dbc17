"""Processes that live once, are killed or not, and what they left behind: for the tests that kill."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from subprocess import PIPE
from typing import Any, Self

import trio
from attrs import define, field, frozen

from terzetto.stores import open_store
from terzetto_protocol.image import read_record
from terzetto_protocol.records import Kind, Record
from terzetto_protocol.statuses import VisitStatus

FORK_SERVER = Path(__file__).with_name("fork_server.py")
LIMIT = 60.0
"""Seconds that any one life may take."""
KILLED = -9
"""The exit code of who died of SIGKILL."""


@frozen
class Life:
    """What one process did: its exit code, and what it said."""

    code: int
    out: str
    errors: str
    late: bool = False
    """Whether it was killed because its time was over."""

    def all(self, kind: str) -> list[Any]:
        """What it said of one kind, in lines `kind JSON`; a kill may have cut the last one off."""
        said = [line.partition(" ") for line in self.out.splitlines(keepends=True) if line.endswith("\n")]
        return [json.loads(text) for name, _, text in said if name == kind]


@define
class Forks:
    """Lives of `python WORDS`, forked off two servers in turn: who goes on hashes otherwise than who was killed."""

    _folder: Path
    _closing: ExitStack = field(factory=ExitStack)
    _turns: "Iterator[subprocess.Popen[str]]" = field(init=False)

    def __enter__(self) -> Self:
        command = [sys.executable, str(FORK_SERVER)]
        servers = [subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) for _ in range(2)]
        self._turns = cycle([self._closing.enter_context(server) for server in servers])
        return self

    def __exit__(self, *error: object) -> None:
        self._closing.close()

    def live(self, *words: str, folder: Path | None = None, seconds: float = LIMIT, **environ: str) -> Life:
        """One life, from its beginning to its end.

        Args:
            words: a script and its arguments, or `-m`, a module and its arguments.
            folder: its current one; this process's unless said otherwise.
            seconds: after these it is killed.
            environ: what its environment has more than this process's.
        """
        out, errors = self._folder / "out", self._folder / "errors"
        order = {"words": words, "folder": str(folder or Path.cwd()), "environ": os.environ | environ}
        code, late = self._answer(order | {"seconds": seconds, "out": str(out), "errors": str(errors)})
        return Life(code, out.read_text(), errors.read_text(), late)

    def _answer(self, order: dict[str, Any]) -> tuple[int, bool]:
        server = next(self._turns)
        assert server.stdin is not None
        assert server.stdout is not None
        print(json.dumps(order), file=server.stdin, flush=True)
        code, late = json.loads(server.stdout.readline())
        return code, late


@define
class World:
    """One store, one outside world, and the processes that work on them."""

    forks: Forks
    child: Path
    folder: Path
    probe: bool = False

    @property
    def effects(self) -> list[str]:
        """What the outside world has seen, a line each, beginning with the place."""
        file = self.folder / "oracle"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def places(self) -> list[str]:
        """Where each of the effects came from."""
        return [line.split()[0] for line in self.effects]

    def start(self, crash_at: str | None = None) -> Life:
        """A process that begins or goes on, up to its end or to this point."""
        environ = {"TERZETTO_FAULTS": "1", "TERZETTO_CRASH_AT": crash_at} if crash_at else {}
        words = [str(self.child), str(self.folder / "runs.db"), str(self.folder / "oracle")]
        life = self.forks.live(*words, *(["probe"] if self.probe else []), **environ)
        assert not life.late, life.errors
        return life

    def records(self) -> list[Record]:
        """The log of the run."""

        async def read() -> list[Record]:
            async with open_store(f"sqlite:{self.folder / 'runs.db'}", guest=True) as store:
                return [read_record(body) for body in await store.records("r-1")]

        return trio.run(read) if (self.folder / "runs.db").exists() else []


def succeeded(records: list[Record]) -> list[Record]:
    """The durable commits of visits that went well."""
    return [record for record in records if record.kind is Kind.VISIT and record.outcome is VisitStatus.SUCCEEDED]
