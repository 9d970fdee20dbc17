"""`terzetto_protocol.closest`: which name was probably meant."""

import pytest

from terzetto_protocol.closest import closest


@pytest.mark.parametrize(
    "name, names, meant",
    [
        ("aprove", ["approve", "reject"], "approve"),
        ("appro", {"approve": 1, "approved": 2}, "approve"),
        ("zzz", ["approve", "reject"], None),
        ("approve", [], None),
    ],
)
def test_it_is_the_most_similar_one(name, names, meant):
    assert meant == closest(name, names)
