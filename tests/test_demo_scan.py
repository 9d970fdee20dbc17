import os
import threading
import warnings
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from terzetto._demo import scan
from terzetto._demo.scan import FileRow, Summary, add, python_files, resolve, scan_file, summarise


def write(root: Path, name: str, source: str | bytes = "") -> str:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    return name


def row_of(root: Path, source: str | bytes, name: str = "module.py") -> FileRow:
    return scan_file(root, write(root, name, source))


# --- finding files


def test_files_are_found_below_the_root_sorted_and_relative(tmp_path):
    for name in ["b.py", "a/z.py", "a/__init__.py", "a.py", "a/data.txt", "a/stub.pyi"]:
        write(tmp_path, name)

    assert python_files(tmp_path) == ["a.py", "a/__init__.py", "a/z.py", "b.py"]


def test_hidden_folders_and_caches_are_left_out(tmp_path):
    for name in [".venv/a.py", "pkg/.git/b.py", "pkg/__pycache__/c.py", "pkg/kept.py"]:
        write(tmp_path, name)

    assert python_files(tmp_path) == ["pkg/kept.py"]


def test_a_folder_named_like_a_file_is_walked_and_is_no_file(tmp_path):
    write(tmp_path, "odd.py/inner.py")

    assert python_files(tmp_path) == ["odd.py/inner.py"]


def test_loops_of_links_are_not_followed(tmp_path):
    write(tmp_path, "pkg/a.py")
    (tmp_path / "pkg" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "pkg" / "self.py").symlink_to(tmp_path / "pkg" / "self.py")

    assert python_files(tmp_path) == ["pkg/a.py", "pkg/self.py"]
    assert scan_file(tmp_path, "pkg/self.py").problem.startswith("unreadable: ")


def test_a_folder_that_cannot_be_listed_is_left_out(tmp_path, monkeypatch):
    write(tmp_path, "open/a.py")
    write(tmp_path, "shut/b.py")
    listing = os.scandir

    def guarded(folder):
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    # Permissions would not stop root, who runs many a CI.
    monkeypatch.setattr(os, "scandir", guarded)

    assert python_files(tmp_path) == ["open/a.py"]


@pytest.mark.parametrize("name", ["nowhere", "a.py"])
def test_a_root_that_is_no_folder_is_refused(tmp_path, name):
    write(tmp_path, "a.py")

    with pytest.raises(OSError):
        python_files(tmp_path / name)


def test_folders_deeper_than_the_stack_are_walked(tmp_path):
    folders = [tmp_path]
    for _ in range(1_200):
        folders.append(folders[-1] / "d")
        folders[-1].mkdir()
    last = folders[-1] / "a.py"
    last.touch()

    try:
        assert python_files(tmp_path) == ["d/" * 1_200 + "a.py"]
    finally:
        # Taken down by hand: what pytest would use for it recurses.
        last.unlink()
        for folder in folders[:0:-1]:
            folder.rmdir()


def test_each_folder_is_listed_once_and_no_file_is_looked_at(tmp_path, monkeypatch):
    for folder in range(10):
        for file in range(50):
            write(tmp_path, f"pkg{folder}/m{file:02}.py")
    listing, listed = os.scandir, []

    def counted(folder):
        listed.append(Path(folder).name)
        return listing(folder)

    monkeypatch.setattr(os, "scandir", counted)
    monkeypatch.delattr(os, "stat")
    monkeypatch.delattr(os, "lstat")
    found = python_files(tmp_path)
    monkeypatch.undo()

    assert len(found) == 500
    assert sorted(listed) == [f"pkg{folder}" for folder in range(10)] + [tmp_path.name]


ODD_NAMES = [
    b"caf\xe9.py",  # not UTF-8
    rb"caf\udce9.py",  # what the escape of the one above looks like
    rb"back\slash.py",
    rb"two\\udce9.py",
    "naïve \N{SNOWMAN}.py".encode(),
    b"new\nline.py",
    b'<script>"&.py',
]


def test_any_file_name_becomes_a_storable_string_and_finds_its_file_again(tmp_path):
    for index, odd in enumerate(ODD_NAMES):
        (tmp_path / os.fsdecode(odd)).write_bytes(b"\n" * (index + 1))

    names = python_files(tmp_path)

    assert len(set(names)) == len(ODD_NAMES)
    assert {os.fsencode(resolve(tmp_path, name).name) for name in names} == set(ODD_NAMES)
    rows = [scan_file(tmp_path, name) for name in names]
    assert [row.path for row in rows] == names
    assert sorted(row.lines for row in rows) == [1, 2, 3, 4, 5, 6, 7]
    assert all(name.encode() for name in names)


def test_a_raw_name_with_surrogates_still_makes_a_storable_row(tmp_path):
    assert scan_file(tmp_path, "caf\udce9.py").path == "caf\\udce9.py"


# --- measuring


def test_a_module_is_measured(tmp_path):
    source = '''"""A module."""

import os

class Reader:
    """Reads."""

    def read(self, path):
        """Read it."""
        for line in path:
            if line:
                with line:
                    pass

    async def wait(self):
        def inner():
            pass
        await inner()

def write(): ...
'''

    assert row_of(tmp_path, source) == FileRow(
        "module.py",
        lines=20,
        functions=4,
        longest_function="Reader.read",
        longest_lines=6,
        nesting=3,
        missing_docstrings=2,
    )


@pytest.mark.parametrize("block", [
    "if a:", "for a in b:", "while a:", "with a:", "match a:\n case _:",
    "async def f():\n async for a in b:", "async def f():\n async with a:",
])  # fmt: skip
def test_each_control_block_is_a_level(tmp_path, block):
    indent = " " * (block.count("\n") + 1)

    assert row_of(tmp_path, f"{block}\n{indent}if b:\n{indent} pass\n").nesting == 2


@pytest.mark.parametrize("source, nesting", [
    ("try:\n if a:\n  pass\nexcept E:\n pass\n", 2),
    ("try:\n pass\nexcept E:\n if a:\n  pass\n", 2),
    ("try:\n pass\nexcept* E:\n if a:\n  pass\n", 2),
    ("try:\n pass\nfinally:\n for a in b:\n  if c:\n   pass\n", 3),
    ("if a:\n pass\nelif b:\n pass\nelif c:\n pass\nelse:\n pass\n", 1),
    ("if a:\n pass\nelif b:\n if c:\n  pass\n", 2),
    ("if a:\n pass\nelse:\n if b:\n  pass\n", 2),
    ("for a in b:\n pass\nelse:\n if c:\n  pass\n", 2),
    ("if a:\n def f():\n  if b:\n   pass\n", 1),
    ("if a:\n class C:\n  if b:\n   pass\n", 2),
    ("a = [b for b in c if d]\n", 0),
])  # fmt: skip
def test_nesting_is_counted_in_one_function_or_module(tmp_path, source, nesting):
    assert row_of(tmp_path, source).nesting == nesting


@pytest.mark.parametrize("source, missing", [
    ("def f(): ...", 2),
    ("def _f(): ...", 1),
    ("class C:\n def m(self): ...", 3),
    ("class C:\n def __init__(self): ...", 2),
    ("class _C:\n def m(self): ...", 1),
    ("def f():\n def g(): ...", 2),
    ("if a:\n def f(): ...", 2),
    ('"""Doc."""\nasync def f():\n "Doc."', 0),
    ('"""Doc."""\n@overload\ndef f(): ...\n@typing.overload\ndef f(): ...', 0),
    ('"""Doc."""\nclass C:\n "Doc."\n @x.setter\n def x(self, to): ...', 0),
    ('"""Doc."""\n@cache()\ndef f(): ...', 1),
    ('f"{a}"', 1),
    ('b"bytes"', 1),
    ("# only a comment", 0),
    ("", 0),
])  # fmt: skip
def test_public_things_without_a_docstring_are_counted(tmp_path, source, missing):
    assert row_of(tmp_path, source).missing_docstrings == missing


@pytest.mark.parametrize("name, missing", [
    ("a.py", 1), ("_a.py", 0), ("__init__.py", 1), ("p/__main__.py", 1), ("_p/a.py", 1), ("p/_a.py", 0),
])  # fmt: skip
def test_a_private_module_owes_no_docstring(tmp_path, name, missing):
    assert row_of(tmp_path, "a = 1\n", name).missing_docstrings == missing


def test_of_equally_long_functions_the_first_is_named(tmp_path):
    row = row_of(tmp_path, "def b():\n pass\ndef a():\n pass\nclass C:\n def c(self):\n  pass\n")

    assert (row.longest_function, row.longest_lines, row.functions) == ("b", 2, 3)


def test_decorators_are_not_part_of_the_length(tmp_path):
    assert row_of(tmp_path, "@a\n@b\ndef f():\n pass\n").longest_lines == 2


def test_a_qualified_name_tells_every_level(tmp_path):
    row = row_of(tmp_path, "class A:\n class B:\n  def f(self):\n   def g():\n    pass\n   pass\n")

    assert row.longest_function == "A.B.f"


@pytest.mark.parametrize("source, lines", [
    (b"", 0), (b"a", 1), (b"a\n", 1), (b"a\nb", 2), (b"a\r\nb\r\n", 2), (b"a\rb\r", 2), (b"a\n\n", 2), (b"a\x0c\n", 1),
])  # fmt: skip
def test_lines_are_counted_as_python_counts_them(tmp_path, source, lines):
    assert row_of(tmp_path, source).lines == lines


def test_blocks_as_deep_as_python_allows_are_walked(tmp_path):
    source = "".join(" " * depth + "if a:\n" for depth in range(99)) + " " * 99 + "pass\n"

    assert row_of(tmp_path, source).nesting == 99


# --- files that are not what they seem


@pytest.mark.parametrize("source", [
    "x = 'é'\n".encode(),
    b"\xef\xbb\xbfx = 'bom'\n",
    b"# coding: latin-1\nx = '\xe9'\n",
    b"#!/usr/bin/python\n# -*- coding: cp1252 -*-\nx = '\x80'\n",
])  # fmt: skip
def test_declared_encodings_are_honoured(tmp_path, source):
    assert row_of(tmp_path, source).problem == ""


@pytest.mark.parametrize("source, problem", [
    (b"x = 1\ny = 2\nz = (\n", "unparsable: line 3: "),
    (b"def f():\npass\n", "unparsable: line 2: "),
    (b"print 'two'\n", "unparsable: line 1: "),
    (b"x = 1\ny = 'a\0b'\n", "unparsable: line 2: null byte"),
    (b"\x7fELF\x02\x01\x01\0\0", "unparsable: line 1: "),
    (b"\x89PNG\r\n\x1a\n\0\0", "unparsable: invalid or missing encoding declaration"),
    ("x = 1\n".encode("utf-16"), "unparsable: invalid or missing encoding declaration"),
    (b"a = 1\nb = 2\nc = '\xff'\n", "unparsable: line 3: not utf-8 (invalid start byte)"),
    (b"# coding: no-such-thing\n", "unparsable: unknown encoding: no-such-thing"),
    (b"# coding: hex\n61\n", "unparsable: 'hex' is not a text encoding"),
    (b"# coding: undefined\n", "unparsable: "),
    (b"# coding: punycode\nabc-" + b"z9" * 100, "unparsable: "),
    (b"# coding: unicode_escape\nx = '\\ud800'\n", "unparsable: "),
    (b"# coding: utf-7\nx = '+2AA-'\n", "unparsable: "),
    (b"\xef\xbb\xbf# coding: latin-1\n", "unparsable: "),
    (b"x = " + b"9" * 5_000, "unparsable: line 1: "),
])  # fmt: skip
def test_what_python_cannot_parse_is_a_row_with_a_problem(tmp_path, source, problem):
    row = row_of(tmp_path, source)

    assert row.problem.startswith(problem)
    assert len(row.problem) < 250
    assert row.problem.encode().isascii()
    assert (row.functions, row.nesting, row.missing_docstrings) == (0, 0, 0)
    assert row.lines > 0


@pytest.mark.parametrize("source", [
    "-" * 100_000 + "1",
    "not " * 100_000 + "a",
    "a" + ".b" * 100_000,
    "f" + "()" * 100_000,
    "+".join(["1"] * 100_000),
    "lambda: " * 50_000 + "1",
    "if a: pass\n" + "elif a: pass\n" * 20_000,
])  # fmt: skip
def test_nesting_that_ends_the_parser_is_a_row_on_any_thread(tmp_path, source):
    rows: list[FileRow] = [row_of(tmp_path, source)]
    thread = threading.Thread(target=lambda: rows.append(scan_file(tmp_path, "module.py")))
    thread.start()
    thread.join()

    assert [row.problem for row in rows] == ["unparsable: nested too deeply"] * 2


@pytest.mark.parametrize("source", ["(" * 1_000, "".join(" " * depth + "if a:\n" for depth in range(200))])
def test_nesting_that_python_forbids_is_a_row(tmp_path, source):
    assert row_of(tmp_path, source).problem.startswith("unparsable: line ")


def test_warnings_of_the_parser_are_not_ours_and_filters_stay_as_they_were(tmp_path):
    before = list(warnings.filters)

    row = row_of(tmp_path, "x = '\\q'\nassert (1, 'a')\n1 is 1\nz = 1if x else y\n")

    assert row.problem == ""
    assert list(warnings.filters) == before


def test_a_file_above_the_limit_is_not_read(tmp_path):
    write(tmp_path, "at.py", b"#" * scan.MAX_BYTES)
    write(tmp_path, "above.py", b"#" * (scan.MAX_BYTES + 1))

    assert scan_file(tmp_path, "at.py") == FileRow("at.py", lines=1)
    assert scan_file(tmp_path, "above.py") == FileRow("above.py", problem="too large: more than 5 MiB")


def test_what_is_not_a_file_is_a_row_and_never_waited_for(tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "device.py").symlink_to("/dev/zero")
    (tmp_path / "link.py").symlink_to("folder.py", target_is_directory=True)
    os.mkfifo(tmp_path / "pipe.py")

    assert python_files(tmp_path) == ["device.py", "link.py", "pipe.py"]
    for name in ["folder.py", "device.py", "link.py", "pipe.py"]:
        assert scan_file(tmp_path, name) == FileRow(name, problem="unreadable: not a regular file")


def test_a_file_that_vanished_is_a_row(tmp_path):
    (tmp_path / "dangling.py").symlink_to("nowhere.py")

    for name in ["gone.py", "gone/too.py", "dangling.py"]:
        assert scan_file(tmp_path, name) == FileRow(name, problem="unreadable: No such file or directory")


def test_a_file_that_may_not_be_read_is_a_row(tmp_path, monkeypatch):
    def refuse(path, flags):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)

    assert scan_file(tmp_path, "a.py") == FileRow("a.py", problem="unreadable: Permission denied")


@pytest.mark.parametrize("name", ["nul\0byte.py", "x" * 5_000 + ".py"])
def test_a_name_that_no_file_can_have_is_a_row(tmp_path, name):
    assert scan_file(tmp_path, name).problem.startswith("unreadable: ")


def test_a_link_to_a_file_is_read(tmp_path):
    write(tmp_path, "real.py", "a = 1\nb = 2\n")
    (tmp_path / "link.py").symlink_to("real.py")

    assert scan_file(tmp_path, "link.py").lines == 2


@given(source=st.binary(max_size=200) | st.text("aif:=()[]{}'\"\\\n\r\t #é\0", max_size=60).map(str.encode))
def test_no_bytes_make_it_raise(tmp_path_factory, source):
    row = row_of(tmp_path_factory.getbasetemp(), source)

    assert row.problem == "" or row.problem.startswith("unparsable: ")


# --- summarising


def rows() -> st.SearchStrategy[list[FileRow]]:
    figure = st.integers(0, 5)
    row = st.builds(
        FileRow,
        path=st.text("abc/", min_size=1, max_size=3),
        lines=figure,
        functions=figure,
        longest_function=st.sampled_from(["f", "C.m"]),
        longest_lines=figure,
        nesting=figure,
        missing_docstrings=figure,
        problem=st.sampled_from(["", "unreadable: gone"]),
    )
    return st.lists(row, max_size=12, unique_by=lambda each: each.path)


@given(rows())
def test_adding_one_by_one_is_the_summary_from_scratch(rows):
    summary = summarise(rows)

    assert summary.files == len(rows)
    assert summary.lines == sum(row.lines for row in rows)
    assert summary.functions == sum(row.functions for row in rows)
    assert summary.missing_docstrings == sum(row.missing_docstrings for row in rows)
    assert summary.problems == len([row for row in rows if row.problem])
    assert summary.longest.lines == max((row.longest_lines for row in rows), default=0)
    assert summary.deepest.nesting == max((row.nesting for row in rows), default=0)
    assert summary.largest.lines == max((row.lines for row in rows), default=0)
    named = {row.path: row for row in rows}
    assert not summary.longest.path or named[summary.longest.path].longest_lines == summary.longest.lines
    assert not summary.deepest.path or named[summary.deepest.path].nesting == summary.deepest.nesting
    assert not summary.largest.path or named[summary.largest.path].lines == summary.largest.lines


@given(rows().flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_the_order_of_adding_makes_no_difference(both):
    one, other = both

    assert summarise(one) == summarise(other)


def test_adding_leaves_the_old_summary_as_it_was():
    before = Summary()

    after = add(before, FileRow("a.py", lines=3))

    assert before == Summary()
    assert (after.files, after.lines, after.largest.path) == (1, 3, "a.py")
    assert (after.longest.path, after.deepest.path) == ("", "")
