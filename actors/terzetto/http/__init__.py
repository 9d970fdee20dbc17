"""HTTP for those who want it: runs are executed, stopped, listed, decided and followed, on the same Trio loop.

`serve` opens one port in your own nursery; `app` is the same as an ASGI app of Starlette, for a server of your own.
It takes `pip install 'terzetto[http]'`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from terzetto_protocol.tokens import Token as Token

    from ._app import app as app
    from ._limits import HttpLimits as HttpLimits
    from ._serving import serve as serve

__all__ = ["HttpLimits", "Token", "app", "serve"]

_HOMES: Final = {
    "HttpLimits": "._limits",
    "Token": "terzetto_protocol.tokens",
    "app": "._app",
    "serve": "._serving",
}
_EXTRAS: Final = frozenset({"hypercorn", "starlette"})


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name], __name__)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        raise ImportError(f"terzetto.http needs {missing}: pip install 'terzetto[http]'", name=missing) from error
    found = globals()[name] = getattr(module, name)
    return found


def __dir__() -> list[str]:
    return __all__
