"""`terzetto.testing._world`: what nodes do outside, which survives every process and which no dead one reaches."""

from random import Random
from types import SimpleNamespace

import pytest

from terzetto.testing._trace import Trace
from terzetto.testing._world import LIFE, World, key_of
from terzetto_protocol.blobs import Blob
from terzetto_protocol.errors import BlobDamaged, UnknownBlob
from terzetto_protocol.port import Visit

from .test_ledger import Book

BLOB = Blob("blob:" + 64 * "0", 3)


@pytest.fixture
def book():
    return Book().begin()


@pytest.fixture
def world(book):
    return World(Random(0), Trace(lambda: 1.0), book.ledger)


@pytest.fixture
def life():
    life = SimpleNamespace(alive=True, frozen=False)
    token = LIFE.set(life)
    yield life
    LIFE.reset(token)


def at(visit: int = 1, *, fence: int = 1, attempt: int = 1):
    return SimpleNamespace(visit=Visit("r", "a", visit, attempt, fence=fence))


def test_an_effect_is_counted_by_its_key_and_shown(world, life, book):
    assert not world.happened(at())
    assert (world.effect(at()), world.effect(at(), what="again")) == (True, True)
    assert world.happened(at())
    assert {key_of(at().visit): 2} == world.effects
    assert ["world    r a@1.1 repeatable", "world    r a@1.1 repeatable: again"] == [
        line.split(maxsplit=1)[1] for line in world._trace.lines
    ]
    assert [] == book.problems


def test_it_is_checked_that_the_visit_may_do_it(world, life, book):
    """3, D2: what the ledger knows of `effects` is what the world was told."""
    world.effect(at(), "once")
    assert "once body of a@1 began before its intent" in book.problems[0]


def test_the_dead_do_not_reach_it(world, life):
    life.alive = False
    assert not world.effect(at())
    token = LIFE.set(None)
    assert not world.effect(at())
    LIFE.reset(token)
    assert ({}, []) == (world.effects, world._trace.lines)


def test_who_has_a_stale_claim_is_refused(world, life):
    """7: a receiver that keeps the highest fence; a probe raises it, too."""
    assert world.happened(at(fence=2)) is False
    assert not world.effect(at(fence=1))
    assert world.effect(at(fence=2))
    assert "r a@1.1 refused: a newer owner was here" in world._trace.text


@pytest.mark.parametrize("error", [None, UnknownBlob(BLOB.digest), BlobDamaged(BLOB.digest, "short")])
async def test_what_a_state_names_has_to_be_there(world, life, book, error):
    """4.7"""
    read = []

    async def blob_bytes(blob):
        read.append(blob)
        if error is not None:
            raise error

    await world.reads(SimpleNamespace(visit=at().visit, blob_bytes=blob_bytes), [BLOB, BLOB])
    assert [BLOB, BLOB] == read
    assert bool(book.problems) == (error is not None)
