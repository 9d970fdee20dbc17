import os
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from terzetto._demo import report
from terzetto._demo.report import report_html, report_is_complete, report_json, write_report
from terzetto._demo.scan import FileRow, Summary, summarise

ROWS = [
    FileRow("pkg/b.py", lines=120, functions=4, longest_function="Reader.read", longest_lines=30, nesting=3),
    FileRow("a.py", lines=7, missing_docstrings=1),
    FileRow("pkg/broken.py", lines=3, problem="unparsable: line 3: invalid syntax"),
]
HOSTILE = "<script>alert(1)</script><!--&\"'{{data}}.py"


class Page(HTMLParser):
    """What a browser would find in a page: elements, their attributes, and the text outside scripts."""

    def __init__(self, html):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def page_of(rows, title="trio"):
    return Page(report_html(title, rows, summarise(rows)))


def embedded(html):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return msgspec.json.decode(found[1])


# --- audit.json


def test_the_json_has_one_row_per_file_and_the_summary():
    decoded = msgspec.json.decode(report_json(ROWS, summarise(ROWS)))

    assert list(decoded) == ["files", "summary"]
    assert [row["path"] for row in decoded["files"]] == ["a.py", "pkg/b.py", "pkg/broken.py"]
    assert decoded["files"][1] == {
        "path": "pkg/b.py",
        "lines": 120,
        "functions": 4,
        "longest_function": "Reader.read",
        "longest_lines": 30,
        "nesting": 3,
        "missing_docstrings": 0,
        "problem": "",
    }
    assert decoded["summary"]["files"] == 3
    assert decoded["summary"]["longest"] == {"path": "pkg/b.py", "name": "Reader.read", "lines": 30}


def test_the_same_rows_make_the_same_bytes_in_any_order():
    backwards = ROWS[::-1]

    assert report_json(ROWS, summarise(ROWS)) == report_json(backwards, summarise(backwards))
    assert report_html("t", ROWS, summarise(ROWS)) == report_html("t", backwards, summarise(backwards))


def test_the_json_is_indented_and_ends_a_line():
    content = report_json(ROWS, summarise(ROWS))

    assert content.startswith(b'{\n  "files": [\n    {\n      "path": "a.py",\n')
    assert content.endswith(b"}\n")


# --- audit.html


def test_the_page_loads_nothing():
    html = report_html("trio", ROWS, summarise(ROWS))
    page = Page(html)

    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert {tag for tag, _ in page.elements}.isdisjoint({"img", "iframe", "object", "embed", "base", "form"})
    assert not [attrs for _, attrs in page.elements if "src" in attrs]
    assert {attrs["href"] for _, attrs in page.elements if "href" in attrs} == {"data:,", "#files", "audit.json"}
    [policy] = [attrs["content"] for attrs in page.all("meta") if attrs.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none';")


def test_the_page_embeds_every_row():
    html = report_html("trio", ROWS, summarise(ROWS))

    assert embedded(html) == [
        ["a.py", 7, 0, "", 0, 0, 1, ""],
        ["pkg/b.py", 120, 4, "Reader.read", 30, 3, 0, ""],
        ["pkg/broken.py", 3, 0, "", 0, 0, 0, "unparsable: line 3: invalid syntax"],
    ]


def test_columns_of_the_table_are_the_fields_of_a_row():
    html = report_html("trio", ROWS, summarise(ROWS))
    names = ["PATH", "LINES", "FUNCTIONS", "LONGEST", "LONGEST_LINES", "NESTING", "MISSING", "PROBLEM"]

    assert "const " + ", ".join(f"{name} = {index}" for index, name in enumerate(names)) in html
    assert len(FileRow.__struct_fields__) == len(names)


def test_nothing_in_a_row_or_title_becomes_markup():
    rows = [FileRow(HOSTILE, 9, 1, HOSTILE, 5, 1, 1, f"unparsable: {HOSTILE}")]

    html = report_html(HOSTILE, rows, summarise(rows))

    assert "<script>alert" not in html
    assert "alert(1)</script" not in html
    page = Page(html)
    plain = page_of([FileRow("a.py", 9, 1, "f", 5, 1, 1, "unparsable: no")])
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert embedded(html)[0][0] == HOSTILE
    assert f"unparsable: {HOSTILE}" in "".join(page.texts)


def test_a_title_that_is_not_utf8_is_escaped():
    assert "<h1>caf\\udce9</h1>" in report_html("caf\udce9", ROWS, summarise(ROWS))


def test_bars_have_labels_for_those_who_do_not_see_them():
    page = page_of(ROWS)

    labels = [attrs.get("aria-label") for attrs in page.all("a") if "data-words" in attrs]
    assert "b.py (pkg/b.py): 120 lines" in labels
    assert "Reader.read (pkg/b.py): 30 lines" in labels
    assert [attrs["aria-label"] for attrs in page.all("svg") if attrs.get("role") == "list"] == [
        "Largest files",
        "Longest functions, one per file",
    ]


def test_a_chart_shows_the_twenty_largest():
    rows = [FileRow(f"{index:02}.py", lines=index) for index in range(1, 41)]

    page = page_of(rows)

    labels = [attrs["aria-label"] for attrs in page.all("a") if "data-words" in attrs]
    assert labels == [f"{index:02}.py ({index:02}.py): {index} lines" for index in range(40, 20, -1)]
    assert page.all("rect")[0]["width"] == "100.00%"


def test_the_table_can_be_sorted_and_filtered_from_the_keyboard():
    page = page_of(ROWS)

    headers = [attrs for attrs in page.all("th") if attrs.get("scope") == "col"]
    sorters = [attrs for attrs in page.all("button") if "data-column" in attrs]
    assert len(headers) == len(sorters) == 6
    assert [attrs["aria-sort"] for attrs in headers if "aria-sort" in attrs] == ["descending"]
    assert [attrs["id"] for attrs in page.all("input")] == ["words"]


def test_problems_are_told_in_words():
    text = "".join(page_of(ROWS).texts)

    assert "1 problem" in text
    assert "unparsable: line 3: invalid syntax" in text
    assert "Show it in the table" in text
    assert "1 file could not be read or parsed" in text


def test_only_the_first_of_many_problems_are_spelled_out_above_the_table():
    rows = [FileRow(f"{index:04}.py", problem="unreadable: gone") for index in range(1_500)]

    page = page_of(rows)

    assert len(page.all("li")) == 10
    assert "Show all 1,500 in the table" in "".join(page.texts)


def test_a_clean_audit_has_no_list_of_problems():
    page = page_of(ROWS[:2])

    assert not page.all("li")
    assert "every one could be read" in "".join(page.texts)


def test_an_audit_of_nothing_is_a_page():
    html = report_html("empty", [], Summary())

    assert embedded(html) == []
    assert "No Python file was found." in html
    assert "<figure>" not in html


def test_fifty_thousand_rows_make_a_page_of_a_few_megabytes():
    rows = [FileRow(f"package/sub{index % 100}/module_{index}.py", index, 3, "C.m", 9, 2, 1) for index in range(50_000)]

    html = report_html("big", rows, summarise(rows))

    assert len(html) < 6_000_000
    assert len(Page(html).all("tr")) == 1


# --- on disk


def test_a_written_report_is_complete_and_leaves_nothing_else(tmp_path):
    out = tmp_path / "new" / "folder"
    summary = summarise(ROWS)
    assert not report_is_complete(out, ROWS, summary)

    write_report(out, "trio", ROWS, summary)

    assert sorted(path.name for path in out.iterdir()) == ["audit.html", "audit.json"]
    assert (out / "audit.json").read_bytes() == report_json(ROWS, summary)
    assert (out / "audit.html").read_text("utf-8") == report_html("trio", ROWS, summary)
    assert report_is_complete(out, ROWS, summary)


def test_a_report_of_other_rows_is_not_complete(tmp_path):
    write_report(tmp_path, "trio", ROWS, summarise(ROWS))

    assert not report_is_complete(tmp_path, ROWS[:2], summarise(ROWS[:2]))


@pytest.mark.parametrize("name", ["audit.html", "audit.json"])
def test_a_report_without_one_of_its_files_is_not_complete(tmp_path, name):
    write_report(tmp_path, "trio", ROWS, summarise(ROWS))
    (tmp_path / name).unlink()

    assert not report_is_complete(tmp_path, ROWS, summarise(ROWS))


def test_a_cut_report_is_not_complete(tmp_path):
    write_report(tmp_path, "trio", ROWS, summarise(ROWS))
    os.truncate(tmp_path / "audit.json", 20)

    assert not report_is_complete(tmp_path, ROWS, summarise(ROWS))


def test_each_file_is_on_disk_before_the_next_is_begun(tmp_path, monkeypatch):
    record = []
    sync, replace = os.fsync, Path.replace

    def recorded_sync(descriptor):
        record.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        sync(descriptor)

    def recorded_replace(path, target):
        record.append(f"replace {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", recorded_sync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    out = tmp_path / "a" / "b"
    write_report(out, "trio", ROWS, summarise(ROWS))

    assert record == [
        "sync a",
        f"sync {tmp_path.name}",
        "sync .audit.html.new",
        "replace audit.html",
        "sync b",
        "sync .audit.json.new",
        "replace audit.json",
        "sync b",
    ]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", range(4))
def test_killed_at_any_step_it_is_incomplete_and_the_next_call_makes_it_good(tmp_path, monkeypatch, step):
    summary = summarise(ROWS)
    passed = []
    sync = os.fsync

    def killing_sync(descriptor):
        if len(passed) == step:
            raise Killed
        passed.append(descriptor)
        sync(descriptor)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(os, "fsync", killing_sync)
        write_report(tmp_path, "trio", ROWS, summary)
    # Steps: the page, its folder, the rows, their folder. Before the last one the rows are not in place.
    assert report_is_complete(tmp_path, ROWS, summary) == (step == 3)

    write_report(tmp_path, "trio", ROWS, summary)

    assert report_is_complete(tmp_path, ROWS, summary)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.html", "audit.json"]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError):
        write_report(tmp_path / "file" / "out", "trio", ROWS, summarise(ROWS))
    assert not report_is_complete(tmp_path / "file" / "out", ROWS, summarise(ROWS))


def test_names_are_public_as_listed():
    assert all(hasattr(report, name) for name in report.__all__)
