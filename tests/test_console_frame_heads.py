"""The heads of frames as they pass: what is too large is found before its payload, however the bytes come.

SEMANTICS 13.5.
"""

import pytest
from hypothesis import given, strategies as st

from terzetto.console._frame_heads import FrameHeads, Violation
from terzetto_protocol.limits import CONSOLE_FRAGMENTS, WIRE_BURST

from .consoles import framed

LIMIT = 1000
SIZES = st.one_of(st.integers(0, 130), st.integers(900, 1100), st.integers(65_530, 65_540))


def outcome(pieces, limit=LIMIT):
    """The bytes that passed before a violation, and its code."""
    heads, passed = FrameHeads(limit), 0
    try:
        for piece in pieces:
            heads.feed(piece, 0.0)
            passed += len(piece)
    except Violation as violation:
        return passed, violation.code
    return passed, None


@given(st.lists(SIZES, max_size=5), st.integers(1, 40))
def test_how_the_bytes_come_makes_no_difference(sizes, width):
    data = b"".join(framed(bytes(size)) for size in sizes)
    pieces = [data[place : place + width] for place in range(0, len(data), width)]
    too_large = any(size > LIMIT for size in sizes)

    assert (1009 if too_large else None) == outcome(pieces)[1] == outcome([data])[1]


@pytest.mark.parametrize("size", [LIMIT + 1, 2**16, 2**40, 2**63 - 1])
def test_the_head_alone_is_enough(size):
    head = framed(b"", size=size)

    assert (len(head) - 1, 1009) == outcome([head[:-1], head[-1:]])


def test_fragments_count_together():
    first, last = framed(bytes(600), final=False), framed(bytes(600), opcode=0)

    assert (len(first), 1009) == outcome([first, last])
    assert None is outcome([framed(bytes(600)), framed(bytes(600))])[1]
    ping = framed(b"", opcode=9)
    assert 1009 == outcome([first + ping + last])[1]


def test_there_are_so_many_fragments_and_control_frames():
    begin, more = framed(b"", final=False), framed(b"", opcode=0, final=False)

    assert None is outcome([begin, more * (CONSOLE_FRAGMENTS - 1)])[1]
    assert 1008 == outcome([begin, more * CONSOLE_FRAGMENTS])[1]
    assert None is outcome([framed(b"", opcode=9) * WIRE_BURST])[1]
    assert 1008 == outcome([framed(b"", opcode=10) * (WIRE_BURST + 1)])[1]
