"""The file of a SQLite store: who owns it, whether it is ours, and how it is opened."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal, TypeAlias

import apsw

from terzetto_protocol.errors import StoreError, StoreInUse, StoreMissing, StoreTooNew, StoreUnavailable

from ._checksums import UNREADABLE
from ._schema import APPLICATION_ID, BLOBS, PRUNES, SUMMED, SUMS, SUMS_SINCE, TABLES, UPGRADES, VERSION

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

Synchronous: TypeAlias = Literal["full", "normal"]

BUSY: Final = 5.0
"""How long a transaction waits for a guest that is writing, seconds."""
OLDEST_SQLITE: Final = 3_051_003
"""The first SQLite in which connections of two processes cannot damage a WAL file (3.51.3)."""
_LOCKED_BYTE: Final = 1024
"""Windows locks bytes, and nobody can read a locked one: this one is behind the text."""


class OwnerLock:
    """At most one holder per file, in all processes; the operating system releases it when its holder dies.

    The lock is on a file beside the database, because SQLite's own locks must stay free for guests.
    An orderly release removes that file; one that a dead process left behind is taken over.
    """

    def __init__(self, path: str) -> None:
        file = Path(path).resolve()  # the same file by another name has the same owner
        self._path = file.with_name(file.name + ".owner")
        self._shown = path
        self._fd = -1

    def acquire(self) -> None:
        """Take the lock or raise `StoreInUse`; never waits."""
        while self._fd < 0:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self._take(fd)
            finally:
                if self._fd != fd:
                    os.close(fd)

    def _take(self, fd: int) -> None:
        if not _lock(fd):
            raise self._in_use(_read(fd))
        # Its holder may have removed the file while we were opening it: then this lock is on a file without a name,
        # which would keep nobody out, and the next turn opens the one that has the name now.
        if _is_named(fd, self._path):
            os.ftruncate(fd, 0)
            os.write(fd, b"%d\n" % os.getpid())
            self._fd = fd

    def release(self) -> None:
        """Let go, if it is held."""
        if self._fd >= 0:
            if sys.platform != "win32":  # Windows removes no file that is open
                with suppress(OSError):
                    self._path.unlink()
            os.close(self._fd)
            self._fd = -1

    def _in_use(self, holder: str) -> StoreInUse:
        who = "this process already" if holder == str(os.getpid()) else f"process {holder or '(unknown)'}"
        return StoreInUse(
            f"store {self._shown} is owned by {who}: stop that owner first, or let it do the work "
            "(`terzetto runs`, `show`, `watch`, `decide` and `cancel` work beside it; "
            "in a program: open_store(url, guest=True))"
        )


def _read(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    return os.read(fd, 32).decode("ascii", "replace").strip()


def _is_named(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def _lock(fd: int) -> bool:
    if sys.platform == "win32":
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        os.lseek(fd, 0, os.SEEK_SET)
    else:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def connect(path: str, *, create: bool, synchronous: Synchronous, vfs: str | None) -> apsw.Connection:
    """Open the file, with `create` make or upgrade its tables; a file that is not ours is refused, and not changed."""
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise StoreError(f"SQLite {apsw.sqlite_lib_version()} may damage files that two processes use: update apsw")
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(path, flags, vfs)
    try:
        connection.set_busy_timeout(int(BUSY * 1000))
        is_new = _identify(connection, path)
        if is_new and not create:
            raise StoreMissing(f"store {path} is empty: its owner has not made it yet, or something emptied it")
        _settings(connection, path, synchronous)
        if is_new:
            _create(connection)
        elif create:
            _upgrade(connection)
        elif int(pragma(connection, "user_version")) < SUMS_SINCE:
            _pretend(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def pragma(connection: apsw.Connection, name: str) -> str | int:
    """The value of a pragma."""
    row = connection.execute(f"pragma {name}").fetchone()
    value = None if row is None else row[0]
    assert isinstance(value, str | int)
    return value


def _identify(connection: apsw.Connection, path: str) -> bool:
    # True for an empty file. Nothing is written before it is known that the file is ours to write.
    if pragma(connection, "application_id") == APPLICATION_ID:
        version = pragma(connection, "user_version")
        assert isinstance(version, int)
        if version > VERSION:
            raise StoreTooNew(
                f"{path} was written by a newer Terzetto (schema {version}, this one knows {VERSION}): update Terzetto"
            )
        return False
    tables = connection.execute("select count(*) from sqlite_schema").fetchone()
    if tables != (0,) or pragma(connection, "application_id"):
        raise StoreError(f"{path} is another program's SQLite database; nothing was changed: choose another file")
    return True


def _settings(connection: apsw.Connection, path: str, synchronous: Synchronous) -> None:
    if pragma(connection, "journal_mode=wal") != "wal":
        raise StoreUnavailable(f"{path} cannot be opened in WAL mode: its file system has no shared memory")
    connection.execute(f"pragma synchronous={synchronous}")


@contextmanager
def _whole(connection: apsw.Connection) -> Generator[None]:
    # Where SQLite has rolled back by itself, as when the disk is full, the error that made it do so is what is raised.
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _create(connection: apsw.Connection) -> None:
    # One transaction: a guest, or the next owner after a crash, finds all tables or an empty file.
    with _whole(connection):
        connection.execute(TABLES + BLOBS + PRUNES + SUMS)
        connection.execute(f"pragma application_id={APPLICATION_ID}")
        connection.execute(f"pragma user_version={VERSION}")


def _upgrade(connection: apsw.Connection) -> None:
    # One transaction here too. A guest that looks meanwhile sees the old tables or the new ones.
    version = pragma(connection, "user_version")
    if version == VERSION:
        return
    with _whole(connection):
        for older in range(int(version), VERSION):
            connection.execute(UPGRADES[older])
        connection.execute(f"pragma user_version={VERSION}")


def _pretend(connection: apsw.Connection) -> None:
    # For a guest of a file that its owner has not upgraded: the same questions find rows without checksums.
    for table in SUMMED:
        if connection.execute("select * from main.sqlite_schema where name = ?", (table,)).fetchone():
            connection.execute(f"create temp view {table} as select *, null as crc from main.{table}")  # noqa: S608 - our own words only


def sentence(path: str, what: str, error: Exception) -> StoreError:
    """What to tell a person about an error of SQLite or of the operating system."""
    return _KINDS.get(type(error), StoreUnavailable)(f"store {path}: {what} failed: {error}{_advice(error)}")


def _advice(error: Exception) -> str:
    return next((f" ({advice})" for kinds, advice in _ADVICE if isinstance(error, kinds)), "")


_KINDS: Final[dict[type[Exception], type[StoreError]]] = {apsw.NotADBError: StoreError}

_ADVICE: Final[tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...]] = (
    (apsw.NotADBError, "this is not a SQLite database, and nothing was changed: choose another file"),
    (apsw.FullError, "the disk is full: free some space"),
    ((apsw.BusyError, apsw.LockedError), "another process holds the file locked"),
    ((apsw.CorruptError, *UNREADABLE), "the file is damaged: see what `terzetto doctor` says, and restore a copy"),
    (FileNotFoundError, "make the folder first"),
    (
        (PermissionError, apsw.ReadOnlyError, apsw.PermissionsError, apsw.CantOpenError),
        "the folder and the file must be there, and writable for this user; or too many files are open",
    ),
)
