"""Shelves: rows in the order of their keys, in rooms, whole or not at all."""

import threading
from random import Random

import pytest

from terzetto._shelves._contract import AFTER, pack, unpack
from terzetto._shelves._sqlite import SqliteShelf
from terzetto._shelves._url import open_shelf
from terzetto_protocol.errors import StoreUnavailable


@pytest.fixture
def shelf(url):
    shelf = open_shelf(url)
    yield shelf
    shelf.close()


def test_rows_are_read_and_scanned_in_order(shelf):
    shelf.apply("room", [(b"b", b"2"), (b"a", b"1"), (b"c\0", b"3"), (b"c", b""), (b"\xf4", b"5")])
    shelf.apply("other", [(b"a", b"other")])

    assert [b"1", None, b""] == shelf.read("room", [b"a", b"x", b"c"])
    assert [] == shelf.read("room", [])
    assert [(b"a", b"1"), (b"b", b"2"), (b"c", b""), (b"c\0", b"3")] == shelf.scan("room", b"", b"\xf4")
    assert [(b"c\0", b"3"), (b"c", b"")] == shelf.scan("room", b"a", b"d", reverse=True, limit=2)
    assert [(b"b", b"2")] == shelf.scan("room", b"b", b"c", limit=5)
    assert [] == shelf.scan("room", b"b", b"b")
    assert [b"b", b"c"] == shelf.keys("room", b"b", b"c\0")
    assert ["other", "room"] == shelf.rooms()


def test_inserts_leave_what_is_there_and_puts_do_not(shelf):
    shelf.apply("room", [(b"a", b"1")], [(b"b", b"1")])
    shelf.apply("room", [(b"a", b"2")], [(b"b", b"2"), (b"c", b"2")], [b"x"])
    shelf.apply("room", [(b"a", b"3")], [], [b"c"])

    assert [(b"a", b"3"), (b"b", b"1")] == shelf.scan("room", b"", AFTER)


def test_a_room_without_rows_is_none(shelf):
    shelf.apply("room", [(b"a", b"1")])
    shelf.apply("room", [], [], [b"a"])
    shelf.apply("other", [(b"b", b"1"), (b"a", b"1")])

    assert [[b"a", b"b"], [], []] == [sorted(shelf.clear(room)) for room in ("other", "other", "never")]
    assert [] == shelf.rooms()
    assert [] == shelf.scan("room", b"", AFTER)


def test_whatever_is_done_all_shelves_say_what_one_in_memory_does(shelf):
    random, model = Random(7), open_shelf("memory:")
    words = ["", "a", "\0", "ü", "b" * 9]
    keys = [pack(*random.choices(words, k=random.randint(1, 3))) for _ in range(30)]
    for _ in range(60):
        room = random.choice(["", "a", "a\0", "}{"])
        some = random.sample(sorted(set(keys)), 9)
        change = [(key, random.randbytes(5)) for key in some[:3]], [(key, b"i") for key in some[3:6]], some[6:]
        for each in (shelf, model):
            each.apply(room, *change)
        low, high = sorted(random.sample(keys, 2))
        for each in ("", "a", "a\0", "}{"):
            assert model.scan(each, low, high, reverse=True, limit=4) == shelf.scan(
                each, low, high, reverse=True, limit=4
            )
            assert model.scan(each, b"", AFTER) == shelf.scan(each, b"", AFTER)
    assert model.rooms() == shelf.rooms()


@pytest.mark.parametrize("parts", [("",), ("a", ""), ("\0", "\0\0"), ("a\0b", "ÿ", "\udc80")])
def test_keys_come_back_as_what_they_were(parts):
    assert list(parts) == unpack(pack(*parts))


def test_keys_sort_as_their_parts():
    parts = [
        ("",),
        ("", "a"),
        ("\0",),
        ("\0", ""),
        ("a",),
        ("a", ""),
        ("a", "\0"),
        ("a", "b"),
        ("a\0",),
        ("aa",),
        ("ü",),
    ]

    assert parts == sorted(parts, key=lambda it: pack(*it))
    assert all(pack(*one, *more) < pack(*one) + AFTER for one in parts for more in parts)


def test_who_writes_at_the_same_time_shares_a_transaction_and_gets_an_error_of_its_own(tmp_path):
    shelf = SqliteShelf(str(tmp_path / "s.db"))
    outcomes = {}

    def work(name, value):
        try:
            shelf.apply(name, [(b"a", value)])
            outcomes[name] = None
        except Exception as error:
            outcomes[name] = type(error)

    shelf._writing.acquire()
    threads = [threading.Thread(target=work, args=it) for it in (("one", b"1"), ("bad", 1.5), ("two", b"2"))]
    for thread in threads:
        thread.start()
    while len(shelf._waiting) < 3:
        pass
    shelf._writing.release()
    for thread in threads:
        thread.join()

    assert {"one": None, "two": None, "bad": StoreUnavailable} == outcomes
    assert ["one", "two"] == shelf.rooms()
    shelf.close()
