"""`terzetto.testing._trace`: lines in the order of what happened, and what tells a trace from another."""

from terzetto.testing._trace import Trace


def test_when_who_and_what():
    now = [0.0]
    trace = Trace(lambda: now[0])
    trace.say("disk", "r#1.0 submit -> QUEUED")
    now[0] = 12.34567
    trace.say("p0.0", "dies: it was killed")

    assert "    0.0000 disk     r#1.0 submit -> QUEUED\n   12.3457 p0.0     dies: it was killed\n" == trace.text


def test_the_digest_is_that_of_all_lines():
    def trace(*lines: str) -> Trace:
        made = Trace(lambda: 1.0)
        for line in lines:
            made.say("ann", line)
        return made

    assert trace("a", "b").digest == trace("a", "b").digest
    assert len({made.digest for made in (trace(), trace("a"), trace("a", "b"), trace("b", "a"))}) == 4
