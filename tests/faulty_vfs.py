"""A disk that fails when told to: a SQLite VFS over the real one, for tests."""

from pathlib import Path

import apsw


class FaultyDisk(apsw.VFS):
    """Counts the syncs of each kind of file, and fails those it is told to fail."""

    def __init__(self, name: str) -> None:
        self.syncs: list[str] = []
        self.fail_after: int | None = None
        """How many more syncs work; None means all."""
        self.full = False
        """Whether nothing more fits."""
        super().__init__(name, "")

    def xOpen(self, name, flags):
        return _File(self, name, flags)

    def sync(self, suffix: str) -> None:
        self.syncs.append(suffix)
        if self.fail_after is not None:
            if self.fail_after == 0:
                raise apsw.IOError("the disk could not be synced")
            self.fail_after -= 1


class _File(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name, flags) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._suffix = disk, Path(path or "temp").suffix
        super().__init__("", name, flags)

    def xSync(self, flags):
        self._disk.sync(self._suffix)
        super().xSync(flags)

    def xWrite(self, data, offset):
        if self._disk.full and self._suffix == ".db-wal":
            raise apsw.FullError("no space left on device")
        super().xWrite(data, offset)
