"""Whatever is put, written, copied and deleted in whichever order: our checkpointer says what LangGraph's own does."""

from hypothesis import given, strategies as st
from langgraph.checkpoint.memory import InMemorySaver

import terzetto.langgraph

NAMES = st.sampled_from(["a", "b"])
NAMESPACES = st.sampled_from(["", "sub"])
IDS = st.integers(0, 5).map(str)
CHANNELS = st.dictionaries(st.sampled_from(["x", "y", "__error__", "__interrupt__"]), st.integers(0, 9), max_size=3)
PUT = st.tuples(st.just("put"), NAMES, NAMESPACES, IDS, st.none() | IDS, CHANNELS, CHANNELS, st.integers(0, 2))
WRITE = st.tuples(
    st.just("write"), NAMES, NAMESPACES, IDS, CHANNELS, st.sampled_from(["t1", "t2"]), st.sampled_from(["", "p1", "p2"])
)
DELETE = st.tuples(st.just("delete"), NAMES)
STEPS = st.lists(st.one_of(PUT, PUT, WRITE, WRITE, DELETE), max_size=25)


def take(saver, step):
    match step:
        case ("put", name, namespace, id, parent, values, versions, number):
            config = {"configurable": {"thread_id": name, "checkpoint_ns": namespace}}
            if parent is not None and parent < id:  # as LangGraph has it: nothing is its own ancestor
                config["configurable"]["checkpoint_id"] = parent
            checkpoint = {
                "v": 1, "id": id, "ts": "now", "channel_values": values, "versions_seen": {},
                "channel_versions": {key: f"{value:032}.0" for key, value in (values | versions).items()},
                "updated_channels": None,
            }  # fmt: skip
            new = {key: f"{value:032}.0" for key, value in versions.items()}
            return saver.put(config, checkpoint, {"source": "loop", "step": number, "parents": {}}, new)
        case ("write", name, namespace, id, writes, task, path):
            config = {"configurable": {"thread_id": name, "checkpoint_ns": namespace, "checkpoint_id": id}}
            return saver.put_writes(config, list(writes.items()), task, path)
        case ("delete", name):
            return saver.delete_thread(name)


def everything(saver):
    """All that can be asked."""
    found = {}
    for name in "ab":
        config = {"configurable": {"thread_id": name}}
        listed = list(saver.list(config))
        found[name] = sorted((plain(it) for it in listed), key=repr)
        found[name, "steps"] = sorted((plain(it) for it in saver.list(config, filter={"step": 1})), key=repr)
        for namespace in ("", "sub"):
            inside = {"configurable": {"thread_id": name, "checkpoint_ns": namespace}}
            found[name, namespace] = [plain(it) for it in saver.list(inside)]
            found[name, namespace, "older"] = [
                plain(it) for it in saver.list(inside, before={"configurable": {"checkpoint_id": "3"}}, limit=2)
            ]
            found[name, namespace, "newest"] = plain(saver.get_tuple(inside))
            for each in "012345":
                one = {"configurable": {**inside["configurable"], "checkpoint_id": each}}
                found[name, namespace, each] = plain(saver.get_tuple(one))
                found[name, namespace, each, "history"] = saver.get_delta_channel_history(config=one, channels=["x"])
    return found


def plain(found):
    if found is None:
        return None
    config = found.config["configurable"]
    return config, found.checkpoint, found.metadata, found.parent_config, found.pending_writes


@given(STEPS)
def test_it_says_what_the_saver_in_memory_says(steps):
    theirs, ours = InMemorySaver(), terzetto.langgraph.Checkpointer()
    for step in steps:
        assert take(theirs, step) == take(ours, step)
    assert everything(theirs) == everything(ours)


@given(STEPS)
def test_a_shelf_in_a_file_is_one_in_memory(steps):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ours = terzetto.langgraph.Checkpointer()
        with terzetto.langgraph.Checkpointer(f"sqlite:{folder}/c.db?synchronous=normal") as theirs:
            for step in steps:
                assert take(theirs, step) == take(ours, step)
            for saver in (ours, theirs):
                saver.copy_thread("a", "b")
            assert everything(theirs) == everything(ours)


TREES = st.lists(
    st.tuples(st.integers(0, 9), st.booleans(), st.lists(st.sampled_from(["x", "y"]), max_size=2)),
    min_size=3,
    max_size=9,
)


@given(TREES)
def test_a_delta_channel_is_read_from_parent_to_parent(tree):
    """Whatever forks there are: the writes of one way, and the last snapshot on it."""
    savers = InMemorySaver(), terzetto.langgraph.Checkpointer()
    for number, (back, is_snapshot, channels) in enumerate(tree):
        parent = number - 1 - back % number if number else None
        for saver in savers:
            config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
            if parent is not None:
                config["configurable"]["checkpoint_id"] = f"{parent}"
            versions = {"x": f"x{number}", "y": f"y{number}"}
            checkpoint = {
                "v": 1, "id": f"{number}", "ts": "now", "versions_seen": {}, "channel_versions": versions,
                "channel_values": {"x": f"snapshot {number}"} if is_snapshot else {}, "updated_channels": None,
            }  # fmt: skip
            at = saver.put(config, checkpoint, {}, versions)
            saver.put_writes(at, [(channel, f"{channel} {number}") for channel in channels], f"task {number}")
    for number in range(len(tree)):
        config = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": f"{number}"}}
        theirs, ours = (it.get_delta_channel_history(config=config, channels=["x", "y"]) for it in savers)

        assert theirs == ours
