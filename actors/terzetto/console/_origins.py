"""Where a request to one server may come from: the names of the server, and the pages that may speak to it."""

from collections.abc import Sequence
from typing import Final

from terzetto_protocol.origins import (
    checked_hosts,
    checked_origins,
    host_allowed,
    is_loopback as is_loopback_address,
    origin_allowed,
    own_hosts,
)


def is_loopback(host: str) -> bool:
    """Whether an address, or the name `localhost`, stands for this machine alone."""
    return host == "localhost" or is_loopback_address(host)


class Origins:
    """What is allowed.

    Args:
        host: the address that the server listens at.
        port: its port.
        tls: whether it speaks TLS.
        hosts: names by which it is called besides, such as that of a proxy in front, each with its port if that is
            not the usual one.
        origins: pages that may open a websocket besides its own, as `https://example.com`.
    """

    def __init__(self, host: str, port: int, *, tls: bool, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._scheme: Final = "https" if tls else "http"
        own = own_hosts("127.0.0.1" if is_loopback(host) else host, port, self._scheme)
        self.hosts: Final = own | checked_hosts(hosts)
        """Every name of the server, in small letters, with its port unless that is the usual one."""
        self.origins: Final = checked_origins(origins) | {f"{self._scheme}://{each}" for each in self.hosts}

    def has_host(self, hosts: Sequence[str]) -> bool:
        """Whether a request with these `Host` headers is meant for this server."""
        return host_allowed(hosts, self.hosts, self._scheme)

    def has_origin(self, origins: Sequence[str]) -> bool:
        """Whether a websocket may be opened with these `Origin` headers; programs send none."""
        return origin_allowed(origins, self.origins)
