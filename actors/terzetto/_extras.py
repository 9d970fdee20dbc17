"""Public names that are loaded when they are first asked for."""

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
