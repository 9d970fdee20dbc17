"""A copy of the sources in a folder of its own, in which something can be made wrong."""

import compileall
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCES: Final = ("actors", "protocol")
"""Folders that hold the packages."""


class Copy:
    """The sources, in which a file can be another for a while."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        for name in SOURCES:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        # By content, not by time: a file may change twice in a second and keep its size.
        compileall.compile_dir(folder, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)

    @contextmanager
    def changed(self, texts: Mapping[str, str]) -> Iterator[None]:
        """Until the end of the block files have these texts."""
        before = {self.folder / name: (self.folder / name).read_text() for name in texts}
        for name, text in texts.items():
            (self.folder / name).write_text(text)
        try:
            yield
        finally:
            for path, text in before.items():
                path.write_text(text)

    @property
    def paths(self) -> list[str]:
        """What goes before everything else in `sys.path`."""
        return [str(self.folder / name) for name in SOURCES]

    @property
    def environ(self) -> dict[str, str]:
        """What a process is told that is to import the copy, and to leave nothing behind in it or in the project."""
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*self.paths, os.environ.get("PYTHONPATH", "")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": str(self.folder / "hypothesis"),
        }
