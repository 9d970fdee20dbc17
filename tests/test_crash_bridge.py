"""A process that is killed while it talks, and what a reader of its stream is given afterwards (SEMANTICS 8)."""

from pathlib import Path

from terzetto_protocol.ids import split_event_id

from .lives import KILLED, Forks

CHILD = Path(__file__).with_name("bridge_child.py")
CHUNKS = ("TextChunk", "NodeStarted")


def test_a_reader_goes_on_after_a_kill(forks: Forks, tmp_path: Path) -> None:
    """8.1: ids go on, and none is used again. D4: the same id means the same bytes; 8.2: durable events are read back
    from the store, and chunks that went with the process are counted or said to be gone."""
    died = forks.live(str(CHILD), str(tmp_path / "runs.db"))
    assert KILLED == died.code, died.errors
    before = died.all("item")
    last = before[-1][0]
    again = forks.live(str(CHILD), str(tmp_path / "runs.db"), last)
    assert 0 == again.code, again.errors
    (_, word, cursor), *after = again.all("item")
    assert ("__resume__", None) == (word, cursor["gap_count"]), "nobody can know how many chunks went with the process"
    assert cursor["status"] in ("resumed", "evicted"), (
        "whether the run tells something again before the reader is there"
    )

    ids = [int(number) for number, _, _ in before[1:] + after if number]
    assert sorted(set(ids)) == ids, "no id twice, and rising over both lives"
    assert 2 == len({split_event_id(number)[0] for number in ids} - {0})
    assert "end" == after[-1][1]
    third = forks.live(str(CHILD), str(tmp_path / "runs.db"), "0")
    everything = {number: (event, data) for number, event, data in third.all("item")}
    for number, event, data in (*before, *after):
        if number and event not in CHUNKS:
            assert (event, data) == everything[number]
    assert not [event for event, _ in everything.values() if event in CHUNKS]
    (_, _, cursor), *_ = third.all("item")
    assert "fresh" == cursor["status"]
