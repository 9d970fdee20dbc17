"""What the page is made of: plain files, libraries as they were published, nothing from anywhere else."""

import hashlib
import json
import re
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

import terzetto.console

PAGE = Path(str(files(terzetto.console))) / "page"
VENDOR = PAGE / "vendor"
OURS = sorted(path for path in PAGE.iterdir() if path.suffix in (".js", ".css", ".html"))
LIBRARIES = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))
ROOT = Path(__file__).resolve().parent.parent


def digest(name):
    return hashlib.sha256((VENDOR / name).read_bytes()).hexdigest()


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library["file"])
def test_libraries_are_what_was_published(library):
    """With their licences, their versions and where they are from."""
    assert library["sha256"] == digest(library["file"])
    assert library["version"] in library["package"]
    assert library["source"].startswith("https://")
    for licence in library["licences"]:
        assert licence["sha256"] == digest(licence["file"])
        assert licence["licence"] in ("MIT", "Apache-2.0")


def test_no_library_is_forgotten():
    named = {each["file"] for each in LIBRARIES} | {
        licence["file"] for each in LIBRARIES for licence in each["licences"]
    }

    assert {path.name for path in VENDOR.iterdir()} == {*named, "vendor.json"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_and_no_policy_is_needed(path):
    """No address of another host, no script and no style inside a tag, nothing made of a text at run time."""
    text = path.read_text(encoding="utf-8")

    assert [] == re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)
    assert [] == re.findall(
        r"\beval\(|new Function|innerHTML|dangerouslySetInnerHTML|document\.write|cssText|insertRule", text
    )
    assert [] == re.findall(r"\sstyle=[\"'](?!\$)|\son[a-z]+=[\"']|<style|<script(?![^>]*\bsrc=)", text)


@pytest.mark.parametrize("path", [path for path in OURS if path.suffix == ".js"], ids=lambda path: path.name)
def test_every_module_is_one_noun_of_moderate_length(path):
    text = path.read_text(encoding="utf-8")
    imported = re.findall(r"""from "\./([\w/.-]+)";|import\("\./([\w/.-]+)"\)""", text)

    assert text.startswith("// "), "it says what it is for"
    assert len(text.splitlines()) <= 360
    assert [] == [name for pair in imported for name in pair if name and not (PAGE / name).is_file()]


def test_every_style_of_a_status_has_a_sign_and_a_word():
    signs = (PAGE / "sign.js").read_text(encoding="utf-8")
    from terzetto_protocol.statuses import RunStatus, VisitStatus

    for status in [*RunStatus, *VisitStatus]:
        assert f"  {status}: " in signs


@pytest.mark.slow
def test_the_wheel_has_the_page(tmp_path):
    """Whoever installs the library has the whole page."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "/console/page/" in name}

    assert packed == {f"terzetto/console/page/{path.relative_to(PAGE)}" for path in PAGE.rglob("*") if path.is_file()}
