"""`terzetto_protocol.wiring`: what links do with values, and what a visit is called with (SEMANTICS 5.7)."""

from collections import Counter
from typing import Annotated, Any, Literal

import attrs
import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from msgspec import Raw

from terzetto_protocol.codec import pack
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.errors import InvalidInput, InvalidRequest, Malformed, NotStorable
from terzetto_protocol.flow_sent import DIGEST_BYTES, digest_of, sent_before
from terzetto_protocol.flow_state import FlowState, Out, Task
from terzetto_protocol.limits import MESSAGE_BYTES, PAYLOAD_DEPTH
from terzetto_protocol.records import Failure
from terzetto_protocol.wiring import INPUTS, OUTPUTS, Pin, Pinned, Wiring, as_plain

from .flows import Person, linked

QUICK = settings(max_examples=300, deadline=None, derandomize=True)


def wired(*words: str, **nodes: Pinned) -> Wiring:
    """Nodes that take and send anything, unless something is said about them, and these links."""
    links = linked(*words)
    names = dict.fromkeys([*(link.source for link in links), *(link.sink for link in links), *nodes])
    anything = Pinned({}, {}, is_open=True, sends_any=True)
    specs = {name: nodes.get(name, anything) for name in names if name not in (INPUTS, OUTPUTS)}
    return Wiring({INPUTS: Pinned({}, {}), **specs}, links, goes_on=True, limit=None)


def taking(**pins: Any) -> Pinned:
    """A node with inputs of these types."""
    return Pinned({name: Pin(name, kind) for name, kind in pins.items()}, {})


def moved(wiring: Wiring, state: FlowState, *moves: Recorded) -> FlowState:
    """Move the state as the log does: by names and bytes."""
    for move in moves:
        wiring.moves()[move.name](move.body).apply(state)
    return state


def sent(wiring: Wiring, state: FlowState, *values: tuple[str, Any]) -> FlowState:
    """Send values from outputs, as `node.output`."""
    for source, value in values:
        node, _, output = source.partition(".")
        moved(wiring, state, wiring.passed(0, node, output, pack(value, output)))
    return state


def begun(wiring: Wiring, **given: Any) -> FlowState:
    return moved(wiring, FlowState(given), wiring.begun())


def tasks(state: FlowState) -> list[tuple[str, dict[str, Any]]]:
    return [(task.node, task.pins) for task in state.tasks.values()]


# -- the pairing rule -------------------------------------------------------------------------------------------------


def test_a_value_goes_to_the_node_that_is_linked():
    wiring = wired("a.out>b.x")

    assert tasks(sent(wiring, FlowState(), ("a.out", 1), ("a.out", 2))) == [("b", {"x": 1}), ("b", {"x": 2})]


def test_what_no_link_takes_goes_nowhere():
    assert sent(wired("a.out>b.x"), FlowState(), ("a.other", 1), ("c.out", 1)) == FlowState()


def test_the_nth_value_of_every_pin_goes_to_the_nth_visit():
    """5.7: the earliest incomplete visit gets the next value."""
    wiring = wired("a.out>c.x", "b.out>c.y")
    state = sent(wiring, FlowState(), ("a.out", 1), ("a.out", 2), ("a.out", 3))

    assert tasks(state) == []
    assert state.waiting == {"c": {"x": [1, 2, 3]}}
    assert tasks(sent(wiring, state, ("b.out", "p"), ("b.out", "q"))) == [
        ("c", {"x": 1, "y": "p"}),
        ("c", {"x": 2, "y": "q"}),
    ]
    assert state.waiting == {"c": {"x": [3]}}


def test_links_into_one_pin_make_one_queue():
    wiring = wired("a.out>c.x", "b.out>c.x")

    assert tasks(sent(wiring, FlowState(), ("a.out", 1), ("b.out", 2))) == [("c", {"x": 1}), ("c", {"x": 2})]


def test_a_value_that_goes_into_one_pin_twice_is_two_values():
    wiring = wired("a.out>c.x", "a.out>c.x", "b.out>c.y")

    assert sent(wiring, FlowState(), ("a.out", 1)).waiting == {"c": {"x": [1, 1]}}


def test_a_value_fills_several_pins_of_one_node_at_once():
    wiring = wired("a.out>c.x", "a.out>c.y")

    assert tasks(sent(wiring, FlowState(), ("a.out", 1))) == [("c", {"x": 1, "y": 1})]


def test_visits_of_several_nodes_come_in_the_order_of_the_links():
    wiring = wired("a.out>c.x", "a.out>b.x")

    assert [node for node, _ in tasks(sent(wiring, FlowState(), ("a.out", 1)))] == ["c", "b"]


def test_none_is_a_value():
    assert tasks(sent(wired("a.out>b.x"), FlowState(), ("a.out", None))) == [("b", {"x": None})]


def test_a_node_may_be_linked_to_itself():
    assert tasks(sent(wired("a.out>a.x"), FlowState(), ("a.out", 1))) == [("a", {"x": 1})]


def test_tickets_rise_and_are_never_used_again():
    wiring = wired("a.out>b.x")
    state = sent(wiring, FlowState(), ("a.out", 1))
    moved(wiring, state, wiring.over(1))

    assert list(sent(wiring, state, ("a.out", 2)).tasks) == [2]
    assert moved(wiring, state, wiring.over(1)).tasks == {2: Task("b", {"x": 2})}


# -- static links -----------------------------------------------------------------------------------------------------


def test_a_static_link_keeps_its_last_value():
    """5.7: static links keep their last value."""
    wiring = wired("a.out>c.x", "b.out=c.y")
    state = sent(wiring, FlowState(), ("b.out", "old"), ("a.out", 1), ("b.out", "new"), ("a.out", 2), ("a.out", 3))

    assert [pins for _, pins in tasks(state)] == [{"x": 1, "y": "old"}, {"x": 2, "y": "new"}, {"x": 3, "y": "new"}]


def test_a_static_value_goes_to_the_visits_that_wait_for_it():
    wiring = wired("a.out>c.x", "b.out=c.y")
    state = sent(wiring, FlowState(), ("a.out", 1), ("a.out", 2), ("b.out", "late"))

    assert [pins for _, pins in tasks(state)] == [{"x": 1, "y": "late"}, {"x": 2, "y": "late"}]
    assert state.waiting == {}


def test_a_static_value_alone_begins_no_visit_that_lacks_another():
    assert tasks(sent(wired("a.out>c.x", "b.out=c.y"), FlowState(), ("b.out", 1), ("b.out", 2))) == []


def test_a_node_whose_links_are_all_static_is_visited_for_each_new_value():
    wiring = wired("a.out=c.x", "b.out=c.y")
    state = sent(wiring, FlowState(), ("a.out", 1), ("a.out", 2), ("b.out", "p"), ("a.out", 3))

    assert [pins for _, pins in tasks(state)] == [{"x": 2, "y": "p"}, {"x": 3, "y": "p"}]


@pytest.mark.parametrize("order", [("a.out>c.x", "a.out=c.y"), ("a.out=c.y", "a.out>c.x")])
def test_a_static_link_beside_another_brings_the_same_value_whichever_was_declared_first(order):
    state = sent(wired(*order), FlowState(), ("a.out", 1), ("a.out", 2))

    assert [pins for _, pins in tasks(state)] == [{"x": 1, "y": 1}, {"x": 2, "y": 2}]


def test_where_both_lead_into_one_pin_what_waits_goes_before_what_lasts():
    wiring = wired("a.out>c.x", "b.out=c.x", "d.out>c.y")
    state = sent(wiring, FlowState(), ("b.out", "lasting"), ("a.out", "once"), ("d.out", 1), ("d.out", 2))

    assert [pins for _, pins in tasks(state)] == [{"x": "once", "y": 1}, {"x": "lasting", "y": 2}]


def test_where_both_lead_into_the_only_pin_each_value_is_a_visit():
    state = sent(wired("a.out>c.x", "b.out=c.x"), FlowState(), ("a.out", 1), ("b.out", 2), ("a.out", 3))

    assert [pins for _, pins in tasks(state)] == [{"x": 1}, {"x": 2}, {"x": 3}]


# -- parts of values --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output, value, part",
    [
        ("out_$_1", [1, 2], 2),
        ("out_#_k", {"k": 3}, 3),
        ("out_@_name", {"name": "x"}, "x"),
        ("out_#_rows_$_0_@_id", {"rows": [{"id": 7}]}, 7),
        ("out_#_k", {"k": None}, None),
    ],
)
def test_a_link_takes_the_part_that_its_name_says(output, value, part):
    """5.7: a link to a part of a value."""
    assert tasks(sent(wired(f"a.{output}>b.x"), FlowState(), ("a.out", value))) == [("b", {"x": part})]


@pytest.mark.parametrize("value", [[1], {"k": 1}, "text", None, 5])
@pytest.mark.parametrize("output", ["out_$_1", "out_#_none", "out_#_k_$_0"])
def test_a_value_without_the_part_brings_nothing(output, value):
    assert sent(wired(f"a.{output}>b.x"), FlowState(), ("a.out", value)) == FlowState()


def test_a_static_link_keeps_the_part_that_came_last():
    wiring = wired("a.out_#_k=b.x", "c.out>b.y")
    state = sent(wiring, FlowState(), ("a.out", {"k": 1}), ("a.out", {}), ("c.out", 0))

    assert tasks(state) == [("b", {"x": 1, "y": 0})]


def test_pins_that_reach_into_one_input_make_it_up_together():
    wiring = wired("a.out>c.v_#_one", "b.out>c.v_#_two_$_1", c=taking(v=Any))
    state = sent(wiring, FlowState(), ("a.out", 1), ("b.out", 2))

    assert wiring.arguments(state, 1) == {"v": {"one": 1, "two": [None, 2]}}


# -- the beginning and the end ----------------------------------------------------------------------------------------


def test_inputs_go_out_when_it_begins():
    wiring = wired(".topic>a.x", ".topic=b.x", ".topic>.echo")
    state = begun(wiring, topic="rain")

    assert tasks(state) == [("a", {"x": "rain"}), ("b", {"x": "rain"})]
    assert state.outputs == {"echo": ["rain"]}


def test_nodes_that_wait_for_nothing_begin_once():
    wiring = wired("a.out>c.x", b=Pinned({}, {}))
    state = begun(wiring)

    assert tasks(state) == [("a", {}), ("b", {})]


def test_a_node_whose_input_never_comes_does_not_begin():
    assert tasks(begun(wired(".topic>a.x", ".other>a.y"), topic="rain")) == []


def test_what_comes_out_is_kept_in_order():
    state = sent(wired("a.out>.p", "b.out>.q", "b.out_#_k>.p"), FlowState(), ("b.out", {"k": 1}), ("a.out", 2))

    assert state.sent == [Out("q", {"k": 1}), Out("p", 1), Out("p", 2)]
    assert state.outputs == {"q": [{"k": 1}], "p": [1, 2]}


def test_what_went_wrong_comes_out_as_an_error():
    wiring = wired("a.error>b.x")
    state = begun(wiring)
    moved(wiring, state, *wiring.failed(1, "a", Failure("node_error", "ValueError: no")))

    assert tasks(state) == [("b", {"x": "ValueError: no"})]
    assert wiring.takes_error("a")
    assert not wiring.takes_error("b")


# -- what a node is called with ---------------------------------------------------------------------------------------


def called(spec: Pinned, pins: dict[str, Any], masks: dict[str, Any] | None = None) -> dict[str, Any]:
    """What node `n` is called with when these pins came in."""
    state = FlowState(tasks={1: Task("n", pins)}, masks={} if masks is None else {"n": masks})
    return Wiring({"n": spec}, [], goes_on=True, limit=None).arguments(state, 1)


@attrs.frozen
class Town:
    name: str
    people: int = 0


def test_defaults_then_what_came_in_then_masks():
    """5.7: defaults, then what came in, then the run's masks."""
    spec = Pinned(taking(a=int, b=int, c=int).inputs, {}, defaults={"a": 1, "b": 1, "c": 1})

    assert called(spec, {"b": 2, "c": 2}, {"c": 3}) == {"a": 1, "b": 2, "c": 3}


def test_a_whole_value_replaces_a_default_that_reached_into_it():
    spec = Pinned(taking(v=Any).inputs, {}, defaults={"v_#_town": "Rome", "v_#_year": 1})

    assert called(spec, {"v": {"town": "Bonn"}}) == {"v": {"town": "Bonn"}}


def test_a_part_goes_into_the_default():
    spec = Pinned(taking(v=Any).inputs, {}, defaults={"v": {"town": "Rome", "year": 1}})

    assert called(spec, {"v_#_town": "Bonn"}) == {"v": {"town": "Bonn", "year": 1}}
    assert spec.defaults == {"v": {"town": "Rome", "year": 1}}


@pytest.mark.parametrize("default", [{"town": "Rome", "year": 1}, {"year": 1}])
def test_a_part_goes_into_what_the_function_declares(default):
    spec = Pinned({"v": Pin("v", dict[str, Any], default), "w": Pin("w", int, 5)}, {})

    assert called(spec, {"v_#_town": "Bonn"}) == {"v": {"town": "Bonn", "year": 1}}
    assert called(spec, {}, {"v_#_town": "Bonn"}) == {"v": {"town": "Bonn", "year": 1}}
    assert called(spec, {"v": {"town": "Rom"}}, {"v_#_year": 2}) == {"v": {"town": "Rom", "year": 2}}


def test_a_part_goes_into_a_declared_value_of_a_class():
    spec = Pinned({"v": Pin("v", Town, Town("Rome", 1))}, {})

    assert called(spec, {"v_@_name": "Bonn"}) == {"v": Town("Bonn", 1)}


def test_a_declared_default_is_left_to_the_function():
    assert called(Pinned({"v": Pin("v", int, object())}, {}), {}) == {}


def test_a_mask_may_reach_into_what_came_in():
    assert called(taking(v=Any), {"v": {"a": 1, "b": 1}}, {"v_#_b": 2}) == {"v": {"a": 1, "b": 2}}


def test_values_have_their_declared_types():
    """5.7: named, typed inputs and outputs."""
    spec = taking(a=Town, b=list[Town], c=Annotated[float, "unhashable", []], d=Literal["x"], e=int | None)
    made = called(spec, {"a": {"name": "Bonn"}, "b": [{"name": "Rom", "people": 3}], "c": 1, "d": "x", "e": None})

    assert made == {"a": Town("Bonn"), "b": [Town("Rom", 3)], "c": 1.0, "d": "x", "e": None}


def test_every_value_is_a_copy():
    wiring = wired("a.out>b.x", "a.out>c.x", "a.out>.o", "a.out=d.x")
    state = sent(wiring, FlowState(), ("a.out", {"deep": [1]}))
    before = msgspec.msgpack.encode(state)
    for ticket in state.tasks:
        wiring.arguments(state, ticket)["x"]["deep"].append(2)

    assert msgspec.msgpack.encode(state) == before


def test_defaults_and_masks_are_copied_too():
    spec, masks = Pinned(taking(a=Any).inputs, {}, defaults={"a": [1]}), {"a": [2]}
    called(spec, {})["a"].append(0)
    called(spec, {}, masks)["a"].append(0)

    assert (dict(spec.defaults), masks) == ({"a": [1]}, {"a": [2]})


@pytest.mark.parametrize(
    "pins, pin, reason",
    [
        ({"n": "three", "t": ""}, "n", "Expected `int`, got `str`"),
        ({"n": 1.5, "t": ""}, "n", "Expected `int`, got `float`"),
        ({"n": None, "t": ""}, "n", "Expected `int`, got `None`"),
        ({"n": 1}, "t", "nothing came in, and it has no default"),
        ({"n": 1, "t": "", "z": 1}, "z", "it has no input of this name; it has n, t"),
        ({"n": 1, "t_$_0": "a"}, "t", "Expected `str`, got `array`"),
        ({"n": 1, "t_$_x": "a"}, "", "an index is a number"),
        ({"n": 1, "t_$_0": "a", "t_#_b": "c"}, "", "make a list and a dict of the same value"),
        ({"n": 1, "t": "x", "t_#_b": "c"}, "", "makes a dict where str is"),
        ({"n": 1, "t": "x" * (MESSAGE_BYTES + 1)}, "t", "and the limit is"),
    ],
)
def test_what_does_not_fit_is_said_with_its_pin(pins, pin, reason):
    with pytest.raises(InvalidInput) as caught:
        called(taking(n=int, t=str), pins)

    assert (caught.value.node, caught.value.pin) == ("n", pin)
    assert reason in str(caught.value)


def test_a_node_that_takes_others_too_gets_them_as_they_came():
    spec = Pinned(taking(n=int).inputs, {}, is_open=True)

    assert called(spec, {"n": 1, "extra": [1], "more_#_k": 2}) == {"n": 1, "extra": [1], "more": {"k": 2}}


# -- what is sent -----------------------------------------------------------------------------------------------------


def sending(**outputs: Any) -> Wiring:
    return Wiring({"n": Pinned({}, outputs)}, [], goes_on=True, limit=None)


@pytest.mark.parametrize(
    "kind, value",
    [(int, 1), (Any, {1: None, (1, 2): b"x"}), (Town, Town("Bonn")), (list[Town], [Town("Bonn", 2)]), (float, 1)],
)
def test_a_value_of_its_type_is_encoded(kind, value):
    data = sending(out=kind).encode("n", "out", value)

    assert msgspec.msgpack.decode(data) == msgspec.msgpack.decode(msgspec.msgpack.encode(value))


@attrs.frozen
class Key:
    name: str


def nested(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "kind, value",
    [
        (int, "1"),
        (Town, {"name": "Bonn"}),
        (list[int], [1, "2"]),
        (Any, float("nan")),
        (Any, "\ud800"),
        (Any, object()),
        (Any, {Key("unhashable"): 1}),
        (dict[Key, int], {Key("unhashable"): 1}),
        (Any, nested(PAYLOAD_DEPTH + 1)),
        (Any, nested(5000)),
        (Any, 2**64),
        (Any, "x" * MESSAGE_BYTES),
    ],
)
def test_what_would_not_come_back_is_not_sent(kind, value):
    with pytest.raises(NotStorable, match="what 'n' sends as 'out'"):
        sending(out=kind).encode("n", "out", value)


def test_the_deepest_value_that_is_allowed_goes_all_the_way():
    wiring = wired("a.out>b.x", "a.out>.o", a=Pinned({}, {"out": Any}))
    data = wiring.encode("a", "out", nested(PAYLOAD_DEPTH))
    state = moved(wiring, FlowState(), wiring.passed(0, "a", "out", data))

    assert wiring.arguments(state, 1) == {"x": nested(PAYLOAD_DEPTH)}
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=FlowState) == state


@pytest.mark.parametrize("output, reason", [("nope", "it has out, log"), ("error", "raise what went wrong")])
def test_an_output_that_is_not_there(output, reason):
    with pytest.raises(InvalidRequest, match=reason):
        sending(out=int, log=str).encode("n", output, 1)


def test_a_node_that_sends_anything_has_every_output_but_error():
    wiring = Wiring({"n": Pinned({}, {"out": int}, sends_any=True)}, [], goes_on=True, limit=None)

    assert wiring.encode("n", "whatever", "x") == pack("x", "")
    with pytest.raises(NotStorable):
        wiring.encode("n", "out", "x")
    with pytest.raises(InvalidRequest):
        wiring.encode("n", "error", "x")


@pytest.mark.parametrize("name", ["@passed", "@over"])
def test_bytes_that_are_no_move(name):
    with pytest.raises(Malformed):
        wired().moves()[name](Raw(b"\xa1x")).apply(FlowState())


# -- plain data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, value, plain",
    [
        (Any, (1, {2}), [1, [2]]),
        (Town, Town("Bonn", 1), {"name": "Bonn", "people": 1}),
        (Town, {"name": "Bonn"}, {"name": "Bonn"}),
        (float, 1, 1),
        (list[Town], [Town("Bonn")], [{"name": "Bonn", "people": 0}]),
    ],
)
def test_values_of_a_type_and_plain_data_are_taken(kind, value, plain):
    assert as_plain("n", "x", kind, value) == plain


@pytest.mark.parametrize(
    "kind, value", [(int, "1"), (Town, {"people": 1}), (Any, float("inf")), (Any, nested(PAYLOAD_DEPTH + 1))]
)
def test_what_is_neither_is_an_invalid_input(kind, value):
    with pytest.raises(InvalidInput) as caught:
        as_plain("n", "x", kind, value)

    assert (caught.value.node, caught.value.pin) == ("n", "x")


# -- digests ----------------------------------------------------------------------------------------------------------


def test_a_digest_tells_every_value_and_every_output_from_every_other():
    long = "x" * 80
    made = [digest_of(*each) for each in [("a", b"1"), ("a", b"2"), ("b", b"1"), (long, b"1"), (long + "y", b"1")]]

    assert len(set(made)) == len(made)
    assert {len(each) for each in made} == {DIGEST_BYTES}


def test_what_was_sent_is_found_by_its_number():
    one, two = digest_of("a", b"1"), digest_of("a", b"2")

    assert [sent_before(one + two, number) for number in range(3)] == [one, two, None]


# -- the rule, against a person who acts it out -----------------------------------------------------------------------


_names = st.sampled_from(["a", "b", "c"])
_some_links = st.lists(
    st.builds(
        lambda source, sink, pin, static: f"{source}.out{'=>'[not static]}{sink}.{pin}",
        _names,
        st.sampled_from(["p", "q"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from([True, False, False]),
    ),
    min_size=1,
    max_size=7,
)


@QUICK
@given(_some_links, st.lists(_names, max_size=30))
def test_the_rule_is_what_a_person_acts_out(words, senders):
    wiring, state = wired(*words), FlowState()
    person = Person(linked(*words))
    for value, node in enumerate(senders):
        sent(wiring, state, (f"{node}.out", value))
        person.send(node, "out", value)

    assert tasks(state) == person.begun
    left = {sink: visits for sink, visits in person.open.items() if visits}
    assert {sink: Counter({pin: len(row) for pin, row in pins.items()}) for sink, pins in state.waiting.items()} == {
        sink: Counter(pin for visit in visits for pin in visit) for sink, visits in left.items()
    }


@QUICK
@given(_some_links, st.lists(_names, max_size=30), st.integers(0, 30))
def test_a_state_that_was_stored_and_read_goes_on_the_same(words, senders, cut):
    """Law 1: what follows from a value does not depend on where the log was folded."""
    wiring, whole, parts = wired(*words), FlowState(), FlowState()
    for value, node in enumerate(senders):
        sent(wiring, whole, (f"{node}.out", value))
        sent(wiring, parts, (f"{node}.out", value))
        if value == cut:
            parts = msgspec.msgpack.decode(msgspec.msgpack.encode(parts), type=FlowState)

    assert msgspec.msgpack.encode(parts) == msgspec.msgpack.encode(whole)


@QUICK
@given(_some_links, st.lists(_names, max_size=30))
def test_no_value_is_used_twice_and_none_is_lost(words, senders):
    """The n-th value of a pin goes to the n-th visit, or waits; only static links repeat theirs."""
    words = [word for word in words if "=" not in word]
    wiring, state = wired(*words), FlowState()
    for value, node in enumerate(senders):
        sent(wiring, state, (f"{node}.out", value))
    for sink, pin in {(link.sink, link.pin) for link in wiring.links}:
        arrived = [
            value
            for value, node in enumerate(senders)
            for link in wiring.links
            if (link.source, link.sink, link.pin) == (node, sink, pin)
        ]
        used = [pins[pin] for node, pins in tasks(state) if node == sink]
        assert used + state.waiting.get(sink, {}).get(pin, []) == arrived


# -- which links they are ---------------------------------------------------------------------------------------------


def test_a_log_says_along_which_links_its_values_went():
    """Law 1: what a value completes is computed anew from the links, so it must be by the same ones."""
    wiring = wired(".x>a.v", "a.out>b.v")
    state = moved(wiring, FlowState({"x": 1}), wiring.begun())
    assert (state.wiring, wiring.fits(state)) == (wiring.mark, True)

    other = wired(".x>a.v", "a.out=b.v")
    assert not other.fits(state)
    for move in (other.passed(1, "a", "out", pack(2, "")), wiring.begun()):
        with pytest.raises(InvalidRequest, match="not those that the run began with"):
            moved(other, state, move)


def test_a_log_that_does_not_say_so_is_taken_at_its_word():
    """Logs of an earlier release can be read."""
    wiring = wired(".x>a.v", "a.out>b.v")
    state = sent(wiring, moved(wiring, FlowState({"x": 1}), Recorded("@begun", Raw(b"\xc0"))), ("a.out", 1))

    assert (state.wiring, state.issued, wiring.fits(state)) == ("", 2, True)
