"""The tables of the documentation say what the code says, and every link in it leads somewhere."""

import builtins
import inspect
import re
import typing

import pytest

import terzetto
import terzetto.checkpointer
import terzetto.stores
import terzetto.testing
from terzetto_protocol import limits
from terzetto_protocol.errors import TerzettoError

from .pages import PAGES, ROOT

DOCS = ROOT / "docs"
REFERENCE = (DOCS / "reference.md").read_text(encoding="utf-8")
SEMANTICS = (DOCS / "semantics.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([\w./-]*)(?:#([\w-]+))?\)")
CITED = re.compile(r"SEMANTICS (\d+(?:\.\d+)?(?:, ?(?:D\d|\d+(?:\.\d+)?))*)")


def section(text, heading):
    """What stands under a heading of the second level."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def rows(text):
    """Cells of all tables in a text, head and rule left out."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names_in(cell):
    return re.findall(r"`(\w+)`", cell)


def leaves_of(error):
    return {error, *(leaf for kind in error.__subclasses__() for leaf in leaves_of(kind))}


def slugs(path):
    """Anchors of a page's headings, as browsers of repositories and sphinx make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    "package", [terzetto, terzetto.stores, terzetto.checkpointer, terzetto.testing], ids=lambda it: it.__name__
)
def test_the_reference_names_everything_public(package):
    shown = {name for name in dir(package) if not name.startswith("_") and name not in {"TYPE_CHECKING", "Any"}}
    public = {name for name in shown if not inspect.ismodule(getattr(package, name))}  # which ones depends on who ran
    named = set(re.findall(r"\w+", REFERENCE))

    assert set() == public - named


def test_every_error_is_listed_with_whose_doing_it_was():
    listed = {names_in(row[0])[0]: row for row in rows(section(REFERENCE, "Errors"))}
    ours = {error.__name__ for error in leaves_of(TerzettoError) if error.__module__ == "terzetto_protocol.errors"}

    assert ours - {"TerzettoError"} == set(listed)
    assert all(len(row) == 3 and row[1] for row in listed.values())


def test_the_bases_that_errors_are_said_to_have_are_theirs():
    for row in rows(section(REFERENCE, "Errors")):
        error, *bases = (getattr(terzetto, name, None) or getattr(builtins, name) for name in names_in(row[0]))

        assert all(issubclass(error, base) for base in bases)


def test_every_event_is_listed_and_said_to_be_durable_if_it_is():
    said = {name: row[-1] for row in rows(section(REFERENCE, "Events")) if len(row) == 3 for name in names_in(row[0])}

    assert {kind.__name__: "yes" if kind.durable else "no" for kind in typing.get_args(terzetto.Event)} == said


def test_every_limit_is_listed_with_its_value():
    said = {names_in(row[0])[0]: float(row[1].replace(",", "")) for row in rows(section(REFERENCE, "Limits"))}

    assert {name: value for name, value in vars(limits).items() if name.isupper()} == said


def test_every_fault_point_is_listed():
    listed = rows(section((DOCS / "how-to.md").read_text(encoding="utf-8"), "Kill-test your graph"))

    assert list(terzetto.testing.points) == [names_in(row[0])[0] for row in listed]


def test_every_place_and_action_of_a_fault_plan_is_listed():
    page = (DOCS / "fault-injection.md").read_text(encoding="utf-8")
    places = {"at", "on_node", "after_node", "on_dispatch", "on_mailbox", "on_store"}
    actions = {row[0].strip("`").split("(")[0] for row in rows(section(page, "What"))}

    assert places == {row[0].strip("`").split("(")[0] for row in rows(section(page, "Where"))}
    assert set(terzetto.testing._places.ACTIONS) == actions


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page

        assert path.exists(), target
        assert not anchor or anchor in slugs(path), f"{target}#{anchor}"


def test_promises_are_numbered_once():
    numbers = re.findall(r"^- \*\*(D\d|\d+\.\d+)\*\* ", SEMANTICS, re.MULTILINE)

    assert len(set(numbers)) == len(numbers)
    assert [f"D{number}" for number in range(1, 9)] == [number for number in numbers if number.startswith("D")]


def test_promises_that_tests_cite_are_there():
    """CONTRIBUTING, 18: a test names the promise that it proves."""
    numbers = set(re.findall(r"^- \*\*(D\d|\d+\.\d+)\*\* |^## (\d+) ", SEMANTICS, re.MULTILINE))
    known = {number for pair in numbers for number in pair if number}
    cited = {
        number
        for path in sorted((ROOT / "tests").glob("**/*.py"))
        for cite in CITED.findall(path.read_text(encoding="utf-8"))
        for number in re.split(", ?", cite)
    }

    assert set() == cited - known


def test_docs_name_no_place_of_the_machine_that_they_were_written_on():
    for page in PAGES:
        assert not re.search(r"/(work|home|root|tmp|Users)/", page.read_text(encoding="utf-8")), page.name
