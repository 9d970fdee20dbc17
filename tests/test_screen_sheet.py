"""What a screen looks like: in narrow and wide terminals, with any data, without colours.

SEMANTICS 13.12: nothing that a run says is obeyed by the terminal.
"""

import pytest

from terzetto_protocol.cells import width as cells
from terzetto_protocol.screen_panes import outlined
from terzetto_protocol.screen_sheet import HELP
from terzetto_protocol.screen_talk import LookFailed
from terzetto_protocol.statuses import RunStatus, VisitStatus

from .screens import NOW, barrier, found, line, looked, screen_of, seen, typed, waiting

PAYLOAD = {"files": 1234, "longest": {"path": "a/b.py"}, "title": "one\x1b[2Jtwo", "ok": True, "none": None}


def test_a_screen_in_eighty_columns():
    screen = screen_of(waiting("letter-2", at=0), line("letter-1", RunStatus.FAILED, at=-3600, code="unrouted"))
    screen.feed(looked("letter-2", barrier("sign@2", PAYLOAD), write=VisitStatus.SUCCEEDED))

    assert [
        " terzetto  ws://here                                           2 runs, 1 waiting",
        "> ? awaiting input letter-2                      letter           1 open   1 min",
        "  ✗ failed         letter-1                             letter               1 h",
        "─" * 80,
        "? awaiting input  letter-2  letter 1  3 commits, 1 min old",
        "? sign@2 waits for a decision, 1 min (approved / rejected)",
        "  files: 1,234",
        '  longest: {"path":"a/b.py"}',
        "  title: one\\x1b[2Jtwo",
        "  ok: true",
        "  none: null",
        "✓ write  succeeded       1 visit",
        *[""] * 11,
        " a approve  r reject  c cancel  p pause  n new  / filter  ? help  q quit",
    ] == [each.rstrip() for each in seen(screen)]


def test_wide_terminals_have_the_run_beside_the_list():
    screen = screen_of(waiting("letter-2"), line("letter-1", at=-9), barriers=[barrier()])
    lines = seen(screen, 120, 30)

    assert "letter-2" in lines[1]
    assert "│ ? awaiting input  letter-2" in lines[1]
    assert "│ ? sign@2 waits" in lines[2]
    assert "letter-1" in lines[2]


@pytest.mark.parametrize("width, height", [(60, 20), (80, 24), (40, 12), (24, 6), (200, 60), (10, 3), (1, 1)])
def test_every_size_has_whole_lines(width, height):
    screen = screen_of(waiting("日本" * 10), barriers=[barrier("sign@2", {"日": "本" * 300})])
    for keys in [], ["enter"], ["r", "[日本 because of it]"], ["escape", "d"], ["escape", "escape", "?"]:
        typed(screen, *keys)
        assert [width] * height == [cells(each) for each in seen(screen, width, height)]


def test_small_terminals_keep_what_matters():
    screen = screen_of(waiting("letter-2"), barriers=[barrier("sign@2", dict.fromkeys("abcdefgh", 1))])
    lines = seen(screen, 60, 12)

    assert "? sign@2 waits for a decision" in "".join(lines)
    assert "more lines" in "".join(lines)
    assert lines[-1].startswith(" a approve  r reject  c cancel  p pause")
    assert lines[-1].rstrip().endswith("q quit")
    assert "a larger terminal, please" == seen(screen, 26, 5)[0].rstrip()


def test_signs_tell_statuses_apart_without_colours():
    signs = {status: found(screen_of(line("r1", status)), "r1")[2] for status in RunStatus}
    plain = {status: found(screen_of(line("r1", status)), "r1", plain=True)[2] for status in RunStatus}

    assert len(RunStatus) == len(set(signs.values())) == len(set(plain.values()))
    assert all(sign.isascii() for sign in plain.values())


def test_the_selected_run_is_in_sight_of_thousands():
    screen = screen_of(*(line(f"r{number}", at=-number) for number in range(3000)))
    typed(screen, *["j"] * 100)

    assert found(screen, "r100 ").startswith("> ")
    assert 8 == sum(each[2] == "▸" for each in seen(screen)[1:9])
    typed(screen, "G")
    assert found(screen, "r2999").startswith("> ")


def test_a_run_that_failed_says_why():
    screen = screen_of(
        line("r1", RunStatus.FAILED, code="node_error", message="the till is \x1b[31mempty " + "x" * 100)
    )
    assert "node_error: the till is \\x1b[31mempty" == found(screen, "till")
    assert "x" * 80 in seen(screen)
    screen.feed(LookFailed("r1", "store_error", "gone"))
    assert "gone (store_error)" == found(screen, "store_error")
    assert "cracked" == found(screen_of(line("r1", damaged="cracked")), "cracked")


def test_a_deadline_is_said():
    screen = screen_of(waiting(), barriers=[barrier(deadline=NOW + 90)])

    assert "? sign@2 waits for a decision, 1 min, till t+90 (approved / rejected)" == found(screen, "till")


def test_a_run_that_has_ended_asks_nothing():
    screen = screen_of(line("r1", RunStatus.CANCELLED), barriers=[barrier()])

    assert "no 'sign@2'" in found(screen, "sign@2")


def test_the_end_of_a_long_line_is_seen_while_it_is_typed():
    screen = screen_of(line(), states={"letter": "0" * 200})
    typed(screen, "n", "[end]")

    assert seen(screen)[-1].rstrip().endswith("000end")
    assert seen(screen)[-1].startswith("> …")
    typed(screen, "home")
    assert seen(screen)[-1].startswith("> 000")


@pytest.mark.parametrize(
    "payload, lines",
    [
        (None, []),
        ("one\ntwo", [("", "one"), ("", "two")]),
        ([1, "a"], [("", '[1,"a"]')]),
        (1200, [("", "1,200")]),
        ({"a": True, "b": "text", "c": 1.5}, [("a", "true"), ("b", "text"), ("c", "1.5")]),
    ],
)
def test_payloads_are_outlined(payload, lines):
    assert lines == list(outlined(payload))


def test_the_help_is_the_whole_of_it():
    lines = "".join(seen(typed_help(), 80, 24))

    assert [] == [keys for keys, does in HELP if keys not in lines or does not in lines]


def typed_help():
    screen = screen_of(line())
    typed(screen, "?")
    return screen
