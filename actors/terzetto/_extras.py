"""Public names that are loaded when they are first asked for, and what to install where their library is missing."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loader(package: str, homes: Mapping[str, str], names: dict[str, Any]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names are in other modules.

    Args:
        package: its name.
        homes: the module of each public name.
        names: its globals, where a name that was loaded stays.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = names[name] = getattr(import_module(homes[name], package), name)
        return found

    return load


def missing(package: str, extra: str, error: ModuleNotFoundError) -> ImportError:
    """What to raise for a library of an extra that is not there; the very error, where it is about something else."""
    library = (error.name or "").partition(".")[0]
    if library != extra:
        return error
    return ImportError(f"{package} needs {library}: pip install 'terzetto[{extra}]'", name=library)
