"""`terzetto_protocol.session`: the server's side of a connection, which nothing from outside brings down."""

import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from terzetto_protocol.commands import Cancel, Command, Decide, Submit, Withdraw
from terzetto_protocol.decisions import Approve, Modify
from terzetto_protocol.errors import InvalidRequest, QueueFull, StoreUnavailable, UnknownRun
from terzetto_protocol.limits import (
    DEPTH,
    MESSAGE_BYTES,
    WIRE_BURST,
    WIRE_PIECE,
    WIRE_RATE,
    WIRE_REQUESTS,
    WIRE_SUBSCRIPTIONS,
)
from terzetto_protocol.receipts import CancelReceipt, Denied
from terzetto_protocol.session import CLOSE_VERSION, Audit, Close, Perform, Send, Session, SessionState
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.views import RunLine
from terzetto_protocol.wire import CLIENT_FRAMES, MAJOR, Failed, Greet, Hello, Limits, Over, Reply, Request, read_frame
from terzetto_protocol.wire_answers import Following, Health, Runs, Unsubscribed
from terzetto_protocol.wire_asks import (
    SCOPES,
    Ask,
    FollowRuns,
    GetHealth,
    GetRun,
    ListRuns,
    Query,
    Subscribe,
    Unsubscribe,
)

from .frames import any_of

ALL = ("read", "decide", "control")
CANCEL = Cancel("c1", "r")


def greeted(*, scopes=ALL, who="ann", **limits) -> Session:
    session = Session(scopes=scopes, who=who, server="9.9", limits=Limits(**limits))
    session.open()
    assert [] == session.feed(CLIENT_FRAMES.to_json(Greet(MAJOR, 0, "tests")), 0.0)
    return session


def ask(session, number, what, at=0.0):
    return session.feed(CLIENT_FRAMES.to_json(Request(number, what)), at)


def sent(effects):
    return [read_frame(effect.data) for effect in effects if isinstance(effect, Send)]


def only(effects):
    (frame,) = sent(effects)
    return frame


def audited(effects):
    return [json.loads(effect.line)["outcome"] for effect in effects if isinstance(effect, Audit)]


# -- greetings and versions ----------------------------------------------------------------------------------------


def test_a_server_greets_first_and_says_what_may_be_done():
    session = Session(scopes={"read", "decide"}, server="9.9")

    assert [Hello(1, 0, "9.9", ("decide", "read"), Limits())] == sent(session.open())
    assert [] == session.open()


def test_nothing_is_asked_before_the_greeting():
    session = Session(scopes=ALL)
    assert [] == ask(session, 1, GetHealth())  # the connection is not there yet
    session.open()

    refusal = only(ask(session, 1, GetHealth()))
    assert (1, "out_of_order") == (refusal.id, refusal.code)
    assert "greet first" in refusal.message
    assert SessionState.OPEN is session.state


def test_a_second_greeting_is_refused_and_changes_nothing():
    session = greeted()

    assert "out_of_order" == only(session.feed(CLIENT_FRAMES.to_json(Greet(MAJOR, 5, "other")), 0.0)).code
    assert ("tests", 0) == (session.client, session.minor)


@pytest.mark.parametrize(
    "greeting",
    [b'{"type":"greet","major":2}', b'{"type":"greet","major":2,"new":[1]}', b'{"type":"greet","major":0,"minor":"x"}'],
)
def test_a_client_of_another_major_version_is_told_and_closed(greeting):
    """Also where its greeting has another form."""
    session = Session(scopes=ALL)
    session.open()
    *_, close = effects = session.feed(greeting, 0.0)

    assert ("other_version", {"major": 1, "minor": 0}) == (only(effects).code, only(effects).data)
    assert Close(CLOSE_VERSION, close.reason) == close
    assert len(close.reason.encode()) <= 123  # what a close frame holds
    assert SessionState.CLOSED is session.state
    assert [] == session.feed(greeting, 0.0)


def test_a_newer_minor_version_is_welcome():
    session = Session(scopes=ALL)
    session.open()

    assert [] == session.feed(b'{"type":"greet","major":1,"minor":7}', 0.0)
    assert 7 == session.minor


# -- what is no request --------------------------------------------------------------------------------------------

MALFORMED = [
    (b"", None, "", "truncated"),
    (b"\xff\xfe", None, "", "invalid character"),
    (b"null", None, "", "Expected `object`, got `null`"),
    (b"[1]", None, "", "Expected `object`, got `array`"),
    (b'{"type":"request","id":3', None, "", "truncated"),
    (b'{"id":3,"ask":{"type":"health"}}', 3, "", "missing required field `type`"),
    (b'{"type":"dance","id":3}', 3, "$.type", "Invalid value 'dance'"),
    (b'{"type":"hello","id":3}', 3, "$.type", "Invalid value 'hello'"),
    (b'{"type":"request","ask":{"type":"health"}}', None, "", "missing required field `id`"),
    (b'{"type":"request","id":null,"ask":{"type":"health"}}', None, "$.id", "Expected `int`, got `null`"),
    (b'{"type":"request","id":"3","ask":{"type":"health"}}', None, "$.id", "Expected `int`, got `str`"),
    (b'{"type":"request","id":-3,"ask":{"type":"health"}}', None, "$.id", "Expected `int` >= 0"),
    (b'{"type":"request","id":9007199254740992,"ask":{"type":"health"}}', None, "$.id", "Expected `int` <="),
    (b'{"type":"request","id":3}', 3, "", "missing required field `ask`"),
    (b'{"type":"request","id":3,"ask":{"type":"health"},"v":1}', 3, "", "unknown field `v`"),
    (b'{"type":"request","id":3,"ask":{"type":"sing"}}', 3, "$.ask.type", "Invalid value 'sing'"),
    (b'{"type":"request","id":3,"ask":{"type":"get"}}', 3, "$.ask", "missing required field `run_id`"),
    (b'{"type":"request","id":3,"ask":{"type":"get","run_id":7}}', 3, "$.ask.run_id", "Expected `str`, got `int`"),
    (b'{"type":"request","id":3,"ask":{"type":"list","limit":1001}}', 3, "$.ask.limit", "Expected `int` <= 1000"),
    (b'{"type":"request","id":3,"ask":{"type":"list","statuses":["GONE"]}}', 3, "$.ask.statuses[0]", "'GONE'"),
    (b'{"type":"request","id":3,"ask":{"type":"submit","command_id":"c","run_id":"r","graph":"g","state":"?"}}', 3,
     "$.ask.state", "Invalid base64"),
    ((b'{"type":"request","id":3,"ask":{"type":"decide","command_id":"c","run_id":"r","barrier":"","decision":{"type":'
     b'"modify","changes":{"a":1e999}}}}'), 3, "$.ask.decision.changes[...]", "Number out of range"),
    (b'{"type":"request","id":3,"ask":{"type":"get","run_id":"\\ud800"}}', None, "", "truncated"),
    (b'{"type":"request","id":3,"ask":' + b"[" * (DEPTH + 1), None, "", "nested deeper than 64 levels"),
]  # fmt: skip


@pytest.mark.parametrize("frame, number, path, message", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_malformed_is_answered_with_its_place(frame, number, path, message):
    session = greeted()
    (effect,) = session.feed(frame, 0.0)
    failed = only([effect])

    assert ("malformed", number, path) == (failed.code, failed.id, failed.path)
    assert message in failed.message
    assert SessionState.GREETED is session.state
    assert [Perform(Request(3, GetHealth()))] == ask(session, 3, GetHealth())


def test_a_frame_that_is_too_large_is_not_looked_at():
    failed = only(greeted().feed(b"x" * (MESSAGE_BYTES + 1), 0.0))

    assert (None, "too_large") == (failed.id, failed.code)


def test_what_no_store_could_hold_is_refused():
    changes = b'{"type":"modify","changes":{"n":%d}}' % (1 << 80)
    frame = (
        b'{"type":"request","id":1,"ask":{"type":"decide","command_id":"c","run_id":"r","barrier":"","decision":%b}}'
    )
    effects = greeted().feed(frame % changes, 0.0)

    assert (1, "not_storable") == (only(effects).id, only(effects).code)
    assert ["refused: not_storable"] == audited(effects)


# -- scopes --------------------------------------------------------------------------------------------------------


def test_who_may_read_may_change_nothing_and_who_decides_may_decide():
    assert {Decide, Withdraw} == {kind for kind, scope in SCOPES.items() if scope == "decide"}
    assert set(get_args(Query)) == {kind for kind, scope in SCOPES.items() if scope == "read"}
    assert set(get_args(Command)) - {Decide, Withdraw} == {kind for kind, scope in SCOPES.items() if scope == "control"}


@pytest.mark.parametrize("scope", ALL)
@pytest.mark.parametrize("kind", get_args(Ask), ids=lambda kind: kind.__name__)
def test_every_request_takes_its_scope_and_no_other_will_do(kind, scope):
    @settings(max_examples=1)
    @given(any_of(kind))
    def check(what):
        session = greeted(scopes=[scope])
        effects = ask(session, 1, what)
        if SCOPES[kind] != scope:
            assert ("not_allowed", {"scope": SCOPES[kind]}) == (only(effects).code, only(effects).data)
            assert audited(effects) == ([] if SCOPES[kind] == "read" else ["refused: not_allowed"])
            assert not session.waiting
        elif kind is not Unsubscribe:
            assert isinstance(effects[0], Perform)

    check()


# -- how much and how often ----------------------------------------------------------------------------------------


def test_too_many_frames_are_told_when_to_come_back():
    session = greeted(rate=2.0, burst=3)
    assert [Perform, Perform] == [type(ask(session, n, GetHealth(), 0.0)[0]) for n in (1, 2)]  # and the greeting

    failed = only(ask(session, 3, GetHealth(), 0.0))
    assert (3, "rate_limited", {"retry_after": 0.5}) == (failed.id, failed.code, failed.data)
    assert isinstance(ask(session, 3, GetHealth(), 0.5)[0], Perform)
    assert "rate_limited" == only(session.feed(b"junk", 0.5)).code  # whatever it is


def test_a_client_that_comes_back_with_all_it_may_have_is_not_limited():
    session = Session(scopes=ALL)
    session.open()
    session.feed(CLIENT_FRAMES.to_json(Greet(MAJOR)), 0.0)
    for number in range(WIRE_SUBSCRIPTIONS):
        assert isinstance(ask(session, number, Subscribe("r"))[0], Perform)
        session.reply(number, Following(number))
    for number in range(WIRE_SUBSCRIPTIONS, WIRE_SUBSCRIPTIONS + WIRE_REQUESTS):
        assert isinstance(ask(session, number, GetHealth())[0], Perform)
    assert WIRE_RATE < 1 + WIRE_SUBSCRIPTIONS + WIRE_REQUESTS < WIRE_BURST


def test_only_so_many_requests_wait_at_once():
    session = greeted(requests=2)
    ask(session, 1, GetHealth())
    ask(session, 2, GetHealth())

    failed = only(ask(session, 3, GetHealth()))
    assert (3, "too_many_requests", {"limit": 2}) == (failed.id, failed.code, failed.data)
    session.fail(1, UnknownRun("r"))
    assert isinstance(ask(session, 3, GetHealth())[0], Perform)


def test_only_so_many_subscriptions_live_at_once_and_those_that_are_asked_for_count():
    session = greeted(subscriptions=2)
    ask(session, 1, Subscribe("r"))
    ask(session, 2, FollowRuns())
    session.reply(2, Following(2))

    assert "too_many_subscriptions" == only(ask(session, 3, Subscribe("r"))).code
    session.fail(1, UnknownRun("r"))
    assert isinstance(ask(session, 3, Subscribe("r"))[0], Perform)
    session.reply(3, Following(3))
    assert "too_many_subscriptions" == only(ask(session, 4, FollowRuns())).code
    session.over(2, "closing")
    assert isinstance(ask(session, 4, FollowRuns())[0], Perform)


@pytest.mark.parametrize("second", [GetHealth(), CANCEL])
def test_an_id_that_waits_or_is_subscribed_is_taken(second):
    """What is said of the second is not to be taken for the answer to the first: it has no id."""
    session = greeted()
    ask(session, 1, GetHealth())
    failed = only(ask(session, 1, second))
    assert (None, "duplicate_id", "$.id", {"id": 1}) == (failed.id, failed.code, failed.path, failed.data)
    assert None is only(session.feed(b'{"type":"request","id":1}', 0.0)).id

    session.reply(1, Health(True, "memory:", False))
    ask(session, 1, Subscribe("r"))  # free again
    session.reply(1, Following(1))
    assert "duplicate_id" == only(ask(session, 1, second)).code
    assert [1] == list(session.subscriptions)


# -- answers -------------------------------------------------------------------------------------------------------


def test_an_answer_is_sent_once_and_is_of_its_kind():
    session = greeted()
    ask(session, 1, ListRuns())
    with pytest.raises(InvalidRequest, match="a list is answered by 'runs', not by 'health'"):
        session.reply(1, Health(True, "memory:", False))

    assert [Reply(1, Runs(()))] == sent(session.reply(1, Runs(())))
    for again in (lambda: session.reply(1, Runs(())), lambda: session.fail(1, UnknownRun("r"))):
        with pytest.raises(InvalidRequest, match="no request 1 waits"):
            again()


def test_a_command_is_answered_by_a_receipt():
    session = greeted()
    ask(session, 1, CANCEL)
    with pytest.raises(InvalidRequest, match="a cancel is answered by a receipt, not by 'runs'"):
        session.reply(1, Runs(()))

    assert [Reply(1, Denied("r", "no"))] == sent(session.reply(1, Denied("r", "no")))


def test_a_decision_without_a_source_is_of_who_is_connected():
    decide = Decide("c", "r", "b", Approve())

    (perform,) = ask(greeted(who="ann"), 1, decide)
    assert "ann" == perform.request.ask.source
    (perform,) = ask(greeted(who="ann"), 1, msgspec.structs.replace(decide, source="bob"))
    assert "bob" == perform.request.ask.source


def test_what_has_gone_wrong_inside_is_not_told():
    session = greeted()
    ask(session, 1, GetHealth())
    failed = only(session.fail(1, RuntimeError("/srv/secret/path")))

    assert Failed(1, "internal", "something went wrong in the server; its log says what") == failed


def test_an_error_says_when_to_come_back():
    session = greeted()
    ask(session, 1, Submit("c", "r", "g", b"{}"))

    assert 2.5 == only(session.fail(1, QueueFull(7, 2.5))).data["retry_after"]


def test_an_answer_that_is_too_large_is_an_error():
    session = greeted(answer=100)
    ask(session, 1, GetHealth())

    failed = only(session.reply(1, Health(True, "x" * 100, False)))
    assert (1, "too_large") == (failed.id, failed.code)
    assert not session.waiting


def test_an_answer_that_cannot_be_said_is_an_error():
    session = greeted()
    ask(session, 1, GetHealth())

    assert "internal" == only(session.reply(1, Health(True, "\ud800", False))).code


# -- the audit log -------------------------------------------------------------------------------------------------


def test_every_command_has_one_line_that_says_what_became_of_it():
    session = greeted(scopes=["read", "control"])
    asked = [CANCEL, Cancel("c2", "r"), Decide("c3", "r", "b", Approve()), GetRun("r"), Cancel("c4", "r")]
    effects = [effect for number, what in enumerate(asked) for effect in ask(session, number, what)]
    effects += session.reply(0, CancelReceipt("r", "stopped", RunStatus.CANCELLED, True))
    effects += session.fail(1, StoreUnavailable("x"))
    effects += session.fail(3, UnknownRun("r"))
    effects += session.close()

    assert ["refused: not_allowed", "cancel", "failed: store_unavailable", "unanswered"] == audited(effects)
    (line, *_) = [json.loads(effect.line) for effect in session_lines(effects)]
    assert {"who": "ann", "client": "tests", "request": 2, "command": "decide", "run": "r", "command_id": "c3",
            "outcome": "refused: not_allowed"} == line  # fmt: skip


def session_lines(effects):
    return [effect for effect in effects if isinstance(effect, Audit)]


def test_a_line_is_one_line_and_holds_nothing_of_a_decision():
    session = greeted()
    ask(session, 1, Decide("c" * 10_000, "r\n\x1b[2Jroot", "b", Modify({"secret": "hush"})))
    (line,) = session.close()

    assert "\n" not in line.line
    assert "\x1b" not in line.line
    assert "hush" not in line.line
    assert len(line.line) < 1000


# -- subscriptions -------------------------------------------------------------------------------------------------


def following(session, number=1, what=None):
    ask(session, number, what or Subscribe("r"))
    return session.reply(number, Following(number))


def test_nothing_is_told_before_the_answer_or_after_the_end():
    session, beat = greeted(), [b'{"type":"Heartbeat"}']
    ask(session, 1, Subscribe("r"))
    assert [] == session.tell(1, beat)

    session.reply(1, Following(1))
    assert [Send(b'{"type":"told","subscription":1,"events":[{"type":"Heartbeat"}]}')] == session.tell(1, beat)
    assert [Over(1, "ended")] == sent(session.over(1, "ended"))
    assert [] == session.tell(1, beat) + session.over(1, "ended")


def test_what_is_left_is_told_nothing_more():
    session = greeted()
    following(session)
    (perform,) = ask(session, 2, Unsubscribe(1))
    assert 1 == perform.request.ask.subscription
    assert [Reply(2, Unsubscribed(1))] == sent(session.reply(2, Unsubscribed(1)))

    assert [] == session.tell(1, [b'{"type":"Heartbeat"}'])
    failed = only(ask(session, 3, Unsubscribe(1)))
    assert ("unknown_subscription", "$.ask.subscription") == (failed.code, failed.path)


def test_who_follows_runs_is_told_how_they_are_listed_now():
    line = RunLine("r", "g", "1", RunStatus.QUEUED, "", "", 0.0, 0.0, 1, 0, ())
    session = greeted()
    following(session, 1, FollowRuns())
    following(session, 2)

    changed = only(session.change(1, [line], ["old"]))
    assert ((line,), ("old",)) == (changed.runs, changed.deleted)
    assert [] == session.change(2, [line]) + session.tell(1, [b"{}"])  # each is told its own


def test_a_long_list_of_events_is_sent_in_pieces():
    session = greeted()
    following(session)

    assert 3 == len(session.tell(1, [b'{"type":"Heartbeat"}' + b" " * (WIRE_PIECE - 50)] * 3))


def test_a_connection_that_is_gone_is_told_nothing():
    session = greeted()
    following(session)
    ask(session, 2, GetHealth())
    session.close()

    assert [] == session.tell(1, [b"{}"]) + session.over(1, "ended") + session.reply(2, Runs(())) + session.close()
    assert [] == session.fail(2, UnknownRun("r")) + ask(session, 3, GetHealth())
    assert not session.waiting | session.subscriptions


# -- whatever comes ------------------------------------------------------------------------------------------------

PIECES = st.sampled_from([
    b'{"type":"request"', b',"id":1', b',"ask":', b'{"type":"list"}', b"}", b"{", b"]", b'"', b"\\", b'"limit":',
    b'{"type":"greet","major":1}', b"1e9", b"\xc3", b"[", b"null", b":", b",",
])  # fmt: skip


@settings(max_examples=300)
@given(st.booleans(), st.lists(st.binary(max_size=30) | st.lists(PIECES, max_size=12).map(b"".join), max_size=8))
def test_whatever_comes_is_answered_by_one_frame_at_most(polite, frames):
    session = Session(scopes=ALL)
    session.open()
    if polite:
        session.feed(CLIENT_FRAMES.to_json(Greet(MAJOR)), 0.0)
    for at, frame in enumerate(frames):
        effects = session.feed(frame, float(at))

        assert len(effects) <= 1
        assert all(isinstance(effect, Send | Perform) for effect in effects)


@settings(max_examples=200, deadline=None)
@given(st.data(), any_of(Request))
def test_a_frame_with_a_mistake_in_it_is_answered_by_one_frame_at_most(data, request):
    frame = bytearray(CLIENT_FRAMES.to_json(request))
    where = data.draw(st.integers(0, len(frame) - 1))
    frame[where] = data.draw(st.integers(0, 255))
    session = greeted()
    effects = session.feed(bytes(frame), 0.0)

    assert 1 == len([effect for effect in effects if not isinstance(effect, Audit)])
