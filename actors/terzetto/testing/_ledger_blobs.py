"""Blobs as the second book of a simulation has them: which run keeps which, and which have been swept."""

from collections.abc import Callable, Iterable
from typing import Final


class BlobBook:
    """Who keeps which blob, read from commits and calls alone.

    Args:
        check: `check(run_id, fine, promise)` complains unless it is fine.
    """

    def __init__(self, check: Callable[[str, object, str], None]) -> None:
        self.kept: Final[dict[str, set[str]]] = {}
        """Blobs that runs keep, by the run."""
        self._check: Final = check

    def named(self, run_id: str, digests: Iterable[str]) -> None:
        """4.7: a run keeps blobs from now on. Not a checkpoint."""
        self.kept.setdefault(run_id, set()).update(digests)

    def deleted(self, run_id: str) -> None:
        """4.7: a run has gone, and keeps nothing any more. Not a checkpoint."""
        self.kept.pop(run_id, None)

    def swept(self, digests: Iterable[str]) -> None:
        """4.7: blobs have gone. Not a checkpoint."""
        for digest in digests:
            for run_id in [run_id for run_id, kept in self.kept.items() if digest in kept]:
                self._check(run_id, None, f"{digest} was swept, and it keeps it")
