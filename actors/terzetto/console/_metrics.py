"""The numbers of a runtime and of its console as Prometheus reads them (text format 0.0.4)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_NAME: Final = re.compile(r"[^a-zA-Z0-9_]+")
_COUNTERS: Final = frozenset(
    {
        "bytes",
        "commits",
        "dropped",
        "ended",
        "failures",
        "gaps",
        "published",
        "refused",
        "restarts",
        "transactions",
    }
)
"""Names of numbers that only grow."""


def metrics(numbers: Mapping[str, Any]) -> bytes:
    """Every number as `terzetto_ACTOR_NAME`; lists are told by how many are in them, and sinks by their class."""
    lines: list[str] = []
    for name, value in _leaves("terzetto", numbers):
        kind = "counter" if name.rpartition("_")[2] in _COUNTERS else "gauge"
        told = f"{name}_total" if kind == "counter" else name
        lines += [f"# TYPE {told} {kind}", f"{told} {value:g}" if isinstance(value, float) else f"{told} {value}"]
    lines += _sinks(numbers.get("sinks", ()))
    return "".join(f"{line}\n" for line in lines).encode()


def _leaves(prefix: str, numbers: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    for key, value in numbers.items():
        name = f"{prefix}_{_NAME.sub('_', key)}"
        if isinstance(value, bool):
            yield name, int(value)
        elif isinstance(value, int | float):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _leaves(name, cast("Mapping[str, Any]", value))
        elif isinstance(value, list) and key != "sinks":
            yield name, len(cast("list[object]", value))


def _sinks(sinks: Any) -> list[str]:
    """What became of the calls of each class of sinks."""
    told: dict[str, list[str]] = {}
    for sink in cast("list[dict[str, Any]]", sinks):
        label = next((value for value in sink.values() if isinstance(value, str)), "")
        for key, value in sink.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                told.setdefault(f"terzetto_sink_{key}", []).append(f'{{sink="{_escaped(label)}"}} {value}')
    return [line for name, rows in told.items() for line in (f"# TYPE {name} gauge", *(name + row for row in rows))]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
