"""Which modules are mutated, and which test files are there to notice."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from ..copies import ROOT

_MACHINE: Final = (
    "machine", "stage", "saving", "everyday", "visits", "forks", "joins", "failures", "ahead", "steering", "fold",
    "standing", "branching", "packing", "leaving", "waits", "open_barriers", "openings", "verdict", "decisions",
)  # fmt: skip
_RUNS: Final = (
    "test_machine_*.py", "test_merging.py", "test_joining*.py", "test_promises.py", "test_runtime_barriers.py",
    "test_runtime_recovery.py", "test_runtime_pause.py", "test_runtime_decisions.py", "test_checkpoints.py",
    "test_runtime_checkpoints.py", "test_runtime_history.py", "test_travel.py", "test_runtime_durability.py",
    "test_runtime_migrations*.py", "test_inline*.py", "test_supervisor.py", "test_runtime_retries.py",
    "test_runtime_questions.py", "test_upcasting_laws.py", "test_thread_histories.py", "test_runtime_calls.py",
    "test_runtime_cancel.py",
)  # fmt: skip


@frozen
class Target:
    """Modules, by their files, and patterns of the test files in which their mutants should be killed."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> list[str]:
        """The test files, from the root of the project."""
        found = [sorted((ROOT / "tests").glob(pattern)) for pattern in self.tests]
        return list(dict.fromkeys(str(path.relative_to(ROOT)) for paths in found for path in paths))


def _protocol(*names: str) -> tuple[str, ...]:
    return tuple(f"protocol/terzetto_protocol/{name}.py" for name in names)


TARGETS: Final[Sequence[Target]] = (
    Target(_protocol(*_MACHINE), ("test_open_barriers.py", *_RUNS)),
    Target(_protocol("answered"), ("test_answered.py",)),
    Target(
        (*_protocol("event_log", "event_reader"), "actors/terzetto/_hub.py"),
        (
            "test_event_log.py",
            "test_event_reader.py",
            "test_hub*.py",
            "test_subscription.py",
            "test_sinks.py",
            "test_forgetting_events.py",
            "test_forgetting_runs.py",
            "test_neighbours.py",
            "test_runtime_bridge.py",
        ),
    ),
    Target(
        _protocol("bridge", "bridged", "foreign_stream", "foreign_reader"),
        ("test_bridge.py", "test_bridged.py", "test_foreign_*.py", "test_memory_bridge.py", "test_runtime_bridge.py"),
    ),
    Target(_protocol("retry", "backoff"), ("test_retry.py", "test_backoff.py", "test_runtime_retries.py")),
    Target(_protocol("statuses"), ("test_statuses.py",)),
    Target(_protocol("codec"), ("test_codec.py", "test_codec_round_trips.py", "test_wrong_values.py")),
)


def module_name(path: str) -> str:
    """How a module is called in lists: the last part of its path."""
    return Path(path).stem
