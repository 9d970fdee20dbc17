"""The console: runs are watched and steered over a websocket, from a page, a program or a command line.

`serve` opens one port in your own nursery; `connect` is a client that comes back by itself.
"""

from terzetto_protocol.tokens import Token

from ._client import Console, connect
from ._server import Serving, serve
from ._watch import Follow, Watch

__all__ = ["Console", "Follow", "Serving", "Token", "Watch", "connect", "serve"]
