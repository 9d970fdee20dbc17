"""The terminal console as a machine: what keys do, and what the server tells.

SEMANTICS 13.11: a decision goes to the run and the barrier that its question named, and a paste is never a key.
"""

import pytest
from hypothesis import given, settings, strategies as st

from terzetto_protocol.cells import width as cells
from terzetto_protocol.commands import Cancel, Decide, Pause, Resume, Submit
from terzetto_protocol.decisions import Approve, Choose, Confirm, Fail, Reject, Retry
from terzetto_protocol.events import BarrierOpened, Gap, NodeFinished, TextChunk
from terzetto_protocol.keystrokes import Key, Pasted
from terzetto_protocol.receipts import CancelReceipt, DecisionTaken, Denied, Submitted
from terzetto_protocol.screen import Screen
from terzetto_protocol.screen_talk import (
    Connected,
    Done,
    Heard,
    Known,
    Leave,
    Look,
    LookFailed,
    Lost,
    NotDone,
    Redraw,
    Resized,
    Send,
    Watch,
)
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.wire import Changed

from .screens import barrier, found, graph, line, listed, looked, screen_of, seen, typed, waiting

TOLD = {"run_id": "r1", "at": 1.0}


def decided(decision, barrier="sign@2", run_id="r1"):
    return [Send(Decide("", run_id, barrier, decision, "ann"))]


# -- the list --------------------------------------------------------------------------------------------------


def test_the_newest_run_is_selected_and_watched():
    screen = Screen()

    assert [Watch("r2")] == screen.feed(listed(line("r1", at=1), line("r2", at=2)))
    assert ["r2", "r1"] == [each.run_id for each in screen.runs.shown]
    assert [Watch("r1")] == typed(screen, "down")
    assert [] == typed(screen, "down", "j")
    assert [Watch("r2")] == typed(screen, "g")


def test_a_selected_run_stays_selected_while_others_come_and_go():
    screen = screen_of(line("r1", at=1), line("r2", at=2), line("r3", at=3))
    typed(screen, "j")

    assert [] == screen.feed(Changed(1, (line("r4", at=4),), ("r3",)))
    assert "r2" == screen.runs.selected
    assert [Watch("r1")] == screen.feed(Changed(1, (), ("r2",)))
    assert [Watch("")] == screen.feed(Changed(1, (), ("r4", "r1")))


def test_a_change_of_the_selected_run_is_looked_at():
    screen = screen_of(line("r1"), line("r2", at=-1))

    assert [Look("r1")] == screen.feed(Changed(1, (line("r1", seq=4),)))
    assert [] == screen.feed(Changed(1, (line("r2", at=-1, seq=4),)))


def test_listing_again_forgets_what_is_gone_and_is_not_fooled_by_old_pages():
    screen = screen_of(line("r1"), line("r2", at=-1), line("r3", at=-2))
    screen.feed(listed(line("r1"), first=True, last=False))
    screen.feed(Changed(1, (line("r3", RunStatus.FAILED, at=-2, seq=9),)))
    screen.feed(Changed(1, (), ("r4",)))
    screen.feed(listed(line("r3", at=-2), line("r4", at=-3), first=False, last=True))

    assert [("r1", 3), ("r3", 9)] == [(each.run_id, each.seq) for each in screen.runs.shown]


def test_a_filter_narrows_while_it_is_typed():
    failed = line("r2", RunStatus.FAILED, at=-1, code="unrouted")
    screen = screen_of(line("r1"), failed, line("x", at=-2, graph="order"))

    assert [Watch("r2")] == typed(screen, "/", "[FAIL unr]")
    assert ["r2"] == [each.run_id for each in screen.runs.shown]
    assert [] == typed(screen, "escape")
    assert ("r2", 3) == (screen.runs.selected, len(screen.runs.shown))
    typed(screen, "/", "[order]", "enter")
    assert ("order", ["x"]) == (screen.runs.filter, [each.run_id for each in screen.runs.shown])
    typed(screen, "escape")
    assert ("", 3) == (screen.runs.filter, len(screen.runs.shown))
    typed(screen, "/", "[nothing]")
    assert "no run has 'nothing' in it" in found(screen, "no run has")


def test_tab_goes_to_the_next_run_that_waits():
    paused = line("r4", RunStatus.PAUSED, at=-3, barriers="b")
    screen = screen_of(waiting("r1"), line("r2", at=-1), waiting("r3", at=-2), paused)

    typed(screen, "tab")
    assert "r3" == screen.runs.selected
    typed(screen, "tab")
    assert "r1" == screen.runs.selected


def test_thousands_of_runs_are_scrolled_by_pages():
    screen = screen_of(*(line(f"r{number}", at=-number) for number in range(5000)))
    screen.feed(Resized(20))
    typed(screen, "page-down", "page-down", "up")

    assert "r39" == screen.runs.selected
    typed(screen, "G", "page-up")
    assert "r4979" == screen.runs.selected
    assert "5,000 runs" in seen(screen)[0]


# -- decisions -------------------------------------------------------------------------------------------------


def test_an_open_barrier_is_approved_at_once_and_rejected_with_a_reason():
    screen = screen_of(waiting(), barriers=[barrier()])

    assert decided(Approve()) == typed(screen, "a")
    assert [] == typed(screen, "r", "[no good ]")
    assert decided(Reject("no good")) == typed(screen, "enter")
    assert [] == typed(screen, "r", "[never mind]", "escape")
    assert screen.prompt is None


def test_a_barrier_with_exits_of_its_own_asks_which():
    screen = screen_of(waiting(), graphs=[graph(sign=["post", "rejected", "shop"])], barriers=[barrier()])

    assert [] == typed(screen, "a", "down", "up", "3")
    assert decided(Choose("shop")) == typed(screen, "enter")
    assert decided(Reject("")) == typed(screen, "r", "enter")
    assert decided(Choose("post")) == typed(screen, "d", "enter")
    assert [] == typed(screen, "d", "2", "enter", "[later]")
    assert decided(Reject("later")) == typed(screen, "enter")


def test_one_of_several_barriers_is_chosen_first():
    screen = screen_of(waiting(), barriers=[barrier("sign@2"), barrier("send@4")])

    assert [] == typed(screen, "r", "j", "enter", "[no]")
    assert decided(Reject("no"), "send@4") == typed(screen, "enter")


@pytest.mark.parametrize(
    "keys, decision",
    [(["enter"], Confirm()), (["2", "enter"], Retry()), (["3", "enter", "[lost]", "enter"], Fail("lost"))],
)
def test_who_asks_about_an_effect_is_told(keys, decision):
    screen = screen_of(waiting(), barriers=[barrier(reconcile=True)])

    assert decided(decision) == typed(screen, "a", *keys)


def test_the_run_that_was_asked_about_is_the_one_that_is_decided():
    screen = screen_of(waiting("r1"), barriers=[barrier()])
    typed(screen, "r", "[n]")
    screen.feed(Changed(1, (waiting("r2", at=9),), ("r1",)))

    assert "r2" == screen.runs.selected
    assert decided(Reject("n")) == typed(screen, "enter")


def test_where_nothing_waits_nothing_is_sent():
    screen = screen_of(line())
    assert [] == typed(screen, "a")
    assert "run r1 waits for nobody" in found(screen, "nobody")
    screen = screen_of(line("r1", RunStatus.SUCCEEDED), barriers=[barrier()])
    assert [] == typed(screen, "a", "r", "c", "p", "d")
    assert "has ended SUCCEEDED" in found(screen, "has ended")
    screen = screen_of()
    assert [] == typed(screen, "a")
    assert "no run is selected" in found(screen, "no run is")


# -- other commands --------------------------------------------------------------------------------------------


def test_a_run_is_cancelled_after_a_question():
    screen = screen_of(line())

    assert [] == typed(screen, "c")
    assert "cancel run r1?" in found(screen, "cancel run")
    assert [] == typed(screen, "escape")
    assert [] == typed(screen, "c", "[too dear]")
    assert [Send(Cancel("", "r1", "too dear"))] == typed(screen, "enter")


def test_a_run_is_paused_and_goes_on():
    assert [Send(Pause("", "r1"))] == typed(screen_of(line()), "p")
    assert [Send(Resume("", "r1"))] == typed(screen_of(line("r1", RunStatus.PAUSED)), "p")


def test_a_run_is_started_with_a_state():
    screen = screen_of(states={"letter": '{"text":""}'})

    assert [] == typed(screen, "n", "left", "left", "[Ann]")
    assert [Send(Submit("", "", "letter", b'{"text":"Ann"}'))] == typed(screen, "enter")
    assert [] == typed(screen, "n", "ctrl-u", "[{]", "enter")
    assert "that is no JSON" in found(screen, "a run of letter")
    assert [Send(Submit("", "", "letter", b"{}"))] == typed(screen, "[}]", "enter")
    assert [] == typed(screen, "n", "ctrl-u", Pasted('{\n "text": "x"\n}\n'))
    assert [Send(Submit("", "", "letter", b'{  "text": "x" }'))] == typed(screen, "enter")


def test_of_several_graphs_one_is_chosen():
    screen = screen_of(graphs=[graph("letter"), graph("order")])

    assert [Send(Submit("", "", "order", b"{}"))] == typed(screen, "n", "2", "enter", "enter")
    screen.feed(Known(()))
    assert [] == typed(screen, "n")


def test_a_run_that_was_started_is_selected_when_it_is_listed():
    screen = screen_of(line("r1"))
    screen.feed(Done(Submit("", "r2", "letter", b"{}"), Submitted("r2", durable=True)))

    assert "r1" == screen.runs.selected
    assert [Watch("r2")] == screen.feed(Changed(1, (line("r2", at=-5),)))


def test_what_became_of_a_command_is_said():
    screen = screen_of(waiting(), barriers=[barrier()])
    decide = Decide("", "r1", "sign@2", Approve())
    typed(screen, "a")
    assert "sent: approve for sign@2 of r1" == found(screen, "sent")
    screen.feed(Done(decide, DecisionTaken("r1", "sign@2", durable=True)))
    assert "decided: approve for sign@2 of r1" == found(screen, "decided")
    screen.feed(NotDone(decide, "not_allowed", "this token may not\x1b[2J decide"))
    assert "not done: this token may not\\x1b[2J decide (not_allowed)" == found(screen, "not done")
    screen.feed(Done(decide, Denied("r1", "too late")))
    assert "refused: too late" == found(screen, "refused")
    screen.feed(Done(Cancel("", "r1"), CancelReceipt("r1", "already_terminal", RunStatus.FAILED, durable=True)))
    assert "run r1 has ended FAILED already" == found(screen, "already")
    typed(screen, "j")
    assert "already" not in "".join(seen(screen))


# -- connections and events ------------------------------------------------------------------------------------


def test_a_lost_connection_shows_and_commands_wait_for_the_next():
    screen = screen_of(waiting(), barriers=[barrier()])
    screen.feed(Lost("refused"))

    assert "connection lost, trying again (refused)" in seen(screen)[0]
    assert decided(Approve()) == typed(screen, "a")
    assert "when there is a connection again" in found(screen, "sent")
    assert [Look("r1")] == screen.feed(Connected())
    assert "ws://here" in seen(screen)[0]


def test_events_are_told_once_and_a_streamed_text_is_one_line():
    screen = screen_of(line())
    chunks = [TextChunk(id=n, node="write", visit=1, text=text, **TOLD) for n, text in enumerate(["Dear ", "Ann"])]
    finished = NodeFinished(id=3, node="write", visit=1, seq=2, mutations=1, **TOLD)
    assert [] == screen.feed(Heard("r1", tuple(chunks)))
    assert [Look("r1")] == screen.feed(Heard("r1", (finished,)))
    screen.feed(Heard("r1", (Gap(3, 7),)))
    screen.feed(Heard("other", tuple(chunks)))

    assert ["write@1: Dear Ann", "write@1 finished, 1 mutation (commit 2)", "... 7 events missing"] == [
        said.text for said in screen.run.events
    ]


def test_who_looks_at_older_events_goes_on_looking_at_them():
    screen = screen_of(line())
    finished = [NodeFinished(id=n, node="write", visit=n, seq=n, mutations=0, **TOLD) for n in range(1, 60)]
    screen.feed(Heard("r1", tuple(finished[:50])))
    typed(screen, "enter", "k", "k", "k")
    assert "write@47 finished" in seen(screen)[-3]
    screen.feed(Heard("r1", tuple(finished[50:])))
    assert "write@47 finished" in seen(screen)[-3]
    assert "12 later ones below" in found(screen, "later")
    typed(screen, "G")
    assert "write@59 finished" in seen(screen)[-3]
    typed(screen, "g")
    assert "write@1 finished" in "".join(seen(screen))


def test_what_could_not_be_found_out_is_said():
    screen = screen_of(line())
    screen.feed(LookFailed("r1", "unknown_run", "no run 'r1'"))
    screen.feed(LookFailed("r0", "unknown_run", "no run 'r0'"))

    assert "no run 'r1' (unknown_run)" == found(screen, "unknown_run")


def test_help_goes_with_any_key_and_q_leaves():
    screen = screen_of(line())

    assert [] == typed(screen, "?", "q")
    assert [Redraw()] == typed(screen, "ctrl-l")
    assert [Leave()] == typed(screen, "q")


def test_what_is_pasted_is_no_key():
    screen = screen_of(waiting(), barriers=[barrier()])

    assert [] == typed(screen, Pasted("aq\n"))


NAMES = ["up", "down", "page-up", "page-down", "home", "end", "enter", "escape", "tab", "left", "right", "backspace"]
KEYS = st.sampled_from([*NAMES, *"ardcpn/?qjkghGl123 {}x日"])
EVENT = BarrierOpened(id=9, barrier="sign@2", name="sign", payload=b"\xc0", reconcile=False, **TOLD)
HAPPENINGS = st.one_of(
    KEYS.map(Key),
    st.text(max_size=5).map(Pasted),
    st.sampled_from(
        [
            listed(line("r1"), waiting("r2", at=1)),
            listed(),
            listed(waiting("r3", at=5), first=True, last=False),
            Changed(1, (waiting("r1", seq=7), line("r4\x1b", RunStatus.FAILED, at=3, message="x\ny" * 99)), ("r2",)),
            looked("r1", barrier(payload={"a": [1, "\x1b"], "b": "x" * 500}), barrier("b@3", reconcile=True)),
            looked("r2", barrier(payload="one\ntwo")),
            Known((graph(sign=["approved", "rejected"]), graph("two", sign=["x"]))),
            Heard("r1", (EVENT, Gap(1, None))),
            Lost("\x1b[2J"),
            Connected(),
            LookFailed("r1", "e", "\x9b"),
            Resized(0),
            NotDone(Pause("", "r1"), "c", "m" * 300),
        ]
    ),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(HAPPENINGS, max_size=40), st.integers(1, 150), st.integers(1, 40), st.booleans())
def test_no_sequence_of_keys_and_frames_is_too_much(happenings, width, height, plain):
    screen = Screen()
    for happening in happenings:
        for effect in screen.feed(happening):
            assert effect
        assert screen.run.run_id == screen.runs.selected
        assert screen.runs.line is not None or not screen.runs.selected
    lines = seen(screen, width, height, plain=plain)

    assert [width] * height == [cells(each) for each in lines]
    assert all(each.isprintable() for each in lines)
    assert not plain or all(each.isascii() for each in lines)
