"""What a client of the HTTP server may do, how often, and how slowly."""

from attrs import asdict, frozen

from terzetto_protocol.errors import InvalidRequest
from terzetto_protocol.limits import (
    HEARTBEAT,
    HTTP_BODY,
    HTTP_BURST,
    HTTP_IDLE,
    HTTP_RATE,
    HTTP_STOP,
    SERVER_ADDRESS,
    SERVER_CONNECTIONS,
    SERVER_SLOW,
)


@frozen(kw_only=True)
class HttpLimits:
    """Limits of a server, each with its default; raises `InvalidRequest` for one that is not above 0."""

    rate: float = HTTP_RATE
    """Requests a second from one address, once its burst is used up."""
    burst: int = HTTP_BURST
    """Requests at once from one address."""
    connections: int = SERVER_CONNECTIONS
    """Connections at once."""
    address: int = SERVER_ADDRESS
    """Connections at once from one address."""
    idle: float = HTTP_IDLE
    """Seconds in which the head of a request has to come."""
    body: float = HTTP_BODY
    """Seconds in which its body has to come."""
    slow: float = SERVER_SLOW
    """Seconds in which a client has to take one piece of an answer."""
    stop: float = HTTP_STOP
    """Seconds for which a `stop` waits for the end of its run."""
    heartbeat: float = HEARTBEAT
    """Seconds of silence after which a stream of events has a comment."""

    def __attrs_post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, int | float) or not value > 0:
                raise InvalidRequest(f"{name}={value!r:.80} is no limit of an HTTP server: it has to be above 0")
