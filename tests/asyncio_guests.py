"""Graphs of LangGraph that the tests of the guest run, and a saver that survives its process."""

import operator
import pickle
from collections import defaultdict
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph


class Log(TypedDict):
    log: Annotated[list[str], operator.add]


def chain(*nodes, **options):
    """The nodes, one after the other."""
    graph = StateGraph(Log)
    graph.add_sequence(list(nodes))
    graph.add_edge(START, nodes[0].__name__)
    return graph.compile(**options)


def side_by_side(*nodes, **options):
    """The nodes, all at once."""
    graph = StateGraph(Log)
    for node in nodes:
        graph.add_node(node)
        graph.add_edge(START, node.__name__)
    return graph.compile(**options)


class FileSaver(InMemorySaver):
    """LangGraph's own saver, whose contents are written to a file with each put."""

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)
        if self.path.exists():
            storage, writes, blobs = pickle.loads(self.path.read_bytes())
            for thread, places in storage.items():
                self.storage[thread] = defaultdict(dict, places)
            self.writes.update(writes)
            self.blobs.update(blobs)

    def _write(self):
        storage = {thread: dict(places) for thread, places in self.storage.items()}
        new = self.path.with_suffix(".new")
        new.write_bytes(pickle.dumps((storage, dict(self.writes), dict(self.blobs))))
        new.rename(self.path)

    def put(self, *args, **kwargs):
        made = super().put(*args, **kwargs)
        self._write()
        return made

    def put_writes(self, *args, **kwargs):
        super().put_writes(*args, **kwargs)
        self._write()
