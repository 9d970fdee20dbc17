"""What is left out of what clients are told.

SEMANTICS 13.6.
"""

import pytest

from terzetto.console._discreet import discreet_text
from terzetto.console._numbers import numbers_of
from terzetto_protocol.errors import StuckNode


@pytest.mark.parametrize(
    "text, told",
    [
        ("sqlite:/data/shop/runs.db", "sqlite:runs.db"),
        ("memory:", "memory:"),
        ("reading '/data/shop/runs.db': disk I/O error", "reading 'runs.db': disk I/O error"),
        (r"reading C:\data\shop\runs.db", "reading runs.db"),
        ("~/shop/runs.db is full", "runs.db is full"),
        ("one and/or the other, 3 / 4", "one and/or the other, 3 / 4"),
    ],
)
def test_folders_are_not_told(text, told):
    assert told == discreet_text(text)


def test_a_stuck_node_is_named_without_its_stack():
    stuck = StuckNode("r", "slow", 3, 7.0, ["/data/shop/nodes.py:3 in slow"])

    assert "node 'slow'" in numbers_of({"stuck": (stuck,)})["stuck"][0]
    assert "/data" not in str(numbers_of({"stuck": (stuck,)}))
