"""The report of an audit: the same bytes for the same rows, on disk either whole or not at all."""

import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from .scan import FileRow, Summary

__all__ = ["HTML_NAME", "JSON_NAME", "report_html", "report_is_complete", "report_json", "write_report"]

HTML_NAME: Final = "audit.html"
JSON_NAME: Final = "audit.json"

_BARS: Final = 20
"""Bars in a chart."""

_LISTED_PROBLEMS: Final = 10
"""Problems that are spelled out above the table; all of them are in it."""

_ROW_HEIGHT: Final = 29
_BAR_HEIGHT: Final = 25


class _Report(msgspec.Struct, frozen=True):
    files: list[FileRow]
    summary: Summary


class _Bar(NamedTuple):
    path: str
    name: str
    where: str
    lines: int


def report_json(rows: Sequence[FileRow], summary: Summary) -> bytes:
    """The whole audit as JSON: equal bytes for equal rows, in whatever order they come.

    It holds no time, no machine and no absolute path.
    """
    report = _Report(_by_path(rows), summary)
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def report_html(title: str, rows: Sequence[FileRow], summary: Summary) -> str:
    """The audit as one page that loads nothing: equal text for an equal title and equal rows."""
    ordered = _by_path(rows)
    parts = {
        # The name of a folder need not be UTF-8, and this page is.
        "title": escape(title.encode("utf-8", "backslashreplace").decode()),
        "lead": _lead(summary),
        "cards": _cards(summary),
        "problems": _problems([row for row in ordered if row.problem]),
        "charts": _charts(ordered),
        "data": _data(ordered),
    }
    # One pass, so that what a file name puts in is never taken for a place to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _template())


def write_report(out: Path, title: str, rows: Sequence[FileRow], summary: Summary) -> None:
    """Both files are on disk when this returns, the JSON last: where it is whole, so is the page.

    Each appears whole or not at all, also after a power cut. A call that was killed is made good by the next one,
    which leaves nothing of it behind. One writer at a time in a folder.

    Raises:
        OSError: the folder cannot be made or written.
    """
    _make_folder(out)
    _replace(out / HTML_NAME, report_html(title, rows, summary).encode())
    _replace(out / JSON_NAME, report_json(rows, summary))


def report_is_complete(out: Path, rows: Sequence[FileRow], summary: Summary) -> bool:
    """Whether ``write_report`` has finished here for exactly these rows."""
    try:
        written = (out / JSON_NAME).read_bytes()
    except OSError:
        return False
    return written == report_json(rows, summary) and (out / HTML_NAME).is_file()


def _by_path(rows: Iterable[FileRow]) -> list[FileRow]:
    return sorted(rows, key=lambda row: row.path)


def _template() -> str:
    return files(__name__.rpartition(".")[0]).joinpath("report.html").read_text("utf-8")


def _data(rows: Iterable[FileRow]) -> str:
    table = msgspec.json.encode([msgspec.structs.astuple(row) for row in rows]).decode()
    # Without a single "<", nothing in it can close the script element or open a comment.
    return table.replace("<", "\\u003c")


def _lead(summary: Summary) -> str:
    if not summary.files:
        return "No Python file was found."
    read = f"{_count(summary.files, 'Python file')} with {_count(summary.lines, 'line')}"
    if not summary.problems:
        return f"{read}, and every one could be read."
    return f"{read}; {_count(summary.problems, 'file')} could not be read or parsed."


def _cards(summary: Summary) -> str:
    longest, deepest, largest = summary.longest, summary.deepest, summary.largest
    problems = f"{summary.problems:,}" if summary.problems else "None"
    function = f"{longest.name} in {longest.path}" if longest.name else ""
    cards = [
        _card("Files", f"{summary.files:,}", "Python files, hidden folders left out"),
        _card("Lines", f"{summary.lines:,}", f"{summary.lines / max(summary.files, 1):,.0f} in the average file"),
        _card("Functions", f"{summary.functions:,}", "methods and inner functions too"),
        _card("Missing docstrings", f"{summary.missing_docstrings:,}", "in public code"),
        _card("Largest file", _count(largest.lines, "line"), largest.path),
        _card("Longest function", _count(longest.lines, "line"), function),
        _card("Deepest nesting", _count(deepest.nesting, "block"), deepest.path),
        _card("Problems", problems, "files that could not be audited", warned=summary.problems > 0),
    ]
    return "\n".join(cards)


def _card(label: str, figure: str, where: str, *, warned: bool = False) -> str:
    sign = "⚠ " if warned else ""
    return (
        f'<div class="card{" warned" if warned else ""}"><dt>{label}</dt>'
        f'<dd class="figure">{sign}{figure}</dd><dd class="where" title="{escape(where)}">{escape(where)}</dd></div>'
    )


def _problems(rows: Sequence[FileRow]) -> str:
    if not rows:
        return ""
    listed = rows[:_LISTED_PROBLEMS]
    items = "\n".join(f'<li><span class="name">{escape(row.path)}</span> {escape(row.problem)}</li>' for row in listed)
    shown = "Show it" if len(rows) == 1 else f"Show all {len(rows):,}"
    return (
        '<section class="problems" aria-labelledby="problems-title">\n'
        f'<h2 id="problems-title">⚠ {_count(len(rows), "problem")}</h2>\n<ul>\n{items}\n</ul>\n'
        f'<p><a href="#files" data-words="" data-kind="problem">{shown} in the table</a></p>\n'
        "</section>"
    )


def _charts(rows: Sequence[FileRow]) -> str:
    by_lines = sorted((row for row in rows if row.lines), key=lambda row: -row.lines)[:_BARS]
    by_function = sorted((row for row in rows if row.longest_lines), key=lambda row: -row.longest_lines)[:_BARS]
    charts = [
        _chart("Largest files", [_file_bar(row) for row in by_lines]),
        _chart("Longest functions, one per file", [_function_bar(row) for row in by_function]),
    ]
    drawn = "\n".join(filter(None, charts))
    return f'<section class="charts" aria-label="Charts">\n{drawn}\n</section>' if drawn else ""


def _file_bar(row: FileRow) -> _Bar:
    folder, _, name = row.path.rpartition("/")
    return _Bar(row.path, name, folder, row.lines)


def _function_bar(row: FileRow) -> _Bar:
    return _Bar(row.path, row.longest_function, row.path, row.longest_lines)


def _chart(caption: str, bars: Sequence[_Bar]) -> str:
    if not bars:
        return ""
    drawn = "\n".join(_drawn(bar, bars[0].lines, index * _ROW_HEIGHT) for index, bar in enumerate(bars))
    return (
        f'<figure><figcaption><h2>{caption}</h2></figcaption>\n<svg role="list" aria-label="{caption}" '
        f'height="{len(bars) * _ROW_HEIGHT}">\n{drawn}\n</svg></figure>'
    )


def _drawn(bar: _Bar, longest: int, top: int) -> str:
    label = escape(f"{bar.name} ({bar.path}): {_count(bar.lines, 'line')}")
    middle = top + _BAR_HEIGHT / 2
    # The inner svg clips a label that is too long, at any width of the window; the rest of it is in the title.
    return (
        f'<g role="listitem"><a href="#files" data-words="{escape(bar.path)}" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<rect y="{top}" width="{100 * bar.lines / longest:.2f}%" height="{_BAR_HEIGHT}" rx="3"/>'
        f'<svg y="{top}" width="86%" height="{_BAR_HEIGHT}"><text x="8" y="{_BAR_HEIGHT / 2}">{escape(bar.name)}'
        f'<tspan class="where" dx="8">{escape(bar.where)}</tspan></text></svg>'
        f'<text class="figure" x="99%" y="{middle}">{bar.lines:,}</text></a></g>'
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _make_folder(folder: Path) -> None:
    """The folder is there, and so is each folder above it, on disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(each.parent)


def _replace(path: Path, content: bytes) -> None:
    """The content is at the path, on disk, in one step."""
    # One fixed name: what a killed writer left under it is overwritten here instead of staying for good.
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # pragma: no cover
        return  # Windows keeps its folders itself, and cannot open one.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
