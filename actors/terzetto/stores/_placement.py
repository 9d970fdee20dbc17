"""Whether a run is found by what it says: what stands beside its header and its log, compared with them.

Checksums are over a header and over a commit. What a store finds runs by is said once more, in columns or in lists, and
no checksum is over those: a run under another key would be submitted twice, one on another thread would never be found.
"""

from collections.abc import Mapping

from terzetto_protocol.records import RunHeader, RunRow
from terzetto_protocol.statuses import TERMINAL

from ._contract import TIMED
from ._schema import Value


def misplaced(header: RunHeader, wrote: int, found: Mapping[str, Value], *, submitted: str = "at") -> str:
    """Why a run's row is not what its header and its last commit say; empty where it is.

    Args:
        header: what the run said when it was submitted.
        wrote: the epoch of its last commit.
        found: what its row says, by column: some of `at`, `key`, `thread`, `line` and `epoch`.
        submitted: what the column of `at` is called.
    """
    said: dict[str, Value] = {submitted: header.at, "key": header.key, "thread": header.thread, "line": header.line}
    said["epoch"] = wrote
    return _differing(found, {name: said[name] for name in found})


def listed_wrongly(row: RunRow, found: Mapping[str, Value]) -> str:
    """Why the lists of a store are not what a run's row says; empty where they are.

    Args:
        row: the run.
        found: what they have for it, None where it is not in one: `runs`, `status`, `timers`, `keys`, `on` and `line`.
    """
    header, has_thread = row.header, bool(row.header.thread)
    said: dict[str, Value] = {
        "runs": header.at,
        "status": header.at,
        "timers": row.timer if row.status in TIMED else None,
        "keys": row.run_id if header.key else None,
        "on": header.at if has_thread else None,
        "line": header.line if has_thread and row.status not in TERMINAL else None,
    }
    return _differing(found, said)


def _differing(found: Mapping[str, Value], said: Mapping[str, Value]) -> str:
    wrong = [f"{name} {found[name]!r} instead of {said[name]!r}" for name in said if found[name] != said[name]]
    return f"it has {', '.join(wrong)}" if wrong else ""
