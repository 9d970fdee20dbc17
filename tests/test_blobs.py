"""`terzetto_protocol.blobs`: names of blobs, where something encoded holds one, and chunks (SEMANTICS 4.7)."""

import hashlib
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Raw, Struct

from terzetto_protocol.blobs import Blob, Chunker, Hasher, check_size, named_in
from terzetto_protocol.codec import pack_plain
from terzetto_protocol.context import NodeContext
from terzetto_protocol.errors import InvalidRequest, Malformed, NotStorable
from terzetto_protocol.forms import Form
from terzetto_protocol.keyed import KeyedState
from terzetto_protocol.limits import BLOB_CHUNK, STATE_BYTES
from terzetto_protocol.port import PortOf, Visit
from terzetto_protocol.records import Answer, Kind, Noted, Record
from terzetto_protocol.scribe import encode_record
from terzetto_protocol.state import StateForm
from terzetto_protocol.statuses import RunStatus

from .machines import Driver
from .sketches import body, sketch


def blob(number: int = 1, **more: Any) -> Blob:
    return Blob(f"blob:{number:064x}", number, **more)


@attrs.define
class Letter:
    text: str = ""
    scan: Blob | None = None
    pages: list[Blob] = attrs.field(factory=list)


@attrs.define
class Hidden:
    """A field that msgspec does not see, so that cattrs stores the class."""

    _scan: Blob | None = None


class Notes(KeyedState):
    scan: Blob | None = None


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_blob_is_a_value():
    assert blob(1) == blob(1)
    assert hash(blob(1)) == hash(blob(1))
    assert blob(1) != blob(1, name="scan.png")
    with pytest.raises(AttributeError):
        blob().size = 2


@pytest.mark.parametrize(
    "digest, size",
    [("", 1), ("blob:1", 1), ("blake2b:" + "0" * 64, 1), ("blob:" + "G" * 64, 1), ("blob:" + "0" * 64, -1)],
)
def test_what_names_nothing_is_refused(digest, size):
    with pytest.raises(ValueError, match="no blob has the digest"):
        Blob(digest, size)
    with pytest.raises(Malformed, match="no blob has"):
        Form(Blob).unpack(msgspec.msgpack.encode({"digest": digest, "size": size}), "a blob")


@pytest.mark.parametrize("value", [Letter("a", blob(1), [blob(2)]), Hidden(blob(3)), Notes(blob(4))], ids=repr)
def test_it_may_be_anywhere_in_a_state(value):
    """4.1, 4.7: a field of a state, whatever stores its class."""
    form = StateForm(type(value))

    assert value == form.unpack(form.pack(value))
    assert len(named_in(form.pack(value))) == str(value).count("blob:")


def test_a_person_may_name_one():
    scan = StateForm(Letter).from_json(
        msgspec.json.encode({"scan": {"size": 5, "name": "x", "digest": blob(5).digest}})
    )

    assert Letter(scan=blob(5, name="x")) == scan


NAMED: dict[str, tuple[object, list[int]]] = {
    "nothing": ({"text": "no blob"}, []),
    "a blob": (blob(1), [1]),
    "several, in order, each once": ([blob(2), {"a": blob(1)}, blob(2, name="again")], [2, 1]),
    "a digest alone": (blob(7).digest, [7]),
    "as a key": ({blob(7).digest: 1}, [7]),
    "inside of bytes": (msgspec.msgpack.encode({"packed": msgspec.msgpack.encode(blob(3))}), [3]),
    "as raw": (Raw(pack_plain({"changes": blob(4)}, "it")), [4]),
    "in a text": (f"see {blob(1).digest}", []),
    "at the beginning of a text": (f"{blob(1).digest} and more", []),
    "a digest of something else": (hashlib.sha256().hexdigest(), []),
    "what looks like one": ("blob:" + "X" * 64, []),
}


@pytest.mark.parametrize("what", NAMED)
def test_names_in_something_encoded(what):
    value, numbers = NAMED[what]

    assert tuple(blob(number).digest for number in numbers) == named_in(msgspec.msgpack.encode(value))


@given(st.recursive(st.text() | st.binary() | st.integers(0, 9), st.lists, max_leaves=8), st.integers(0, 2**60))
def test_no_text_around_it_hides_or_makes_a_name(around, number):
    assert () == named_in(msgspec.msgpack.encode(around))
    assert (blob(number).digest,) == named_in(msgspec.msgpack.encode([around, blob(number), around]))


def test_a_record_names_what_its_details_hold():
    noted = Noted("effect:scan", Answer(Form(Blob).pack(blob(9), "it")))
    record = Record(3, Kind.NOTE, 1, 0.0, RunStatus.RUNNING, 1, detail=noted)

    assert (blob(9).digest,) == named_in(encode_record(record))


# -- what a commit names ----------------------------------------------------------------------------------------------


class Scanned(Struct, frozen=True):
    scan: Blob

    def apply(self, letter: Letter) -> None:
        letter.scan = self.scan


def letters(places="a b", edges="a>b", **options):
    from terzetto_protocol.graph import Graph

    graph = Graph("letters", state=Letter, mutations=[Scanned])
    one, two = graph.node(name="one")(body), graph.node(name="two", **options)(body)
    graph.start(one)
    graph.edge(one, two)
    return graph


@pytest.mark.parametrize("acks", ["now", "later", "settled"])
@pytest.mark.parametrize("options", [{}, {"max_visits": 5}], ids=["everyday path", "general path"])
def test_every_write_says_which_blobs_it_names(acks, options):
    """D3: the store is told, so that nothing refers to a blob that is not there."""
    driver = Driver(letters(**options), Letter(scan=blob(1), pages=[blob(2)]), acks=acks)
    driver.ack()
    driver.claim()
    driver.ack()
    driver.finish(Scanned(blob(3)))
    driver.ack()
    driver.finish(Scanned(blob(4)))
    driver.ack()

    digests = [sorted(int(digest[5:], 16) for digest in write.blobs) for write in driver.disk.writes]
    assert [[1, 2], [], [3], [4]] == digests


def test_a_run_without_blobs_names_none():
    driver = Driver(sketch("a b", "a>b")).claim()
    driver.finish()
    driver.finish()

    assert {()} == {write.blobs for write in driver.disk.writes}


# -- bytes ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=50)))
def test_a_digest_is_of_all_bytes(parts):
    hasher = Hasher()
    for part in parts:
        hasher.add(part)

    whole = b"".join(parts)
    assert (f"blob:{hashlib.blake2b(whole, digest_size=32).hexdigest()}", len(whole)) == (hasher.digest, hasher.size)


@given(st.lists(st.integers(0, 3 * BLOB_CHUNK), max_size=5))
def test_chunks_are_full_but_the_last(sizes):
    chunker = Chunker()
    chunks = [chunk for number, size in enumerate(sizes) for chunk in chunker.add(bytes([number]) * size)]

    assert all(len(chunk) == BLOB_CHUNK for chunk in chunks)
    assert len(chunker.rest()) < BLOB_CHUNK
    assert b"".join(bytes([number]) * size for number, size in enumerate(sizes)) == b"".join([*chunks, chunker.rest()])


def test_a_blob_has_a_largest_size():
    check_size(10, 10)
    with pytest.raises(NotStorable, match="more than 10 bytes"):
        check_size(11, 10)


def test_a_state_that_is_too_large_says_what_to_do():
    """4.7: values over the limit may be blobs."""
    with pytest.raises(NotStorable, match=rf"the limit is {STATE_BYTES} \(keep what is so large in a blob.*ctx\.blob"):
        StateForm(Letter).pack(Letter("x" * (STATE_BYTES + 1)))


def test_a_context_without_a_runtime_says_so():
    ctx = NodeContext(Letter(), None, Visit("r", "n", 1, 1), PortOf(lambda it: it, lambda *_: None, lambda: False))

    with pytest.raises(InvalidRequest, match="blobs need a runtime"):
        ctx.open_blob(blob())
