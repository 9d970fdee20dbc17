"""Snapshots as they stand in a file: the large ones are pressed, which says the same in fewer bytes.

A state that grows is written whole with every snapshot, and is mostly words. It is pressed and read back on the
threads of the store, never on the loop's.
"""

import zlib
from typing import Final

PRESSED_FROM: Final = 4096
"""Bytes of a snapshot from which on it is pressed: less fits beside others on a page anyway."""

_LEVEL: Final = 1  # a third of the time that the usual level takes, for a tenth more bytes
_MARK: Final = b"x"
"""What zlib begins with, and a snapshot of a run never does: it is a msgpack array."""


def press(data: bytes) -> bytes:
    """What is stored for these bytes: themselves, or fewer that say the same."""
    is_marked = data.startswith(_MARK)
    if len(data) < PRESSED_FROM and not is_marked:
        return data
    pressed = zlib.compress(data, _LEVEL)
    return pressed if is_marked or len(pressed) < len(data) else data


def unpress(stored: bytes) -> bytes:
    """The bytes for which these were stored; raises `zlib.error` for what was never stored so."""
    return zlib.decompress(stored) if stored.startswith(_MARK) else stored
