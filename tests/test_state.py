"""State and mutations: what is applied is what is stored, and nothing that a node still holds can change it."""

import dataclasses
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Raw, Struct

from terzetto_protocol.decisions import Recorded
from terzetto_protocol.errors import InvalidRequest, Malformed, MutationFailed, NotStorable
from terzetto_protocol.limits import MESSAGE_BYTES, STATE_BYTES
from terzetto_protocol.state import Entry, StateForm, Vocabulary


@attrs.define
class AttrsDraft:
    text: str = ""
    parts: list[str] = attrs.field(factory=list)


@dataclasses.dataclass
class DataDraft:
    text: str = ""
    parts: list[str] = dataclasses.field(default_factory=list)


class StructDraft(Struct):
    text: str = ""
    parts: list[str] = msgspec.field(default_factory=list)


@attrs.frozen
class Written:
    text: str

    def apply(self, draft: Any) -> None:
        draft.text = self.text


@attrs.frozen
class Extended:
    """Holds something that its maker can still change."""

    parts: list[str]

    def apply(self, draft: Any) -> None:
        draft.parts.extend(self.parts)


class Cleared(Struct, frozen=True):
    """A mutation may be a Struct too."""

    def apply(self, draft: Any) -> None:
        draft.text, draft.parts = "", []


@dataclasses.dataclass(frozen=True)
class Doubled:
    """Or a dataclass."""

    times: float = 2.0

    def apply(self, draft: Any) -> None:
        draft.text *= int(self.times)


DRAFTS = [AttrsDraft, DataDraft, StructDraft]
words = Vocabulary[Any]([Written, Extended, Cleared, Doubled])
mutations = st.one_of(
    st.builds(Written, st.text()),
    st.builds(Extended, st.lists(st.text())),
    st.just(Cleared()),
    st.just(Doubled(1.0)),
)


@pytest.mark.parametrize("draft", DRAFTS)
@given(st.data())
def test_the_log_folds_to_the_live_state(draft, data):
    """4.4: folding the log from the initial state gives the live state."""
    form = StateForm(draft)
    start, live = form.copy(draft("begin", ["a"]))
    log: list[Recorded] = []
    for mutation in data.draw(st.lists(mutations)):
        log.append(words.note(mutation))
        words.apply(log[-1:], live)

    folded = form.unpack(start)
    words.apply(log, folded)

    assert folded == live
    assert form.pack(folded) == form.pack(live)
    assert type(folded) is draft


@pytest.mark.parametrize("record", [words.note, words.keep])
def test_order_of_record_is_order_of_apply(record):
    """4.2: order of record = order of apply."""
    draft = AttrsDraft()
    words.apply([record(m) for m in (Written("a"), Doubled(3.0), Extended(["x"]), Extended(["y"]))], draft)

    assert draft == AttrsDraft("aaa", ["x", "y"])


@pytest.mark.parametrize("record", [words.note, words.keep])
def test_what_happens_to_a_mutation_after_it_was_recorded_changes_nothing(record):
    """4.5: no aliasing, in either direction."""
    parts = ["x"]
    entry = record(Extended(parts))
    parts.append("later")
    first, second = AttrsDraft(), AttrsDraft()

    words.apply([entry], first)
    first.parts.append("by the state")
    words.apply([entry], second)

    assert second.parts == ["x"]


@attrs.frozen
class Replaced:
    parts: list[str]

    def apply(self, draft: Any) -> None:
        draft.parts = self.parts  # the state now holds what the mutation holds


def test_a_mutation_that_hands_its_own_list_to_the_state_does_not_share_it():
    """4.5: what a checkpoint holds never changes under it."""
    vocabulary = Vocabulary[Any]([Replaced])
    entry = vocabulary.keep(Replaced(["x"]))
    one, other = AttrsDraft(), AttrsDraft()
    vocabulary.apply([entry], one)
    vocabulary.apply([entry], other)

    one.parts.append("y")

    assert other.parts == ["x"]


def test_without_a_log_a_deeply_frozen_mutation_stays_what_it_is():
    """4.5: what cannot change needs no copy."""
    for frozen in (Written("a"), Cleared(), Doubled()):
        assert words.keep(frozen) is frozen
    assert isinstance(words.keep(Extended([])), Recorded)


@pytest.mark.parametrize("record", [words.note, words.keep])
@pytest.mark.parametrize(
    "broken",
    [
        Written(5),  # type: ignore[arg-type]
        Written(None),  # type: ignore[arg-type]
        Written(["a"]),  # type: ignore[arg-type]
        Written("\ud800"),
        Extended(("a",)),  # type: ignore[arg-type]
        Doubled(float("nan")),
        Doubled("2"),  # type: ignore[arg-type]
    ],
)
def test_wrong_values_are_refused_when_they_are_recorded(record, broken):
    """4.7: a typed error of that node; the same with and without a log."""
    with pytest.raises(NotStorable, match=f"mutation {type(broken).__name__} cannot be stored"):
        record(broken)


def test_a_mutation_that_is_too_large_is_refused():
    """12: message 1 MiB."""
    with pytest.raises(NotStorable, match="the limit is 1048576"):
        words.note(Written("x" * MESSAGE_BYTES))


@attrs.frozen
class Rewritten(Written):
    """A subclass of a listed mutation is another mutation."""


@pytest.mark.parametrize("record", [words.note, words.keep])
@pytest.mark.parametrize(
    "stranger, fix",
    [
        (Rewritten("a"), r"mutation Rewritten .* say Graph\(..., mutations=\[Rewritten\]\)"),
        ("text", "a str cannot be stored: it is no mutation: those of this graph are Written, "),
        ({"text": "a"}, "a dict cannot be stored: it is no mutation: those of this graph are Written, "),
        (None, "a NoneType cannot be stored: it is no mutation"),
        (Written, r"the class Written cannot be stored: record one of it: Written\(...\)"),
    ],
    ids=["subclass", "text", "dict", "nothing", "class"],
)
def test_an_unlisted_mutation_is_refused_with_the_fix(record, stranger, fix):
    """4.1: an unlisted one is refused with the fix in the message."""
    with pytest.raises(NotStorable, match=fix):
        record(stranger)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), GeneratorExit(), KeyError()])
def test_an_apply_that_raises_names_the_mutation(error):
    """4.6: `apply` that raises fails the run at the previous commit, naming the mutation."""

    @attrs.frozen
    class Raising:
        def apply(self, draft: Any) -> None:
            draft.text = "half done"
            raise error

    vocabulary = Vocabulary[Any]([Written, Raising])
    entries: list[Entry] = [vocabulary.note(Written("a")), vocabulary.note(Raising())]

    with pytest.raises(
        MutationFailed, match=f"mutation Raising could not be applied: {type(error).__name__}"
    ) as caught:
        vocabulary.apply(entries, AttrsDraft())
    assert (caught.value.mutation, caught.value.__cause__) == ("Raising", error)


@pytest.mark.parametrize(
    "entry", [Recorded("Gone", Raw(b"\x80")), Recorded("Written", Raw(b"\x80")), Recorded("Written", Raw(b"\xc1"))]
)
def test_an_entry_that_the_graph_cannot_read_is_malformed_and_no_failure_of_apply(entry):
    """2: a run whose graph has an incompatible shape stays as it is, with a reason."""
    for read in (words.revive, lambda entry: words.apply([entry], AttrsDraft())):
        with pytest.raises(Malformed, match=f"mutation {entry.name} is malformed"):
            read(entry)


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_submitted_state_is_copied(draft):
    """4.5: no aliasing with what the submitter still holds."""
    mine = draft("a", ["x"])

    _, theirs = StateForm(draft).copy(mine)
    mine.parts.append("y")

    assert theirs == draft("a", ["x"])


class Sub(AttrsDraft):
    """Would come back as its base."""


@pytest.mark.parametrize("other", [None, {}, Sub(), DataDraft(), AttrsDraft])
def test_a_state_of_another_type_is_refused_by_name(other):
    with pytest.raises(InvalidRequest, match="the state must be a AttrsDraft, not"):
        StateForm(AttrsDraft).copy(other)


def test_a_state_that_would_not_come_back_is_no_checkpoint():
    """4.7: what cannot be stored faithfully is refused when it is written, not when it is needed."""
    form = StateForm(AttrsDraft)
    for broken in (AttrsDraft(text=5), AttrsDraft(parts=("a",)), AttrsDraft("x" * STATE_BYTES), AttrsDraft("\ud800")):  # type: ignore[arg-type]
        with pytest.raises(NotStorable, match="state AttrsDraft cannot be stored"):
            form.pack(broken)
        with pytest.raises(NotStorable):
            form.copy(broken)


class Renamed(Struct, rename="camel", tag="note"):
    first_line: str = ""


@pytest.mark.parametrize("of", [AttrsDraft, DataDraft, StructDraft], ids=["attrs", "dataclass", "struct"])
def test_a_field_that_is_not_there_is_refused(of):
    """12, 6.3: who mistypes a name hears of it, and no run begins without what it was to begin with."""
    with pytest.raises(Malformed, match=rf"^input is malformed: {of.__name__} has no field 'txt' .did you mean 'text'"):
        StateForm(of).from_json(b'{"txt": "a"}')
    assert of("a") == StateForm(of).from_json(b'{"text": "a"}')


def test_a_struct_that_renames_its_fields_is_known_by_those_names():
    assert Renamed("a") == StateForm(Renamed).from_json(b'{"type": "note", "firstLine": "a"}')
    with pytest.raises(Malformed, match="Renamed has no field 'first_line'"):
        StateForm(Renamed).from_json(b'{"first_line": "a"}')


@pytest.mark.parametrize("draft", DRAFTS)
def test_a_state_from_outside_is_checked(draft):
    form = StateForm(draft)

    assert form.from_json(b'{"text": "a"}') == draft("a")
    for text in (b'{"text": 5}', b"{", b"[" * 100_000, b" " * (STATE_BYTES + 1), b'{"text": "\\ud800"}'):
        with pytest.raises(Malformed, match="input is malformed"):
            form.from_json(text)
