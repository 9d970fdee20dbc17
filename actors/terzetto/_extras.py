"""Public names that are loaded when they are first asked for, and a sentence where what they need is not installed."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def loader(
    package: str, homes: Mapping[str, str], names: dict[str, Any], *, extras: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names are in other modules.

    Args:
        package: its name.
        homes: the module of each public name.
        names: its globals, where a name that was loaded stays.
        extras: of libraries that may be missing, by their modules, the extra that brings them.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            module = import_module(homes[name], package)
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            extra = (extras or {}).get(missing)
            if extra is None:
                raise
            text = f"{package}.{name} needs {missing}: pip install 'terzetto[{extra}]'"
            raise ImportError(text, name=missing) from error
        found = names[name] = getattr(module, name)
        return found

    return load
