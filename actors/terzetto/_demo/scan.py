"""One Python file in, one row out, whatever is in the file; and the summary that rows fold into."""

import ast
import io
import os
import re
import stat
import threading
import tokenize
import warnings
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Final

import msgspec

from .measure import measure

__all__ = ["MAX_BYTES", "FileRow", "Summary", "add", "python_files", "resolve", "scan_file", "summarise"]

MAX_BYTES: Final = 5 * 1024 * 1024
"""A file above this many bytes is not read: its row says so."""

_MAX_REASON: Final = 200
"""Characters of the interpreter's own words that a row keeps."""

# Opening a pipe nobody writes to would wait for ever; this flag makes it return, and means nothing to a plain file.
_OPEN_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# Warning filters belong to the process: two threads that silence them at once could leave them silenced.
_parsing: Final = threading.Lock()


class FileRow(msgspec.Struct, frozen=True):
    """What the audit says about one file. Every string in it can be stored as UTF-8."""

    path: str
    """Relative to the root, with forward slashes, escaped as ``python_files`` does."""
    lines: int = 0
    functions: int = 0
    longest_function: str = ""
    """Qualified (``Class.method``); empty without functions."""
    longest_lines: int = 0
    nesting: int = 0
    """The deepest nesting of control blocks in any function or in the module itself."""
    missing_docstrings: int = 0
    """Public modules, classes, functions and methods without one."""
    problem: str = ""
    """Empty, or ``unreadable: ...``, ``unparsable: ...``, ``too large: ...``; figures that it hides are zero."""


class LongestFunction(msgspec.Struct, frozen=True):
    """Where the longest function is."""

    path: str = ""
    name: str = ""
    lines: int = 0


class DeepestNesting(msgspec.Struct, frozen=True):
    """Where control blocks are nested deepest."""

    path: str = ""
    nesting: int = 0


class LargestFile(msgspec.Struct, frozen=True):
    """Which file has most lines."""

    path: str = ""
    lines: int = 0


class Summary(msgspec.Struct, frozen=True):
    """The figures over all rows so far; ``Summary()`` is the one over none."""

    files: int = 0
    lines: int = 0
    functions: int = 0
    missing_docstrings: int = 0
    problems: int = 0
    """Files whose row tells of a problem."""
    longest: LongestFunction = LongestFunction()
    deepest: DeepestNesting = DeepestNesting()
    largest: LargestFile = LargestFile()


def add(summary: Summary, row: FileRow) -> Summary:
    """The summary with one more file in it; the order in which files are added makes no difference."""
    # Of equal figures the first path wins. A figure of zero never does: what ``Summary()`` holds has no path at all.
    longest = LongestFunction(row.path, row.longest_function, row.longest_lines)
    deepest = DeepestNesting(row.path, row.nesting)
    largest = LargestFile(row.path, row.lines)
    return Summary(
        files=summary.files + 1,
        lines=summary.lines + row.lines,
        functions=summary.functions + row.functions,
        missing_docstrings=summary.missing_docstrings + row.missing_docstrings,
        problems=summary.problems + bool(row.problem),
        longest=min(summary.longest, longest, key=lambda each: (-each.lines, each.path)),
        deepest=min(summary.deepest, deepest, key=lambda each: (-each.nesting, each.path)),
        largest=min(summary.largest, largest, key=lambda each: (-each.lines, each.path)),
    )


def summarise(rows: Iterable[FileRow]) -> Summary:
    """The summary over these rows, which is what adding them one by one comes to."""
    return reduce(add, rows, Summary())


def python_files(root: Path) -> list[str]:
    """Every ``*.py`` below the root, sorted, the same list each time for the same tree.

    Names are relative, with forward slashes. What UTF-8 cannot say is escaped with a backslash (and a backslash is
    doubled), so a name can be stored and ``resolve`` finds its file again. Hidden folders, ``__pycache__``, links to
    folders and folders that cannot be listed are left out.

    Raises:
        OSError: the root itself cannot be listed.
    """
    found: list[str] = []
    pending = [("", _entries(root))]
    while pending:
        prefix, entries = pending.pop()
        for name, is_folder in entries:
            if is_folder and not name.startswith(".") and name != "__pycache__":
                pending.append((f"{prefix}{name}/", _entries_if_listable(root / prefix / name)))
            elif not is_folder and name.endswith(".py"):
                found.append(_escape(prefix + name))
    return sorted(found)


def _entries(folder: Path) -> list[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        # A link to a folder is no folder here: that is what keeps a loop of links from being walked.
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]


def _entries_if_listable(folder: Path) -> list[tuple[str, bool]]:
    try:
        return _entries(folder)
    except OSError:
        return []


def resolve(root: Path, name: str) -> Path:
    """The file that ``python_files`` gave this name to."""
    return root / re.sub(r"\\(?:\\|u(d[89a-f][0-9a-f]{2}))", _unescape, name)


def _unescape(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else "\\"


def _escape(name: str) -> str:
    return _storable(name.replace("\\", "\\\\"))


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def scan_file(root: Path, name: str) -> FileRow:
    """The row of one file; no content, and no state of the file system, makes it raise.

    It never waits on a pipe or a device, reads at most ``MAX_BYTES`` and may be called from several threads.
    It is a plain function: it blocks for as long as reading and parsing take.
    """
    path = _storable(name)
    try:
        source = _read(resolve(root, name))
    except (OSError, ValueError) as error:
        return FileRow(path, problem=f"unreadable: {_reason(error)}")
    if len(source) > MAX_BYTES:
        return FileRow(path, problem=f"too large: more than {MAX_BYTES / 1024**2:g} MiB")
    return _scan_source(path, source)


def _read(path: Path) -> bytes:
    """At most one byte more than ``MAX_BYTES``, which is enough to know that it is too much."""
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _scan_source(path: str, source: bytes) -> FileRow:
    lines = _count_lines(source)
    try:
        shape = measure(_parse(source), public=_is_public(path))
    # A codec that the file names may raise anything, and so may a parser at the end of its stack.
    except Exception as error:  # noqa: BLE001
        return FileRow(path, lines, problem=f"unparsable: {_reason(error)}")
    return FileRow(path, lines, **msgspec.structs.asdict(shape))


def _is_public(path: str) -> bool:
    stem = path.rpartition("/")[2].removesuffix(".py")
    return not stem.startswith("_") or stem in {"__init__", "__main__"}


def _count_lines(source: bytes) -> int:
    breaks = source.count(b"\n") + source.count(b"\r") - source.count(b"\r\n")
    return breaks + (bool(source) and not source.endswith((b"\n", b"\r")))


def _parse(source: bytes) -> ast.Module:
    with _parsing, warnings.catch_warnings(action="ignore"):
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
        if (null := text.find("\0")) >= 0:
            # Said here because each Python says it in other words, or of another class.
            raise SyntaxError("null byte", ("", text.count("\n", 0, null) + 1, None, None))
        return ast.parse(text)


def _reason(error: Exception) -> str:
    """The error in one short line that holds no address, no path and nothing that UTF-8 cannot say."""
    match error:
        case SyntaxError(msg=message, lineno=int(line)):
            text = f"line {line}: {message}"
        case UnicodeDecodeError(object=source, start=start, encoding=encoding, reason=reason):
            # Sliced, never indexed: some codecs report a place behind the end of what they were given.
            text = f"line {_count_lines(source[:start] + b'.')}: not {encoding} ({reason})"
        case RecursionError() | MemoryError():
            text = "nested too deeply"
        case _:
            text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _storable(" ".join(text.split()))[:_MAX_REASON]
