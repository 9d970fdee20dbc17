"""Checkpoints are projections: transient fields are left out, and a hook rebuilds them."""

import dataclasses
from typing import Annotated, Any

import attrs
import msgspec
import pytest
from msgspec import Struct

from terzetto_protocol.errors import Malformed, NotStorable
from terzetto_protocol.state import StateForm, transient


class Client:
    """What no codec can store."""

    def __init__(self, name: str = "") -> None:
        self.name = name


@attrs.frozen
class Circle:
    radius: float


@attrs.frozen
class Square:
    side: float


@attrs.define
class AttrsChat:
    topic: str
    turns: list[str] = attrs.field(factory=list)
    client: Annotated[Client | None, transient] = None


@dataclasses.dataclass
class DataChat:
    topic: str
    turns: list[str] = dataclasses.field(default_factory=list)
    client: Annotated[Client | None, transient] = None


class StructChat(Struct):
    topic: str
    turns: list[str] = msgspec.field(default_factory=list)
    client: Annotated[Client | None, transient] = None


@attrs.define
class Shapes:
    """Needs cattrs for what is stored, and has a field that the constructor does not take."""

    shapes: list[Circle | Square]
    _count: int = 0
    late: int = attrs.field(init=False, default=0)
    client: Annotated[Client | None, transient] = None


@attrs.define
class Plain:
    """Has nothing transient."""

    turns: list[str] = attrs.field(factory=list)


CHATS = [AttrsChat, DataChat, StructChat]


def connect(chat: Any) -> None:
    chat.client = Client(f"for {chat.topic}")


@pytest.mark.parametrize("chat", CHATS)
def test_transient_fields_are_left_out_and_begin_with_their_default(chat):
    """4.7: fields marked transient are left out."""
    form = StateForm(chat)
    state = chat("tea", ["hello"], Client())

    data, copy = form.copy(state)

    assert (copy.topic, copy.turns, copy.client) == ("tea", ["hello"], None)
    assert copy.turns is not state.turns
    assert form.pack(state) == data == form.pack(form.unpack(data))
    assert b"client" not in data


@pytest.mark.parametrize("chat", CHATS)
def test_the_restore_hook_rebuilds_them(chat):
    """4.7: rebuilt by a hook on restore, however the state is made again."""
    form = StateForm(chat, connect)

    data, copy = form.copy(chat("tea"))

    for state in (copy, form.unpack(data), form.from_json(b'{"topic": "tea"}')):
        assert state.client.name == "for tea"
        assert state.turns == []


def test_a_checkpoint_does_not_call_the_hook():
    calls: list[str] = []
    form = StateForm(AttrsChat, lambda chat: calls.append(chat.topic))

    form.pack(AttrsChat("tea"))

    assert calls == []


@pytest.mark.parametrize("chat", CHATS)
def test_defaults_and_required_fields_are_those_of_the_state(chat):
    form = StateForm(chat)

    with pytest.raises(Malformed, match="topic"):
        form.from_json(b"{}")
    with pytest.raises(Malformed, match="topic"):
        form.unpack(b"\x80")


def test_what_cattrs_must_do_may_have_transient_fields_too():
    """4.7: msgspec where it can, cattrs where it cannot."""
    form = StateForm(Shapes, lambda shapes: setattr(shapes, "client", Client("new")))
    state = Shapes([Circle(1.0), Square(2.0)], 3)
    state.late = 4

    data, copy = form.copy(state)

    for back in (copy, form.unpack(data)):
        assert (back.shapes, back._count, back.late) == (state.shapes, 3, 4)
        assert back.client is not None
    with pytest.raises(NotStorable, match="state Shapes"):
        form.pack(Shapes([Client()]))  # type: ignore[list-item]


@attrs.frozen
class Sealed:
    """A state may be frozen, and hold a field that is set after its construction."""

    seen: list[str]
    size: int = attrs.field(init=False, default=0)
    client: Annotated[Client | None, transient] = None


def test_a_frozen_state_is_restored_too():
    form = StateForm(Sealed)

    data, copy = form.copy(Sealed(["a"]))

    assert copy == form.unpack(data) == Sealed(["a"])


def test_a_hook_that_fails_is_named():
    def broken(chat: AttrsChat) -> None:
        raise OSError("no network")

    form = StateForm(AttrsChat, broken)

    with pytest.raises(Malformed, match="state AttrsChat is malformed: it could not be restored: OSError: no network"):
        form.unpack(StateForm(AttrsChat).pack(AttrsChat("tea")))


def test_a_hook_may_not_change_what_lasts():
    """4.4: the log is the only write path, so restoring twice is the same as once."""
    for chat in (AttrsChat("tea"), Plain()):
        form = StateForm[Any](type(chat), lambda chat: chat.turns.append("restored"))
        with pytest.raises(NotStorable, match="lasting fields would come back changed"):
            form.copy(chat)


@attrs.define
class Counting:
    n: int
    client: Annotated[Client | None, transient] = None

    def __attrs_post_init__(self) -> None:
        self.n += 1


def test_nor_may_a_constructor():
    with pytest.raises(NotStorable, match="lasting fields would come back changed"):
        StateForm(Counting).copy(Counting(1))
