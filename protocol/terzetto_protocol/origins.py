"""Who a browser may speak for: the hosts and origins that a server of this machine believes.

A page from elsewhere that reaches a server by a name of its own (DNS rebinding) says that name in `Host`, and a page
that asks across origins says its own in `Origin`. Both are compared whole, with scheme and port; nothing is a pattern.
"""

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final

from .errors import InvalidRequest

LOOPBACK_NAMES: Final = ("127.0.0.1", "[::1]", "localhost")
"""What this machine is called from inside, in a URL."""

_HOST: Final = re.compile(r"([a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", re.ASCII)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine only; False for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


def host_of(text: str, scheme: str) -> str | None:
    """A `Host` as it is compared: in small letters, and without the port that its scheme has anyway; None for none."""
    found = _HOST.fullmatch(text.lower())
    if found is None:
        return None
    name, port = found.groups()
    return name if port in (None, _DEFAULT_PORTS.get(scheme)) else f"{name}:{port}"


def origin_of(text: str) -> str | None:
    """An `Origin` as it is compared; None for `null`, and for everything else that is no origin of a page."""
    scheme, _, rest = text.lower().partition("://")
    host = host_of(rest, scheme) if scheme in _DEFAULT_PORTS else None
    return None if host is None else f"{scheme}://{host}"


def own_hosts(address: str, port: int, scheme: str) -> frozenset[str]:
    """What a server that listens at an address may be called without being told: no name that DNS could tell."""
    literal = f"[{address}]" if ":" in address else address
    names = {literal, *(LOOPBACK_NAMES if is_loopback(address) else ())}
    return frozenset(filter(None, (host_of(f"{name}:{port}", scheme) for name in names)))


def checked_hosts(hosts: Iterable[str]) -> frozenset[str]:
    """Hosts that a user allows, as they are compared; raises `InvalidRequest` for what is none, and for a pattern."""
    found = {text: host_of(text, "") for text in hosts}
    for text, host in found.items():
        if host is None:
            raise InvalidRequest(f"{text!r:.80} is no host: say 'runs.example.com' or 'runs.example.com:8443'")
    return frozenset(filter(None, found.values()))


def checked_origins(origins: Iterable[str]) -> frozenset[str]:
    """Origins that a user allows, as they are compared; raises `InvalidRequest` for what is none, and for a pattern."""
    found = {text: origin_of(text) for text in origins}
    for text, origin in found.items():
        if origin is None:
            raise InvalidRequest(f"{text!r:.80} is no origin: say 'https://runs.example.com', with nothing behind it")
    return frozenset(filter(None, found.values()))


def host_allowed(hosts: Collection[str], allowed: Collection[str], scheme: str) -> bool:
    """Whether a request is meant for this server.

    Args:
        hosts: all `Host` headers of the request; exactly one is right.
        allowed: as `own_hosts` and `checked_hosts` make them.
        scheme: `http` or `https`, as the request came.
    """
    return len(hosts) == 1 and host_of(next(iter(hosts)), scheme) in allowed


def origin_allowed(origins: Collection[str], allowed: Collection[str]) -> bool:
    """Whether a page, if it is one that asks, may do so: without an `Origin` it is none.

    Args:
        origins: all `Origin` headers of the request.
        allowed: as `checked_origins` makes them.
    """
    return not origins or (len(origins) == 1 and origin_of(next(iter(origins))) in allowed)
