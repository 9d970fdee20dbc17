"""`terzetto.stores._pressing`: whatever is pressed comes back."""

import zlib
from random import Random

import apsw
import pytest
from hypothesis import given, strategies as st

from terzetto.stores import SqliteStore
from terzetto.stores._pressing import PRESSED_FROM, press, unpress
from terzetto.testing._store_laws import first
from terzetto_protocol.errors import StoreDamaged

WORDS = b"\x92 a line of a conversation that grows" * 200
"""As a snapshot begins, and repeats itself."""


@given(st.binary(max_size=100), st.sampled_from([b"", b"x", b"x\x01", b"\x92"]), st.integers(1, 200))
def test_whatever_is_pressed_comes_back(data, head, times):
    data = head + data * times
    stored = press(data)
    assert unpress(stored) == data
    assert len(stored) <= len(data) + 20


def test_what_is_short_or_has_no_pattern_stands_as_it_is():
    short, noise = WORDS[: PRESSED_FROM - 1], b"\x92" + Random(1).randbytes(PRESSED_FROM)
    assert (press(short), press(noise)) == (short, noise)
    assert len(press(WORDS[:PRESSED_FROM])) < PRESSED_FROM / 10


def test_what_looks_pressed_is_pressed():
    assert unpress(press(b"x")) == b"x"
    assert unpress(press(zlib.compress(WORDS))) == zlib.compress(WORDS)


async def test_a_large_snapshot_is_smaller_in_the_file(tmp_path):
    path = tmp_path / "runs.db"
    async with SqliteStore(path) as store:
        await store.commit([first(snapshot=WORDS)])
        assert await store.snapshot("r") == (1, WORDS)
    connection = apsw.Connection(str(path))
    assert connection.execute("select length(body) from snapshots").fetchall()[0][0] < len(WORDS) / 10
    # As a file of before had it.
    connection.execute("update snapshots set body = ?, crc = null", (WORDS,))
    connection.close()
    async with SqliteStore(path) as store:
        assert await store.snapshot("r") == (1, WORDS)


@pytest.mark.parametrize("crc", ["crc", "null"])
async def test_what_cannot_be_read_back_is_damaged(tmp_path, crc):
    path = tmp_path / "runs.db"
    async with SqliteStore(path) as store:
        await store.commit([first(snapshot=WORDS)])
    connection = apsw.Connection(str(path))
    connection.execute(f"update snapshots set body = substr(body, 1, 40), crc = {crc}")
    connection.close()
    async with SqliteStore(path) as store:
        with pytest.raises(StoreDamaged, match="the snapshot of commit 1"):
            await store.snapshot("r")
