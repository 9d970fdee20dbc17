"""A state for people who want a dict: keys with reducers, the two mutations that change them, and a run of them."""

import operator
from itertools import pairwise
from typing import Annotated, Any

import msgspec
import pytest
import trio
from hypothesis import given, strategies as st
from msgspec import Struct

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol import reducers
from terzetto_protocol.decisions import Recorded
from terzetto_protocol.errors import InvalidRequest, Malformed, MutationFailed, NotStorable, ReducerFailed, RunFailed
from terzetto_protocol.fields import checker_of, is_deeply_frozen, is_frozen, transient
from terzetto_protocol.fingerprint import fingerprint
from terzetto_protocol.graph import Graph
from terzetto_protocol.keyed import KeyedState, key_mistakes
from terzetto_protocol.mistakes import find_mistakes
from terzetto_protocol.reducers import Reducer, mergeable_fields, replayed
from terzetto_protocol.state import StateForm, Vocabulary

from .runtimes import opened


def longest(old, new):
    if "boom" in new:
        raise LookupError("too loud")
    return max(old, new, key=len)


class Source(Struct):
    url: str
    tags: list[str] = []


class Notes(KeyedState):
    topic: str = ""
    messages: Annotated[list[str], reducers.append] = []
    tokens: Annotated[int, reducers.add] = 0
    best: Annotated[float, reducers.maximum] = 0.0
    cheapest: Annotated[float, reducers.minimum] = 100.0
    facts: Annotated[dict[str, str], reducers.merge] = msgspec.field(default_factory=lambda: {"a": "b"})
    last: Annotated[list[str], reducers.replace] = []
    loudest: Annotated[list[str], Reducer("longest", longest)] = []
    client: Annotated[object | None, transient] = None
    source: Source | None = None
    votes: Annotated[int, replayed] = 0


class Numbers(KeyedState):
    """Nothing but what cannot change."""

    count: Annotated[int, reducers.add] = 0


class Article(Notes, kw_only=True):
    title: str
    tokens: int = 7


VOCABULARY = Vocabulary[Notes]([Notes.Put, Notes.Reset])


def applied(*mutations, to=None):
    """The state after the mutations went through the log."""
    state = Notes() if to is None else to
    VOCABULARY.apply([VOCABULARY.note(mutation) for mutation in mutations], state)
    return state


def refusal(call, *args, **kwargs):
    with pytest.raises(InvalidRequest) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_it_reads_like_a_dict_and_like_a_class():
    state = Numbers(count=3)

    assert (3, 3, 3, None, 9) == (
        state.count,
        state["count"],
        state.get("count"),
        state.get("other"),
        state.get("x", 9),
    )
    assert "count" in state
    assert "other" not in state
    assert 3 not in state
    assert (["count"], ["count"], [("count", 3)]) == (list(state), list(state.keys()), list(state.items()))
    assert {"count": 3} == dict(state) == {**state}


def test_a_key_that_is_not_declared_is_no_key():
    with pytest.raises(KeyError, match=r"Numbers has no key 'cuont' \(did you mean 'count'\?\)"):
        Numbers()["cuont"]
    with pytest.raises(KeyError, match="has no key 'put'"):
        Numbers()["put"]
    assert Numbers().get("put") is None


FIRST = {
    "topic": "tea",
    "messages": ["hi"],
    "tokens": 12,
    "best": 2.5,
    "cheapest": 5.0,
    "facts": {"x": "1"},
    "last": ["a"],
    "loudest": ["a", "b"],
}
SECOND = {
    "topic": "oat",
    "messages": ["ho"],
    "tokens": 30,
    "best": 1.5,
    "cheapest": 6.0,
    "facts": {"x": "2"},
    "last": ["b"],
    "loudest": ["c"],
}
BOTH = {
    "topic": "oat",
    "messages": ["hi", "ho"],
    "tokens": 42,
    "best": 2.5,
    "cheapest": 5.0,
    "facts": {"a": "b", "x": "2"},
    "last": ["b"],
    "loudest": ["a", "b"],
}


def test_every_key_is_put_through_its_reducer():
    """4.1: a keyed state with reducers (error, replace, append, merge, sum, min, max, custom)."""
    assert dict(Notes()) | BOTH == dict(applied(Notes.put(**FIRST), Notes.put(**SECOND)))


def test_what_was_not_put_stays_also_where_the_default_is_put():
    state = applied(Notes.put(topic="tea", tokens=1), Notes.put(topic=""), Notes.put())

    assert ("", 1) == (state.topic, state.tokens)


def test_reset_gives_every_key_a_default_of_its_own():
    first, second = applied(Notes.put(last=["a"], tokens=3)), applied(Notes.put(last=["b"]))
    reset = Notes.reset("last", "tokens", "facts")

    reset.apply(first)
    reset.apply(second)
    first.facts["mine"] = "only"

    assert ([], 0, {"a": "b", "mine": "only"}) == (first.last, first.tokens, first.facts)
    assert ([], {"a": "b"}) == (second.last, second.facts)
    assert Notes() == applied(Notes.reset())


def test_a_key_without_a_default_cannot_be_reset():
    assert "key 'title' of Article has no default that it could be reset to" == refusal(Article.reset, "title")


@pytest.mark.parametrize("command", [lambda key: Notes.put(**{key: "x"}), Notes.reset])
def test_a_wrong_key_is_refused_by_name(command):
    """4.1: type mismatches name the key."""
    assert "Notes has no key 'mesages' (did you mean 'messages'?)" == refusal(command, "mesages")
    assert refusal(command, "q").startswith("Notes has no key 'q' (there are topic, messages, tokens, ")
    assert "key 'client' of Notes is transient: no mutation is stored for it" == refusal(command, "client")


WRONG: list[tuple[str, Any, str]] = [
    ("tokens", "12", "Expected `int`, got `str`"),
    ("tokens", msgspec.UNSET, "unset|Unset"),
    ("messages", "hi", "Expected `array`, got `str`"),
    ("messages", ["hi", 3], r"Expected `str`, got `int` - at `\$\[1\]`"),
    ("best", float("nan"), "a NaN or an infinity"),
    ("topic", "\ud800", "lone surrogate"),
    ("topic", object(), "Encoding objects of type object"),
    ("source", {"url": "x"}, "it would come back changed"),
]


@pytest.mark.parametrize("key, value, reason", WRONG)
def test_a_value_of_another_type_names_its_key(key, value, reason):
    """4.1, 4.7: what cannot be stored faithfully is a typed error, and it names the key."""
    with pytest.raises(NotStorable, match=f"key '{key}' of Notes cannot be stored: .*({reason})"):
        Notes.put(**{key: value})


def test_the_stored_bytes_hold_the_keys_that_were_put_and_no_others():
    entry = VOCABULARY.note(Notes.put(tokens=0, topic=""))
    reset = VOCABULARY.note(Notes.reset("topic"))

    assert ("Put", {"tokens": 0, "topic": ""}) == (entry.name, msgspec.msgpack.decode(entry.body))
    assert ("Reset", {"keys": ["topic"]}) == (reset.name, msgspec.msgpack.decode(reset.body))
    assert Notes.put(tokens=0, topic="") == VOCABULARY.revive(entry)


@pytest.mark.parametrize("name, body", [("Put", {"tokns": 1}), ("Put", {"tokens": "1"}), ("Reset", {"keys": 5})])
def test_stored_bytes_that_the_state_does_not_know_are_malformed(name, body):
    with pytest.raises(Malformed, match=f"mutation {name}"):
        VOCABULARY.revive(Recorded(name, msgspec.Raw(msgspec.msgpack.encode(body))))


def test_a_stored_reset_of_a_key_that_is_gone_changes_nothing():
    state = Notes(tokens=3)

    with pytest.raises(InvalidRequest, match="no key 'gone'"):
        Notes.Reset(("tokens", "gone")).apply(state)

    assert 3 == state.tokens


def test_put_is_a_mutation_like_every_other_one_for_each_class():
    assert ("Put", True) == (Notes.Put.__name__, is_frozen(Notes.Put))
    assert Notes.Put is Notes.Put is Notes().Put
    assert len({Notes.Put, Article.Put, Numbers.Put}) == 3
    assert not is_deeply_frozen(Notes.Put)
    assert [] == find_mistakes(graph(read))


def test_an_inherited_key_is_put_as_the_subclass_declares_it():
    state = Article(title="a")

    for mutation in (
        Article.put(tokens=1),
        Article.put(tokens=2, title="b", messages=["x"]),
        Article.reset("messages"),
    ):
        mutation.apply(state)

    assert (2, "b", []) == (state.tokens, state.title, state.messages)
    assert "tokens" in mergeable_fields(Notes) - mergeable_fields(Article)


def test_branches_may_put_every_key_that_is_reduced():
    """5.5: the same top-level field, and it is not replayed or reduced."""
    assert {"topic", "client", "source"} == set(Notes().keys()) - mergeable_fields(Notes)


def test_neither_the_caller_nor_the_mutation_nor_another_state_shares_a_value():
    """4.5: no aliasing."""
    mine = ["a"]
    put = Notes.put(last=mine, messages=mine, loudest=mine, source=(source := Source("u", mine)))
    first, second = Notes(), Notes()
    put.apply(first)
    put.apply(second)

    for owned in (mine, source.tags, first.last, first.messages, first.loudest, first.source.tags):
        owned.append("b")

    assert (["a"], ["a"], ["a"], Source("u", ["a"])) == (second.last, second.messages, second.loudest, second.source)
    assert Notes.put(last=["a"], messages=["a"], loudest=["a"], source=Source("u", ["a"])) == put


def test_without_a_log_a_put_is_copied_unless_nothing_in_it_can_change():
    """4.5: no aliasing; only what is frozen all the way down may stay what it is."""
    numbers = Vocabulary[Numbers]([Numbers.Put])
    count = Numbers.put(count=1)

    assert checker_of(Notes.Put) is None
    assert all(isinstance(VOCABULARY.keep(put), Recorded) for put in (Notes.put(last=["a"]), Notes.put(tokens=1)))
    assert (True, Recorded) == (numbers.keep(count) is count, type(numbers.keep(Numbers.put())))


def test_a_reducer_that_raises_names_the_key_and_no_key_has_changed():
    """4.6: `apply` that raises names the mutation, and here its key."""
    state = Notes(loudest=["a"])
    expected = (
        "mutation Put could not be applied: ReducerFailed: key 'loudest': reducer 'longest' raised LookupError: too"
    )

    with pytest.raises(MutationFailed, match=expected) as caught:
        applied(Notes.put(topic="new", loudest=["boom"]), to=state)

    assert isinstance(caught.value.__cause__, ReducerFailed)
    assert Notes(loudest=["a"]) == state


class Constrained(KeyedState):
    level: Annotated[int, msgspec.Meta(ge=0), reducers.add] = 0
    label: Annotated[str, msgspec.Meta(extra_json_schema={"format": "name"}), {"shown": True}] = ""
    anything: Any = None
    something: object = 5


def test_keys_may_have_constraints_and_any_type():
    """4.1: type mismatches name the key; 4.7: also those that only the mutation shows."""
    vocabulary = Vocabulary[Constrained]([Constrained.Put])
    put = Constrained.put(level=3, label="a", anything=[1, {"b": None}], something="x")

    assert put == vocabulary.revive(vocabulary.note(put))
    with pytest.raises(NotStorable, match=r"key 'level' of Constrained .* Expected `int` >= 0"):
        Constrained.put(level=-1)
    with pytest.raises(NotStorable, match=r"mutation Put .* Expected `int` >= 0"):
        vocabulary.note(Constrained.Put(level=-1))


FORM = StateForm(Notes)


def test_its_checkpoint_leaves_transient_keys_out():
    """4.7: a checkpoint is a projection."""
    state = Notes(topic="tea", facts={}, source=Source("u"), client=object())

    back = FORM.unpack(FORM.pack(state))

    assert back.client is None
    assert dict(state) | {"client": None} == dict(back)
    assert dict(back) == dict(FORM.copy(state)[1])


def test_it_comes_from_json():
    assert Notes(topic="tea", messages=["hi"]) == FORM.from_json(b'{"topic": "tea", "messages": ["hi"]}')
    with pytest.raises(Malformed, match="tokens"):
        FORM.from_json(b'{"tokens": "many"}')


TEXT = st.text("aé𝄞", max_size=3)
PUTS = st.fixed_dictionaries(
    {},
    optional={
        "topic": TEXT,
        "messages": st.lists(TEXT, max_size=2),
        "tokens": st.integers(-100, 100),
        "best": st.floats(-10, 10),
        "cheapest": st.floats(-10, 10),
        "facts": st.dictionaries(TEXT, TEXT, max_size=2),
        "last": st.lists(TEXT, max_size=2),
    },
)
BY_HAND = {
    "topic": lambda old, new: new,
    "messages": lambda old, new: [*old, *new],
    "tokens": lambda old, new: old + new,
    "best": max,
    "cheapest": min,
    "facts": lambda old, new: {**old, **new},
    "last": lambda old, new: new,
}


@given(st.lists(PUTS | st.sampled_from(sorted(BY_HAND)), max_size=8))
def test_folding_puts_is_reducing_plain_dicts_by_hand(commands):
    """4.4: law: the log folds to what the reducers say, key by key, in order of record."""
    expected = dict(Notes())
    recorded = []
    for command in commands:
        if isinstance(command, str):
            recorded.append(Notes.reset(command))
            expected[command] = getattr(Notes(), command)
            continue
        recorded.append(Notes.put(**command))
        expected |= {key: BY_HAND[key](expected[key], value) for key, value in command.items()}

    assert expected == dict(applied(*recorded))


class Odd(KeyedState, frozen=True):
    items: int = 0  # type: ignore[assignment] # the mistake under test
    apply: int = 0
    count: Annotated[str, reducers.add] = ""
    log: Annotated[dict[str, int] | None, reducers.append] = None
    lines: Annotated[list[str], operator.concat] = []


def test_what_is_wrong_with_the_keys_is_told_at_once():
    """5.4: `build()` reports every mistake at once, with paths."""
    assert [] == list(key_mistakes(Notes))
    assert [
        "state: Odd is frozen, and its keys could never be put",
        "state.items: a KeyedState needs this name for itself; call the key otherwise",
        "state.apply: a KeyedState needs this name for itself; call the key otherwise",
        "state.count: add combines only int or float or Decimal or timedelta",
        "state.log: append combines only list or tuple",
        'state.lines: concat is no reducer: say one of terzetto.reducers, or Reducer("concat", concat)',
    ] == list(key_mistakes(Odd))


class Unstorable(KeyedState):
    client: type[int] | set[type[int]] = int


def test_a_key_that_nothing_can_store_is_a_mistake_of_the_graph_and_not_of_the_class():
    """5.4: `build()` reports every mistake at once, with paths."""
    mistakes = find_mistakes(Graph("bad", state=Unstorable, mutations=[Unstorable.Put, Unstorable.Reset]))

    assert {"state.client", "mutations.Put.client"} <= {mistake.split(":")[0] for mistake in mistakes}


def test_the_fingerprint_covers_the_types_of_the_keys():
    """1: the hash covers the schemas of state and mutations."""

    def made(hint):
        state = msgspec.defstruct("Notes", [("count", hint, 0)], bases=(KeyedState,))
        graph = Graph("g", state=state, mutations=[state.Put, state.Reset])
        graph.start(graph.node(name="only")(read))
        return fingerprint(graph)

    assert made(Annotated[int, reducers.add]) == made(int)
    assert made(int) != made(int | str)


async def read(ctx): ...


def graph(*bodies):
    made = Graph("notes", state=Notes, mutations=[Notes.Put, Notes.Reset])
    nodes = [made.node(body) for body in bodies]
    made.start(nodes[0])
    for source, target in pairwise(nodes):
        made.edge(source, target)
    return made


async def draft(ctx):
    ctx.record(Notes.put(topic="tea", messages=["hi"], tokens=12))
    ctx.record(Notes.put(messages=["there"], tokens=30))
    assert "" == ctx.state["topic"]


async def review(ctx):
    assert ("tea", 42) == (ctx.state["topic"], ctx.state.tokens)
    ctx.record(Notes.reset("topic"))
    ctx.record(Notes.put(facts={"read": " ".join(ctx.state["messages"])}))


FINAL = {"topic": "", "messages": ["hi", "there"], "tokens": 42, "facts": {"a": "b", "read": "hi there"}}


async def test_a_run_without_a_store():
    state = await terzetto.run(graph(draft, review), Notes(topic=""))

    assert dict(Notes()) | FINAL == dict(state)


async def test_a_run_with_a_log(autojump_clock):
    """4.4: folding the log gives the live state."""
    notes = graph(draft, review)

    async with opened(MemoryStore(), notes) as runtime:
        state = await runtime.run(notes, Notes())

    assert dict(Notes()) | FINAL == dict(state)


async def wrong(ctx):
    ctx.record(Notes.put(topic="never"))
    ctx.record(Notes.put(tokens="12"))


async def loud(ctx):
    ctx.record(Notes.put(loudest=["boom"]))


@pytest.mark.parametrize(
    "body, reason",
    [(wrong, "key 'tokens' of Notes cannot be stored"), (loud, "key 'loudest': reducer 'longest' raised")],
)
async def test_a_failed_run_names_node_and_key(body, reason):
    """4.1, 4.6: type mismatches name key and node."""
    with trio.fail_after(5), pytest.raises(RunFailed, match=reason) as caught:
        await terzetto.run(graph(body), Notes())

    assert body.__name__ in str(caught.value)
