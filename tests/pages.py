"""What the documentation shows: its programs, its commands and their output, as the tests run them.

Conventions, in README.md and docs/*.md alike:

- Every ```python block is a whole program, run in the order of the page in one folder per page.
- `<!-- file: NAME -->` above a block gives the program a name, so that later ones may import or start it;
  `<!-- file: NAME, run below -->` leaves the running to a command further down.
- A ```py block, with a name, is a file for another library: it is written beside the programs, which may import or
  start it, and is neither run by itself nor checked for types.
- `<!-- raises: NAME -->` above a block: it ends with this error.
- A ```text block that follows a program is exactly what it prints.
- Lines of a ```console block that begin with `$ ` are commands, each followed by what it prints (nothing: not
  compared). `Killed` says that it dies of SIGKILL, `^C` that it is interrupted there.
"""

import re
from pathlib import Path

from attrs import Factory, define, frozen

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- (file|raises): (.+?) -->\n\n?\Z")
_BELOW = ", run below"


@frozen
class Command:
    """A command and what is shown of its output."""

    line: str
    output: tuple[str, ...]


@define
class Block:
    """A fenced block, with what the page says about it."""

    language: str
    text: str
    line: int
    raises: str = ""
    name: str = ""
    run_below: bool = False
    prints: str | None = None
    commands: list[Command] = Factory(list)

    @property
    def file(self) -> str:
        return self.name or f"line_{self.line}.py"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    blocks, end = [], 0
    for fence in _FENCE.finditer(text):
        block = Block(fence[1], fence[2], text.count("\n", 0, fence.start()) + 1)
        between, end = text[end : fence.start()], fence.end()
        if block.language == "text" and blocks and blocks[-1].language == "python" and not between.strip():
            blocks[-1].prints = block.text
        if mark := _MARK.search(between):
            _mark(block, mark[1], mark[2])
        if block.language == "console":
            block.commands = list(_commands(block.text))
        blocks.append(block)
    return blocks


def _mark(block: Block, kind: str, value: str) -> None:
    if kind == "raises":
        block.raises = value
    else:
        block.name, block.run_below = value.removesuffix(_BELOW), value.endswith(_BELOW)


def _commands(text: str):
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, *output = part.splitlines()
        yield Command(line, tuple(output))
