"""HTTP for those who want it: runs are executed, stopped, listed, decided and followed, on the same Trio loop.

`serve` opens one port in your own nursery; `app` is the same as an ASGI app of Starlette, for a server of your own.
It takes `pip install 'terzetto[http]'`.
"""

from typing import TYPE_CHECKING, Final

from .._extras import loader

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

__getattr__ = loader(__name__, _HOMES, globals(), extras=dict.fromkeys(("hypercorn", "starlette"), "http"))


def __dir__() -> list[str]:
    return __all__
