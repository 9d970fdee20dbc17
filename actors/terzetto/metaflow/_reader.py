"""The process that reads artifacts: `python _reader.py FLOW RUN NAME...` prints them as JSON.

Metaflow pickles artifacts. They are unpickled here, by its Client API, and never in the program that asked: what comes
over is JSON. It is run as a file and imports nothing of Terzetto.
"""

import dataclasses
import json
import sys
from datetime import date, time
from typing import Any, cast


def main() -> None:
    """Print what is known of a run."""
    from importlib import import_module

    metaflow: Any = import_module("metaflow")  # it declares few types
    flow, run_id, *names = sys.argv[1:]
    metaflow.namespace(None)
    run: Any = _found(metaflow, f"{flow}/{run_id}")
    told: dict[str, Any] = {
        "successful": run is not None and bool(run.successful),
        "resumable": run is not None and _has_begun(metaflow, f"{flow}/{run_id}/_parameters"),
        "artifacts": {},
        "errors": {},
    }
    for name in names if told["successful"] else ():
        try:
            told["artifacts"][name] = _artifact(run, name)
        except Exception as error:  # noqa: BLE001 - unpickling runs anybody's code
            told["errors"][name] = f"{type(error).__name__}: {error}"
    sys.stdout.write(f"\n{json.dumps(told)}\n")


def _artifact(run: Any, name: str) -> Any:
    return json.loads(json.dumps(getattr(run.data, name), default=_plain, allow_nan=False))


def _found(metaflow: Any, path: str) -> Any:
    try:
        return metaflow.Run(path)
    except metaflow.exception.MetaflowNotFound:
        return None


def _has_begun(metaflow: Any, path: str) -> bool:
    """Whether Metaflow has stored with which parameters it began; before that there is nothing to resume."""
    try:
        return metaflow.Step(path).task is not None
    except metaflow.exception.MetaflowNotFound:
        return False


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(cast("set[Any]", value))
    raise TypeError(f"a {type(value).__name__} is no JSON")


if __name__ == "__main__":
    main()
