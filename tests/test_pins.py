"""Pins that reach into values: their names, what they take out, and what they make together."""

import copy
from typing import Any

import pytest
from hypothesis import given, strategies as st

from terzetto_protocol.errors import InvalidRequest, Malformed
from terzetto_protocol.limits import DEPTH
from terzetto_protocol.pins import MISSING, PIN_ITEMS, Step, assemble, parse_pin, take

SEPARATORS = ("_#_", "_$_", "_@_")


@pytest.mark.parametrize(
    "name, base, steps",
    [
        ("items", "items", ()),
        ("items_$_0", "items", (0,)),
        ("data_#_key", "data", ("key",)),
        ("user_@_name", "user", ("name",)),
        ("rows_$_12_#_a b_@_c", "rows", (12, "a b", "c")),
        ("m_$_0_$_1", "m", (0, 1)),
        ("data_#_0", "data", ("0",)),
        ("data_#_#_b", "data", ("#_b",)),
        ("data_#_a__#_b", "data", ("a_", "b")),
        ("price_$", "price_$", ()),
        ("tools_^_node_~_query", "tools_^_node_~_query", ()),
    ],
)
def test_a_name_says_where_it_reaches(name, base, steps):
    assert parse_pin(name) == (base, steps)


@pytest.mark.parametrize(
    "name, reason",
    [
        ("", "names nothing"),
        ("_#_key", "names nothing"),
        ("data_#_", "nothing stands after _#_"),
        ("data_#__$_0", "nothing stands after _#_"),
        ("items_$_", "nothing stands after _$_"),
        ("items_$_first", "not 'first'"),
        ("items_$_-1", "not '-1'"),
        ("items_$_1.0", "not '1.0'"),
        ("items_$_ 1", "not ' 1'"),
        ("items_$_1\n", "not '1\\n'"),
        ("items_$_٣", "not '٣'"),
        (f"items_$_{PIN_ITEMS}", f"not '{PIN_ITEMS}'"),
        (f"items_$_{10**9}", "not '1000000000'"),
        ("items_$_" + "9" * 10_000, "not '99999999999999999999'"),
        ("deep" + "_#_a" * (DEPTH + 1), f"the limit is {DEPTH}"),
    ],
)
def test_a_name_that_says_no_place_is_malformed(name, reason):
    """12: limits are named; an index of a billion makes no list of a billion items."""
    with pytest.raises(Malformed) as caught:
        parse_pin(name)

    assert caught.value.what == f"pin {name!r:.200}"
    assert reason in caught.value.reason
    assert len(str(caught.value)) < 400


VALUE = {"rows": [{"id": 1, "tags": ["a", None]}, {"id": 2}], "empty": None}


@pytest.mark.parametrize(
    "steps, part",
    [
        ((), VALUE),
        (("rows", 1), {"id": 2}),
        (("rows", 0, "tags", 0), "a"),
        (("rows", 0, "tags", 1), None),
        (("empty",), None),
    ],
)
def test_a_part_is_taken_out(steps, part):
    assert take(VALUE, steps) == part


@pytest.mark.parametrize(
    "steps",
    [
        ("nobody",),
        ("rows", 2),
        ("rows", -1),
        ("rows", "0"),
        (0,),
        ("empty", "more"),
        ("empty", 0),
        ("rows", 0, "tags", 0, 0),
        ("rows", 0, "tags", 0, "upper"),
        ("rows", 0, "items"),
    ],
)
def test_where_nothing_is_nothing_is_found(steps):
    """A text has no items and a dict no attributes: only what a value holds can be taken."""
    assert take(VALUE, steps) is MISSING


def test_pins_make_one_value_per_name():
    values = {
        "plain": 1,
        "list_$_0": "a",
        "list_$_1": "b",
        "dict_#_x": 1,
        "dict_#_y": [2],
        "object_@_name": "n",
        "deep_#_k_$_1_@_v_$_0": "end",
    }

    assert assemble(values) == {
        "plain": 1,
        "list": ["a", "b"],
        "dict": {"x": 1, "y": [2]},
        "object": {"name": "n"},
        "deep": {"k": [None, {"v": ["end"]}]},
    }


def test_items_that_no_pin_brought_are_none():
    assert assemble({"items_$_3": "d", "items_$_0": "a"}) == {"items": ["a", None, None, "d"]}


def test_pins_go_into_what_a_shorter_name_brought():
    """A default for the whole of an input, and links to parts of it."""
    values = {
        "rows": ["a", "b"],
        "rows_$_1": "B",
        "rows_$_2": "C",
        "form": {"x": 1, "inner": {"y": 2}},
        "form_#_z": 3,
        "form_#_inner_#_w": 4,
        "other_#_inner": {"y": 5},
        "other_#_inner_#_w": 6,
        "nothing": None,
        "nothing_#_k": 1,
    }
    before = copy.deepcopy(values)

    made = assemble(values)

    assert made["rows"] == ["a", "B", "C"]
    assert made["form"] == {"x": 1, "inner": {"y": 2, "w": 4}, "z": 3}
    assert made["other"] == {"inner": {"y": 5, "w": 6}}
    assert made["nothing"] == {"k": 1}
    assert values == before


@pytest.mark.parametrize(
    "values, message",
    [
        ({"a_$_0": 1, "a_#_k": 2}, "pin 'a_$_0' and pin 'a_#_k' make a list and a dict of the same value"),
        (
            {"a_$_0_@_k": 1, "a_$_0_$_0": 2},
            "pin 'a_$_0_@_k' and pin 'a_$_0_$_0' make a list and a dict of the same value",
        ),
        ({"a_#_k": 1, "a": "text"}, "pin 'a_#_k' makes a dict where str is"),
        ({"a": {"k": 1}, "a_$_0": 1}, "pin 'a_$_0' makes a list where dict is"),
        ({"a_#_k_#_l": 1, "a_#_k": 0}, "pin 'a_#_k_#_l' makes a dict where int is"),
        ({"a": {"k": [1]}, "a_#_k_#_l": 1}, "pin 'a_#_k_#_l' makes a dict where list is"),
        ({"a_#_k": 1, "a_@_k": 2}, "pin 'a_#_k' and pin 'a_@_k' bring a value for the same place"),
        ({"a_$_1": 1, "a_$_01": 2}, "pin 'a_$_1' and pin 'a_$_01' bring a value for the same place"),
    ],
)
def test_pins_that_do_not_fit_together_are_refused_by_name(values, message):
    """Whatever comes first: nothing depends on the order in which pins were filled."""
    with pytest.raises(InvalidRequest) as caught:
        assemble(values)
    with pytest.raises(InvalidRequest) as reversed_:
        assemble(dict(reversed(values.items())))

    assert str(caught.value) == message
    assert sorted(str(reversed_.value).split()) == sorted(message.split())


def test_a_malformed_name_is_refused():
    with pytest.raises(Malformed, match="pin 'a_#_'"):
        assemble({"a_#_": 1})


def test_few_pins_do_not_make_many_items():
    """12: what pins make is bounded by what they bring, not by the numbers in their names."""
    last = PIN_ITEMS - 1
    assert len(assemble({f"a_$_{last}": 1})["a"]) == PIN_ITEMS

    for values in ({f"a_$_{last}": 1, "b_$_0": 1}, {f"a_$_{last}_$_0": 1}, {f"a_$_0_#_k_$_{last}": 1}):
        with pytest.raises(InvalidRequest, match=f"{PIN_ITEMS + 1} items together, and the limit is {PIN_ITEMS}"):
            assemble(values)


keys = st.text(min_size=1, max_size=6).filter(lambda key: not any(mark in f"_{key}_" for mark in SEPARATORS))
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
plain = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)


def pin_name(base: str, steps: tuple[Step, ...], key_mark: str = "_#_") -> str:
    return base + "".join(f"_$_{step}" if isinstance(step, int) else key_mark + step for step in steps)


def taken_apart(value: Any, steps: tuple[Step, ...] = ()) -> dict[tuple[Step, ...], Any]:
    """Every part that holds no parts, by the steps that lead to it."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {where: part for step, inner in parts for where, part in taken_apart(inner, (*steps, step)).items()}
    return found or {steps: value}


@given(keys, st.lists(st.integers(0, PIN_ITEMS - 1) | keys, max_size=6), st.sampled_from(["_#_", "_@_"]))
def test_a_name_made_of_steps_is_parsed_into_them(base, steps, mark):
    assert parse_pin(pin_name(base, tuple(steps), mark)) == (base, tuple(steps))


@given(plain)
def test_every_part_is_taken_by_its_steps(value):
    assert all(take(value, steps) is part for steps, part in taken_apart(value).items())


@given(st.dictionaries(keys, plain, max_size=3), st.randoms(use_true_random=False))
def test_what_is_taken_apart_into_pins_is_assembled_again(inputs, random):
    """The law of pins: any order of all parts makes the value they came from."""
    pins = [
        (pin_name(base, steps), part) for base, value in inputs.items() for steps, part in taken_apart(value).items()
    ]
    random.shuffle(pins)

    assert assemble(dict(pins)) == inputs


class Unfit(Exception):
    pass


def over(default: Any, value: Any) -> Any:
    """The law in one sentence: what has no parts replaces what is there, what has parts goes into it."""
    if not (isinstance(value, dict | list) and value) or default is None:
        return value
    if type(default) is not type(value):
        raise Unfit
    if isinstance(value, list):
        rest = default[len(value) :]
        return [over(old, new) for old, new in zip(default, value, strict=False)] + value[len(default) :] + rest
    return {**default, **{key: over(default.get(key), part) for key, part in value.items()}}


@given(plain, plain.filter(lambda value: isinstance(value, dict | list) and bool(value)))
def test_parts_are_laid_over_a_default(default, value):
    pins = {pin_name("a", steps): part for steps, part in taken_apart(value).items()}
    try:
        expected = over(default, value)
    except Unfit:
        with pytest.raises(InvalidRequest):
            assemble({"a": default, **pins})
    else:
        assert assemble({**pins, "a": default}) == {"a": expected}


@given(st.text(max_size=40) | st.lists(st.sampled_from(["a", "_", "#", "$", "@", "0", "_$_", "_#_"])).map("".join))
def test_no_name_does_anything_but_parse_or_be_malformed(name):
    try:
        base, steps = parse_pin(name)
    except Malformed:
        return
    assert parse_pin(pin_name(base, steps)) == (base, steps)
    assert all(step != "" for step in steps)
