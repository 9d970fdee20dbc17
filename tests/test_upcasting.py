"""`terzetto_protocol.upcasting`: what a stored snapshot and a stored commit are in the next version (SEMANTICS 2)."""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import Raw

from terzetto_protocol.decisions import Approve, Recorded
from terzetto_protocol.errors import Malformed
from terzetto_protocol.frames import Counts, Fork
from terzetto_protocol.graph import Graph
from terzetto_protocol.image import Image, Snapshot, read_snapshot
from terzetto_protocol.migrations import Migration
from terzetto_protocol.pending import Pending
from terzetto_protocol.records import (
    Answer,
    Asked,
    Attempt,
    Called,
    Detail,
    Failure,
    Forked,
    Joined,
    Kept,
    Kind,
    Migrated,
    Note,
    Noted,
    Opening,
    Record,
    Resolution,
    Returned,
    Rewind,
    Sent,
    Step,
    Taken,
    Withdrawn,
)
from terzetto_protocol.statuses import RunStatus, VisitStatus
from terzetto_protocol.upcasting import Upcaster

from .sketches import MUTATIONS, Tally, body

PLACES = {"a": "alpha", "both": "all", "gate": "door", "sub": "part", "asks": "says"}


def counted(plain: dict[str, Any]) -> dict[str, Any]:
    return {**plain, "count": plain["count"] + 100}


def graph() -> Graph[Tally]:
    """Nodes `alpha` and `b`, branches over both, a barrier, a graph inside, and a body that runs it."""
    inner = Graph("inner", state=Tally, mutations=MUTATIONS, version="2", migrations=[Migration("1", state=counted)])
    inner.start(inner.node(name="within")(body))
    migration = Migration("1", places=PLACES, inner={"sub": "1", "asks.inner": "1"})
    made = Graph("outer", state=Tally, mutations=MUTATIONS, version="2", migrations=[migration])
    made.start(made.node(name="alpha")(body))
    made.node(name="b")(body)
    made.parallel("all", ["alpha", "b"])
    made.barrier("door")
    made.subgraph("part", inner)
    made.node(name="says", runs=[inner])(body)
    return made


caster: Upcaster[Any] = graph().build().upcaster("1")  # type: ignore[assignment]  # there is a migration


def state(count: int) -> bytes:
    return graph().build().state.pack(Tally(count))


def record(detail: Detail | None = None, **more: Any) -> Record:
    return Record(7, Kind.VISIT, 1, 5.0, RunStatus.RUNNING, 9, detail=detail, **more)


@pytest.mark.parametrize(
    "before, after",
    [
        ("", ""),
        ("both", "all"),
        ("both/a", "all/alpha"),
        ("both/b", "all/b"),
        ("sub", "part"),
        ("asks.inner", "says.inner"),
        ("asks.inner.3", "says.inner.3"),
        ("both/a/sub", "all/alpha/part"),
        ("sub/a", "part/a"),
        ("gone/7/else", "gone/7/else"),
    ],
)
def test_paths_follow_the_names_of_their_places(before, after):
    """Inside of another graph its own names count, which have not changed here."""
    assert after == caster.at(before)[0]


PLAIN = Failure, Note, Attempt, Asked, Noted, Sent, Migrated
"""Details that nothing of the graph stands in, beyond what the record itself names."""
NAMED = {
    Forked: (Forked(1, state=state(1)), Forked(1, state=state(101))),
    Joined: (
        Joined(True, (1,), ("both/a",), ("sub/within@3", "a@2")),
        Joined(True, (1,), ("all/alpha",), ("part/within@3", "alpha@2")),
    ),
    Kept: (Kept("gate@4", Approve(), ""), Kept("door@4", Approve(), "")),
    Withdrawn: (Withdrawn("gate"), Withdrawn("door")),
    Resolution: (
        Resolution("gate@4", Approve(), "ann", kept="gate"),
        Resolution("gate@4", Approve(), "ann", kept="door"),
    ),
    Called: (Called("asks.inner.1", "run:inner.1", state(1)), Called("says.inner.1", "run:inner.1", state(101))),
    Returned: (
        Returned("asks.inner", "run:inner", Answer(state(1)), ("asks.inner/within@3",)),
        Returned("says.inner", "run:inner", Answer(state(101)), ("says.inner/within@3",)),
    ),
    Taken: (Taken("head", state(1)), Taken("head", state(1))),
}


@pytest.mark.parametrize("kind", NAMED, ids=lambda kind: kind.__name__)
def test_what_a_commit_is_about_follows_the_names(kind):
    before, after = NAMED[kind]
    place = {Forked: ("sub", "part"), Returned: ("asks", "says"), Called: ("asks", "says")}.get(kind, ("a", "alpha"))

    assert record(after, place=place[1]) == caster.record(record(before, place=place[0]))


def test_every_detail_is_one_of_these():
    """Whoever adds one says whether a place, a path or a state stands in it."""
    assert {*PLAIN, *NAMED, Rewind} == set(get_args(Detail))


def test_a_step_keeps_the_id_of_the_barrier_that_it_opened():
    """6.1: its id is stable."""
    before = Step(4, "gate", 2, Opening(9.0), "both/a", 1)

    assert (
        Step(4, "door", -1, Opening(9.0, known="both/a/gate@4.1"), "all/alpha", 1)
        == (caster.record(record(steps=(before,))).steps[0])
    )
    assert Step(4, "b", -1, Opening(9.0)) == caster.record(record(steps=(Step(4, "b", 2, Opening(9.0)),))).steps[0]


def image() -> Image:
    return Image(
        frontier={
            3: Pending(3, "gate", status=VisitStatus.AWAITING_INPUT, opening=Opening(1.0), asked=2),
            4: Pending(4, "asks", journal={"run:inner": Answer(state(1)), "effect:x": Answer(b"\xc0")}),
            5: Pending(5, "within", "sub", opening=Opening(1.0, known="an/old@5"), asked=1),
        },
        counts=Counts({0: 3}, {"a": 2, "alpha": 1, "b": 1}, 5),
        forks={"sub": Fork(5, 1)},
        kept=(Kept("gate@9", Approve(), ""), Kept("*", Approve(), ""), Kept("b", Approve(), "")),
        unknown=("both/a@2",),
    )


def test_an_image_follows_the_names():
    """2; 6.1: a barrier that is open is known by the id that it has had; edges are counted anew."""
    now = caster.snapshot(Snapshot(image(), state(1))).image

    assert [("door", "gate@3.1"), ("says", "says@4"), ("within", "an/old@5")] == [
        (entry.place, entry.barrier) for entry in now.frontier.values()
    ]
    assert {"run:inner": Answer(state(101)), "effect:x": Answer(b"\xc0")} == now.frontier[4].journal
    assert Counts({}, {"alpha": 3, "b": 1}, 5) == now.counts
    assert ({"part": Fork(5, 1)}, "part") == (now.forks, now.frontier[5].path)
    assert (["door@9", "*", "b"], ("all/alpha@2",)) == ([kept.barrier for kept in now.kept], now.unknown)


def test_a_rewind_holds_an_image_of_its_own_version():
    """1: undo."""
    before = Rewind(3, msgspec.msgpack.encode(Snapshot(image(), state(1))))
    made = caster.record(record(before)).detail

    assert isinstance(made, Rewind)
    assert caster.snapshot(Snapshot(image(), state(1))) == read_snapshot(made.snapshot)


def test_the_end_of_a_graph_inside_is_recorded_under_the_new_name_of_its_place():
    """5.6: encoded inner value."""
    (entry,) = caster.entries([Recorded("@sub", Raw(state(1)))])

    assert ("@part", state(101)) == (entry.name, bytes(entry.body))


def test_items_are_led_on_under_the_name_that_their_map_had():
    """2: from version to version; in a commit, in a snapshot, and in branches of other branches."""
    chain = [
        Migration("1", item=lambda place, item: f"{item} {place}", places={"each": "every"}),
        Migration("2", item=lambda place, item: f"{item} {place}", places={"every": "all"}),
    ]
    made = Graph("mapped", state=Tally, mutations=MUTATIONS, version="3", migrations=chain)
    made.node(name="a")(body)
    made.start(made.parallel("both", [made.map("all", "a", over=lambda tally: ["x"], item=str)]))
    upcaster = made.build().upcaster("1")
    assert upcaster is not None
    old, new = [(Raw(msgspec.msgpack.encode(text)),) for text in ("x", "x each every")]

    commit = record(Forked(1, old), path="both/each", place="each")
    assert (Forked(1, new), "all") == ((now := upcaster.record(commit)).detail, now.place)
    forks = {"both": Fork(1, 1), "both/each/each": Fork(2, 1, items=old)}
    image = upcaster.snapshot(Snapshot(Image(forks=forks), state(1))).image
    assert {"both": Fork(1, 1), "both/all/all": Fork(2, 1, items=new)} == image.forks


def test_a_version_that_nothing_leads_on_from():
    """2: stays as it is with a reason."""
    blueprint = graph().build()

    assert None is blueprint.upcaster("2")
    assert blueprint.upcaster("1") is blueprint.upcaster("1")
    with pytest.raises(Malformed, match=r"the log of graph 'outer' .* version '3' wrote it, and '2' has no migration"):
        blueprint.upcaster("3")
