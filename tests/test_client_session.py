"""`terzetto_protocol.client_session`: what is asked is answered once, what is told is given once, over any cuts."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, event as note, given, settings, strategies as st

from terzetto_protocol.client_session import (
    RETRY_LATER,
    RETRY_SOON,
    Answered,
    ClientSession,
    Ended,
    Given,
    Greeted,
    Later,
    Listed,
    Refused,
    Resumed,
)
from terzetto_protocol.commands import Pause
from terzetto_protocol.errors import InvalidRequest, Malformed, NotStorable, UnknownRun
from terzetto_protocol.event_log import EventLog
from terzetto_protocol.event_reader import Reader
from terzetto_protocol.events import Cursor, Gap, NodeFinished, RunEnded, StreamItem, TextChunk
from terzetto_protocol.ids import event_id
from terzetto_protocol.receipts import PauseReceipt
from terzetto_protocol.session import Perform, Send, Session
from terzetto_protocol.statuses import RunStatus
from terzetto_protocol.wire import (
    CLIENT_FRAMES,
    MAJOR,
    Changed,
    Failed,
    Greet,
    Hello,
    Limits,
    Over,
    Reply,
    Request,
    ServerFrame,
    Told,
    told_frame,
    write_event,
    write_frame,
)
from terzetto_protocol.wire_answers import Following, Health, Unsubscribed
from terzetto_protocol.wire_asks import FollowRuns, GetHealth, Subscribe, Unsubscribe
from terzetto_protocol.wire_errors import WireError

from .frames import any_of

WELL = Health(True, "memory:", False)


def chunk(number):
    return TextChunk(id=number, run_id="r", at=0.0, node="n", visit=1, text="x")


def done(number):
    return NodeFinished(id=number, run_id="r", at=0.0, node="n", visit=1, seq=1, mutations=0)


def ended(number):
    return RunEnded(id=number, run_id="r", at=0.0, status=RunStatus.SUCCEEDED)


def online() -> ClientSession:
    client = ClientSession("tests")
    client.connected()
    assert [Greet(MAJOR, 0, "tests")] == asked(client)
    return client


def asked(client):
    return [CLIENT_FRAMES.from_json(frame) for frame in client.outgoing()]


def hear(client, *frames):
    return [heard for frame in frames for heard in client.feed(write_frame(frame))]


def cut(client):
    client.lost()
    client.connected()
    return asked(client)[1:]


# -- requests ------------------------------------------------------------------------------------------------------


def test_it_says_whether_something_is_to_be_sent():
    session = ClientSession()
    session.ask(Pause("c", "r"))
    silent = session.speaks
    session.connected()
    speaks, sent = session.speaks, len(session.outgoing())

    assert (silent, speaks, sent, session.speaks) == (False, True, 2, False)


def test_each_request_has_an_id_of_its_own_and_its_answer():
    client = online()
    one, other = client.ask(GetHealth()), client.ask(Pause("c", "r"))
    assert [Request(one, GetHealth()), Request(other, Pause("c", "r"))] == asked(client)
    assert [] == asked(client)

    receipt = PauseReceipt("r", "paused", True)
    assert [Answered(other, receipt)] == hear(client, Reply(other, receipt))
    assert [one] == list(client.pending)
    assert [Answered(one, WELL)] == hear(client, Reply(one, WELL))


def test_what_was_not_done_is_an_error_of_the_same_class():
    client = online()
    number = client.ask(GetHealth())
    (refused,) = hear(client, Failed(number, "unknown_run", "no run 'r'", data={"run_id": "r"}))

    assert (number, UnknownRun, "r") == (refused.id, type(refused.error), refused.error.run_id)
    assert not client.pending


def test_what_the_server_could_not_read_is_heard_without_an_id():
    (refused,) = hear(online(), Failed(None, "malformed", "what?"))

    assert (None, Malformed) == (refused.id, type(refused.error))


def test_what_would_not_come_back_is_not_asked():
    client = online()
    with pytest.raises(NotStorable):
        client.ask(Pause("c", "\ud800"))

    assert not client.pending
    assert [] == asked(client)


def test_what_was_not_answered_is_asked_again_with_the_same_ids():
    client = ClientSession()
    first = client.ask(Pause("c", "r"))  # before there is a connection
    assert [] == asked(client)
    client.connected()
    second = client.ask(GetHealth())
    assert [first, second] == [each.id for each in asked(client)[1:]]
    hear(client, Reply(second, WELL))

    assert [Request(first, Pause("c", "r"))] == cut(client)
    assert [Request(first, Pause("c", "r"))] == cut(client)


def test_what_was_not_sent_before_the_cut_is_sent_once_after_it():
    client = online()
    number = client.ask(GetHealth())

    assert [Request(number, GetHealth())] == cut(client)


def test_who_is_limited_waits_and_asks_again():
    client = online()
    number = client.ask(GetHealth())
    asked(client)
    refusals = [Failed(number, "rate_limited", "", data={"retry_after": 2.5}), Failed(number, "too_many_requests", "")]
    assert [Later(number, 2.5), Later(number, RETRY_SOON)] == hear(client, *refusals)
    assert [] == asked(client)

    client.again(number)
    assert [Request(number, GetHealth())] == asked(client)
    hear(client, Reply(number, WELL))
    client.again(number)
    assert [] == asked(client)


@pytest.mark.parametrize("stray", [Reply(7, WELL), Failed(7, "internal", "")])
def test_an_answer_that_nobody_waits_for_is_no_frame(stray):
    with pytest.raises(Malformed, match="it answers request 7"):
        hear(online(), stray)


def test_a_server_of_another_version_is_left():
    hello = Hello(MAJOR, 9, "3", ("read",), Limits())
    assert [Greeted(hello)] == hear(online(), hello)

    with pytest.raises(WireError, match="version 2 of the protocol") as caught:
        hear(online(), Hello(2, 0, "3", (), Limits()))
    assert "other_version" == caught.value.code


# -- subscriptions -------------------------------------------------------------------------------------------------


def subscribed(client, what=None):
    number = client.ask(what or Subscribe("r"))
    asked(client)
    assert [Answered(number, Following(number))] == hear(client, Reply(number, Following(number)))
    return number


def test_events_are_given_in_order_and_the_end_ends_it():
    client = online()
    number = subscribed(client)

    items = (Cursor("fresh"), done(1), chunk(2))
    assert [Given(number, items)] == hear(client, Told(number, items))
    end = [Given(number, (ended(3),)), Ended(number, "ended")]
    assert end == hear(client, Told(number, (ended(3),)), Over(number, "ended"))
    assert [] == cut(client)


def test_a_cut_goes_on_after_the_last_event_and_says_so():
    client = online()
    number = subscribed(client, Subscribe("r", strict=True))
    hear(client, Told(number, (Cursor("fresh"), done(1), chunk(2))))

    assert [Request(number, Subscribe("r", 2, strict=True))] == cut(client)
    heard = hear(client, Reply(number, Following(number)), Told(number, (Cursor("resumed"), chunk(3))))
    assert [Resumed(number), Given(number, (chunk(3),))] == heard


def test_a_cut_before_the_answer_is_a_first_try_again():
    client = online()
    number = client.ask(Subscribe("r", 5))

    assert [Request(number, Subscribe("r", 5))] == cut(client)
    assert [Answered(number, Following(number))] == hear(client, Reply(number, Following(number)))


def test_who_follows_runs_hears_that_it_missed_something():
    client = online()
    number = subscribed(client, FollowRuns(graph="g"))
    changed = Changed(number, (), ("old",))
    assert [Listed(number, changed)] == hear(client, changed)

    assert [Request(number, FollowRuns(graph="g"))] == cut(client)
    assert [Resumed(number)] == hear(client, Reply(number, Following(number)))


@pytest.mark.parametrize("reason", ["gap", "deleted", "ended"])
def test_why_a_subscription_is_over_is_heard(reason):
    client = online()
    number = subscribed(client)

    assert [Ended(number, reason)] == hear(client, Over(number, reason), Over(number, reason))
    assert [] == cut(client)


def test_a_server_that_leaves_or_fails_is_asked_again():
    client = online()
    leaves, fails = subscribed(client), subscribed(client)
    assert [Later(fails, RETRY_LATER)] == hear(client, Over(leaves, "closing"), Over(fails, "failed"))
    client.again(fails)
    assert [Request(fails, Subscribe("r"))] == asked(client)
    assert [Resumed(fails)] == hear(client, Reply(fails, Following(fails)))

    assert [leaves, fails] == [each.id for each in cut(client)]


@pytest.mark.parametrize(
    "code, heard",
    [("unknown_run", "deleted"), ("not_allowed", "refused"), ("store_unavailable", None), ("rate_limited", None)],
)
def test_a_subscription_that_is_not_carried_on_is_over_or_asked_for_later(code, heard):
    client = online()
    number = subscribed(client)
    cut(client)
    (told,) = hear(client, Failed(number, code, ""))

    assert told == Ended(number, heard) if heard else isinstance(told, Later)
    assert (number in client.subscriptions) == (heard is None)
    client.again(number)
    assert ([] if heard else [number]) == [each.id for each in asked(client)]


def test_what_is_left_is_not_heard_of_any_more():
    client = online()
    number = subscribed(client)
    client.unsubscribe(number)
    client.unsubscribe(number)
    (request,) = asked(client)
    assert Unsubscribe(number) == request.ask

    late = [Told(number, (chunk(9),)), Reply(request.id, Unsubscribed(number)), Over(number, "ended")]
    assert [] == hear(client, *late)
    assert not client.pending | client.subscriptions
    assert [] == cut(client)


def test_what_is_left_before_it_is_there_is_left_when_it_is():
    client = online()
    number = client.ask(Subscribe("r"))
    client.unsubscribe(number)
    assert [number] == [each.id for each in asked(client)]

    assert [] == hear(client, Reply(number, Following(number)))
    assert [Unsubscribe(number)] == [each.ask for each in asked(client)]


@pytest.mark.parametrize("refused", [False, True])
def test_what_is_left_while_it_is_asked_for_again_is_left_when_it_is_there(refused):
    client = online()
    number = subscribed(client)
    cut(client)
    client.unsubscribe(number)
    assert [] == asked(client)

    assert [] == hear(client, Failed(number, "unknown_run", "") if refused else Reply(number, Following(number)))
    assert ([] if refused else [Unsubscribe(number)]) == [each.ask for each in asked(client)]


def test_what_is_left_without_a_connection_is_not_asked_for_again():
    client = online()
    there, pending = subscribed(client), client.ask(Subscribe("other"))
    client.lost()
    client.unsubscribe(there)
    client.unsubscribe(pending)
    client.connected()

    assert [] == asked(client)[1:]


def test_leaving_is_no_request():
    with pytest.raises(InvalidRequest, match="left by `unsubscribe`"):
        online().ask(Unsubscribe(1))


# -- whatever comes ------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=20) | any_of(ServerFrame).map(write_frame), max_size=5))
def test_whatever_a_server_sends_is_heard_or_no_frame(frames):
    client = online()
    client.ask(GetHealth())
    client.ask(Subscribe("r"))
    for frame in frames:
        with suppress(Malformed, WireError):
            client.feed(frame)


@pytest.mark.parametrize("name", ["__class__", "args", "with_traceback", "__dict__", "a b", "run_id"])
def test_data_of_a_failure_cannot_take_an_error_apart(name):
    client = online()
    number = client.ask(GetHealth())
    (refused,) = hear(client, Failed(number, "refused", "no", data={name: "x"}))

    assert (Refused, "no", ("no",)) == (type(refused), str(refused.error), refused.error.args)


def test_what_is_nested_deep_in_a_run_is_heard():
    """A client that left because of it would be told it again."""
    deep = b"[" * 200 + b"]" * 200
    event = b'{"type":"CustomChunk","node":"n","visit":1,"name":"x","data":%b,"id":1,"run_id":"r","at":0.0}' % deep
    client = online()
    number = subscribed(client)

    (given,) = client.feed(told_frame(number, [event]))
    assert 1 == given.items[0].id


# -- laws ----------------------------------------------------------------------------------------------------------


class World:
    """A run that tells, a server that forgets, and a wire that may be cut between any two frames, both ways."""

    def __init__(self, window: int) -> None:
        self.log, self.store = EventLog(window=window), list[StreamItem]()
        self.epoch, self.next, self.told = 0, 1, list[int]()
        self.client, self.given, self.answers = ClientSession("law"), list[StreamItem](), list[int]()
        self.number = self.client.ask(Subscribe("r"))
        self.up, self.down = list[bytes](), list[bytes]()
        self.connect()

    def connect(self) -> None:
        self.client.lost()
        self.client.connected()
        self.session, self.reader = Session(scopes=["read"]), None
        self.up, self.down = [], [effect.data for effect in self.session.open() if isinstance(effect, Send)]

    def tell(self, make) -> None:
        if self.log.terminal is None:
            event = make(event_id(self.epoch, self.next))
            self.next += 1
            self.log.append(event)
            self.told.append(event.id)
            if event.durable:
                self.store.append(event)

    def claim(self) -> None:
        """Another owner goes on: nobody knows whether the last one had told something more."""
        if self.log.terminal is None:
            self.epoch, self.next = self.epoch + 1, 1
            self.tell(done)

    def serve(self) -> None:
        """Take one frame of the client, or send it what is next."""
        self.up += self.client.outgoing()
        if self.up:
            for effect in self.session.feed(self.up.pop(0), 0.0):
                assert isinstance(effect, Perform)
                ask, number = effect.request.ask, effect.request.id
                if isinstance(ask, GetHealth):
                    self.push(self.session.reply(number, WELL))
                else:
                    self.reader = Reader(self.log, ask.last_event_id)
                    self.push(self.session.reply(number, Following(number)))
                    self.push(self.session.tell(number, [write_event(self.reader.cursor(self.returning()))]))
        elif self.reader is not None:
            items = self.read(self.reader)
            self.push(self.session.tell(self.number, [write_event(item) for item in items]))
            if self.reader.ended:
                self.push(self.session.over(self.number, "ended"))

    def returning(self) -> int:
        reader = self.reader
        return sum(reader.last < event.id <= reader.goal for event in self.store) if reader.counts else 0

    def read(self, reader: Reader) -> list[StreamItem]:
        if reader.is_behind:
            found = [event for event in self.store if event.id > reader.last][:2]
            return reader.recall(found, min(reader.goal, found[-1].id) if len(found) == 2 else reader.goal)
        return reader.take(2)

    def push(self, effects) -> None:
        self.down += [effect.data for effect in effects if isinstance(effect, Send)]

    def hear(self) -> None:
        """One frame arrives."""
        if self.down:
            for heard in self.client.feed(self.down.pop(0)):
                if isinstance(heard, Given):
                    self.given += heard.items
                elif isinstance(heard, Answered):
                    self.answers.append(heard.id)
                assert not isinstance(heard, Refused)

    def settle(self) -> None:
        for _ in range(1000):
            self.serve()
            self.hear()

    @property
    def events(self) -> list[int]:
        return [item.id for item in self.given if not isinstance(item, Cursor | Gap)]

    @property
    def missed(self) -> list[int | None]:
        return [item.missed for item in self.given if isinstance(item, Cursor | Gap)]


TALK = st.sampled_from(["chunk", "done", "flood"])
READ = st.sampled_from(["serve", "hear", "read", "read", "read"])
CUT = st.sampled_from(["cut", "ask", "read"])


def steps_of(*others: str):
    return st.lists(TALK | READ | CUT | st.sampled_from(others), max_size=40)


def live(world: World, steps: list[str]) -> list[int]:
    wanted = list[int]()
    for step in steps:
        match step:
            case "chunk" | "done":
                world.tell(chunk if step == "chunk" else done)
            case "flood":
                for number in range(11):
                    world.tell(done if number % 4 == 2 else chunk)
            case "ask":
                wanted.append(world.client.ask(GetHealth()))
            case "read":
                world.serve()
                world.hear()
            case "cut":
                world.connect()
            case "claim":
                world.claim()
            case _:
                getattr(world, step)()
    world.tell(ended)
    world.settle()
    return wanted


@settings(max_examples=300, deadline=None)
@given(steps_of("cut"), st.integers(2, 6))
def test_whatever_is_cut_each_event_is_given_once_in_order_and_what_is_missing_is_counted(steps, window):
    """SEMANTICS 8.9: each once, in order; exact inside an epoch (8.2)."""
    world = World(window)
    world.tell(done)  # of a log in which nothing was ever told nobody knows whether it should have been
    wanted = live(world, steps)
    note(f"missed: {any(world.missed)}")
    note(f"cuts: {min(steps.count('cut'), 3)}")

    assert sorted(set(world.events)) == world.events
    assert world.told[-1] == world.events[-1]
    assert set(world.events) >= {event.id for event in world.store}
    assert len(world.told) - len(world.events) == sum(world.missed)
    assert isinstance(world.given[0], Cursor)
    assert not any(isinstance(item, Cursor) for item in world.given[1:])
    assert [world.number, *wanted] == sorted(world.answers)
    assert not world.client.pending | world.client.subscriptions


@settings(max_examples=300, deadline=None)
@given(steps_of("claim"), st.integers(2, 6))
def test_across_epochs_a_hole_is_told_where_it_is(steps, window):
    """SEMANTICS 8.9: where nobody can count, it is said that something is missing."""
    world = World(window)
    live(world, steps)

    assert sorted(set(world.events)) == world.events
    assert set(world.events) >= {event.id for event in world.store}
    missing = len(world.told) - len(world.events)
    assert None in world.missed or missing == sum(world.missed)
    assert missing == 0 or any(missed != 0 for missed in world.missed)
