"""A disk of which the n-th system call fails, once or for good, until it is mended."""

from collections.abc import Callable
from itertools import count
from typing import Any, Final

import apsw

_NAMES: Final = count()

ERRORS: Final[dict[str, Callable[[], Exception]]] = {
    "open": lambda: apsw.CantOpenError("unable to open the file"),
    "delete": lambda: apsw.IOError("the file could not be removed"),
    "read": lambda: apsw.IOError("the disk could not be read"),
    "write": lambda: apsw.FullError("no space left on device"),
    "sync": lambda: apsw.IOError("the disk could not be synced"),
    "truncate": lambda: apsw.IOError("the file could not be cut"),
    "lock": lambda: apsw.IOError("the file could not be locked"),
}
"""Every kind of call, and what SQLite is told when it fails."""


class NthDisk(apsw.VFS):
    """Counts system calls of some kinds, and fails the n-th, or it and all after it."""

    def __init__(self, kinds: tuple[str, ...], number: int, *, lasting: bool) -> None:
        self.name: Final = f"nth-{next(_NAMES)}"
        self.failed: Final[list[str]] = []
        """The calls that failed."""
        self.calls = 0
        self.mended = False
        self._kinds, self._number, self._lasting = kinds, number, lasting
        super().__init__(self.name, "")

    def _error(self, kind: str) -> Exception:
        return ERRORS[kind]()

    def look(self, kind: str) -> None:
        """Count a call; raises what SQLite is told."""
        if self.mended or kind not in self._kinds:
            return
        self.calls += 1
        if self.calls == self._number or (self._lasting and self.calls > self._number):
            self.failed.append(kind)
            raise self._error(kind)

    def xOpen(self, name: Any, flags: Any) -> "_File":
        self.look("open")
        return _File(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:
        self.look("delete")
        super().xDelete(name, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: NthDisk, name: Any, flags: Any) -> None:
        self._disk: Final = disk
        super().__init__("", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._disk.look("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.look("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.look("sync")
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:
        self._disk.look("truncate")
        super().xTruncate(size)

    def xLock(self, level: int) -> None:
        self._disk.look("lock")
        super().xLock(level)
