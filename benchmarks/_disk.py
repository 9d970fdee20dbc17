"""How long the disk takes to keep a page, without which no figure of a durable store means anything."""

import os
from statistics import median
from tempfile import NamedTemporaryFile
from time import perf_counter

_PAGE = bytes(4096)


def sync_milliseconds(folder: str | None, tries: int = 20) -> float:
    """Median time of one `fdatasync` of a page in this folder."""
    with NamedTemporaryFile(dir=folder, buffering=0) as file:
        return median(_sync(file.fileno()) for _ in range(tries)) * 1e3


def _sync(fd: int) -> float:
    os.write(fd, _PAGE)
    began = perf_counter()
    os.fdatasync(fd)
    return perf_counter() - began
