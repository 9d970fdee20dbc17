"""Where a request may come from: the names of the server, and the pages that may speak to it.

A page of another site that has its own name lead to this machine (DNS rebinding) sends that name as the host, and a
page that opens a websocket sends its origin: both are compared whole, never by a part of them.
"""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final

from terzetto_protocol.errors import InvalidRequest

_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?")
_ORIGIN: Final = re.compile(r"(https?)://(.+)")


def is_loopback(host: str) -> bool:
    """Whether an address, or the name `localhost`, stands for this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
        scheme = "https" if tls else "http"
        own = [*_LOOPBACK] if is_loopback(host) else [f"[{host}]" if ":" in host else host]
        named = [_checked_host(each, scheme) for each in hosts]
        self.hosts: Final = frozenset([*(_normal(f"{each}:{port}", scheme) for each in own), *named])
        """Every name of the server, in small letters, with its port unless that is the usual one."""
        self._scheme: Final = scheme
        self.origins: Final = frozenset(
            [*(f"{scheme}://{each}" for each in self.hosts), *(_checked_origin(each) for each in origins)]
        )

    def has_host(self, hosts: Sequence[str]) -> bool:
        """Whether a request with these `Host` headers is meant for this server."""
        return len(hosts) == 1 and _normal(hosts[0], self._scheme) in self.hosts

    def has_origin(self, origins: Sequence[str]) -> bool:
        """Whether a websocket may be opened with these `Origin` headers; programs send none."""
        return not origins or (len(origins) == 1 and _normal_origin(origins[0]) in self.origins)


def _normal(host: str, scheme: str) -> str:
    """In small letters and without the usual port; empty for what is no host."""
    match = _HOST.fullmatch(host)
    if match is None:
        return ""
    usual = {"http": "80", "https": "443"}[scheme]
    name, port = match[1].lower(), match[2]
    return name if port in (None, usual) else f"{name}:{port}"


def _normal_origin(origin: str) -> str:
    match = _ORIGIN.fullmatch(origin)
    if match is None:
        return ""
    host = _normal(match[2], match[1])
    return f"{match[1]}://{host}" if host else ""


def _checked_host(host: str, scheme: str) -> str:
    if found := _normal(host, scheme):
        return found
    raise InvalidRequest(f"hosts= has {host!r}: say a name, with its port if that is not the usual one")


def _checked_origin(origin: str) -> str:
    if found := _normal_origin(origin):
        return found
    raise InvalidRequest(f"origins= has {origin!r}: say it as browsers do, such as 'https://example.com'")
