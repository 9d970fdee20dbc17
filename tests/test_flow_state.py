"""`terzetto_protocol.flow_state`: what a dataflow's run begins and ends with, and how it is stored."""

import msgspec

from terzetto_protocol.codec import pack
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.flow_state import FlowState, Out, Packed, Passed, Task, value_sent
from terzetto_protocol.state import StateForm
from terzetto_protocol.wiring import Wiring


def test_outputs_are_told_by_their_names_each_in_its_order():
    state = FlowState(sent=[Out("b", 1), Out("a", 2), Out("b", None)])

    assert state.outputs == {"b": [1, None], "a": [2]}
    assert list(state.outputs) == ["b", "a"]
    assert FlowState().outputs == {}


def test_all_of_it_comes_back_from_the_store():
    state = FlowState(
        given={"topic": "rain", "none": None},
        masks={"inner/node": {"x": [1]}},
        sent=[Out("out", {"k": (1, 2)})],
        waiting={"node": {"x": [1, {2: "two"}]}},
        lasting={"node": {"y": b"bytes"}},
        tasks={7: Task("node", {"x": 1.5})},
        issued=7,
    )
    state.sent[0] = msgspec.msgpack.decode(pack(state.sent[0], "out"), type=Out)  # plain data has no tuples
    data, back = StateForm(FlowState).copy(state)

    assert back == state
    assert StateForm(FlowState).unpack(data) == state


def test_a_state_may_be_given_as_json():
    state = StateForm(FlowState).from_json(b'{"given": {"topic": "rain"}}')

    assert state == FlowState({"topic": "rain"})


def test_no_two_states_share_anything():
    FlowState().given["x"] = 1
    FlowState().sent.append(Out("x", 1))

    assert FlowState() == FlowState(given={}, sent=[])


def test_what_was_sent_is_read_from_its_entry_as_it_was_encoded():
    value = pack({"k": [1, None]}, "value")
    entry: Recorded = Wiring({}, [], goes_on=True, limit=None).passed(3, "node", "out", value)

    assert bytes(value_sent(entry)) == value
    assert msgspec.msgpack.decode(entry.body, type=Passed) == Passed(3, "node", "out", {"k": [1, None]})
    assert msgspec.msgpack.decode(entry.body, type=Packed).value == msgspec.Raw(value)
