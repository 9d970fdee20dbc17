"""The options of the command line are those that its page tells of."""

import re

import pytest

from terzetto._cli._parser import COMMANDS, parse

from .pages import ROOT

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
EVERYWHERE = {"--json", "--plain", "--help"}
"""Options that all commands have, and that the page tells of once."""


def options(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def test_every_command_has_its_section_and_its_row():
    rows = re.findall(r"^\| `(\w+)[^`]*` \|", PAGE, re.MULTILINE)

    assert list(COMMANDS) == rows == re.findall(r"^## (\w+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_documented_options_are_those_of_the_program(command, capsys):
    with pytest.raises(SystemExit):
        parse([command, "--help"])
    usage = capsys.readouterr().out.partition("\n\n")[0]
    shown = re.search(rf"```sh\nterzetto {command}(.*?)```", PAGE, re.DOTALL)

    assert shown
    assert options(usage) - EVERYWHERE == options(shown[1]) - EVERYWHERE
