"""What a visit of a dataflow has sent, as its run remembers it: a digest of each value."""

import hashlib
from typing import Final

DIGEST_BYTES: Final = 16
"""Bytes of what a visit remembers of each value that it has sent."""


def digest_of(output: str, value: bytes) -> bytes:
    """What tells a value that was sent from every other."""
    return hashlib.blake2b(b"%b\0%b" % (output.encode(), value), digest_size=DIGEST_BYTES).digest()


def sent_before(digests: bytes | bytearray, number: int) -> bytes | None:
    """The digest of what was sent as this number, if it was."""
    first = number * DIGEST_BYTES
    return bytes(digests[first : first + DIGEST_BYTES]) or None
