"""What earlier runs saw, so that one that was stopped goes on where it was, and modules can be run one by one."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from ..copies import ROOT
from .mutants import Mutant
from .trials import Trial


class Noticed:
    """Mutants that were noticed, a line for each, in a file that only grows.

    A line holds while the mutated module, and the test file that noticed, are what they were. What survived is never
    kept: a test that was written since may notice.
    """

    def __init__(self, file: Path) -> None:
        self._file: Final = file
        self._lines: Final[dict[str, dict[str, Any]]] = {}
        if file.exists():
            for line in file.read_text().splitlines():
                read = json.loads(line)
                self._lines[read["mutant"]] = read

    def find(self, path: str, mutant: Mutant) -> Trial | None:
        """How it was noticed; None when it was not, or when something has changed since."""
        line = self._lines.get(mutant.key)
        if line is None or line["texts"] != _texts(path, line["test"]):
            return None
        return Trial(line["outcome"], line["test"])

    def keep(self, path: str, mutant: Mutant, trial: Trial) -> None:
        """Remember it, if it was noticed."""
        if trial.outcome == "passed":
            return
        texts = _texts(path, trial.test)
        line = {"mutant": mutant.key, "texts": texts, "outcome": trial.outcome, "test": trial.test}
        self._lines[mutant.key] = line
        self._file.parent.mkdir(exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _texts(path: str, test: str) -> str:
    """A digest of the module, and of the file that the test is in, if one is known."""
    files = [ROOT / path, *([ROOT / test.partition("::")[0]] if test else [])]
    return hashlib.sha256(b"/".join(file.read_bytes() if file.exists() else b"" for file in files)).hexdigest()
