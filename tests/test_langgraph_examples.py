"""Five programs as in LangGraph's documentation, on all four stores: only their line `checkpointer=` is ours."""

import re

import pytest

from .pages import ROOT

FOLDER = ROOT / "examples" / "langgraph"
LINE = re.compile(r'Checkpointer\("(.+?)"\)')
SAID = {
    "agent_with_tools": ["The result is 42.", "You asked me to add 3 and 4, and to multiply that by 6.", "8 messages"],
    "human_in_the_loop": [
        "{'question': 'Approve this action?', 'details': 'Transfer $500'}",
        "approved",
        "{'question': 'Approve this action?', 'details': 'Transfer $500'}",
        "rejected",
    ],
    "subgraphs": [
        "[] ['node_1']",
        "['node_2'] ['__interrupt__']",
        "[] ['__interrupt__']",
        "{'foo': 'hi! foo', 'log': ['node_1']} ('node_2',)",
        "{'bar': 'hi! foo'} ('subgraph_node_1',)",
        "['node_2'] ['subgraph_node_1']",
        "['node_2'] ['subgraph_node_2']",
        "[] ['node_2']",
        "{'foo': 'hi! foo bar', 'log': ['node_1', 'node_2']}",
    ],
    "time_travel": [
        "Why do socks in the dryer elope? They were tired of being paired off.",
        "2 ()",
        "1 ('write_joke',)",
        "0 ('generate_topic',)",
        "-1 ('__start__',)",
        "('write_joke',) {'topic': 'socks in the dryer'}",
        "Why do chickens elope? They were tired of being paired off.",
        "Why do socks in the dryer elope? They were tired of being paired off.",
        "8 checkpoints",
    ],
    "map_reduce": [
        "3 Why don't penguins like talking to strangers? Because they find it hard to break the ice.",
    ],
}


def test_there_are_five():
    assert set(SAID) == {file.stem for file in FOLDER.glob("*.py")}


@pytest.mark.parametrize("name", SAID)
def test_a_program_says_the_same_on_every_store(name, url, tmp_path, monkeypatch, capsys):
    source = (FOLDER / f"{name}.py").read_text()
    ours, count = LINE.subn(f"Checkpointer({url!r})", source)
    monkeypatch.chdir(tmp_path)
    program = {"__name__": name}
    try:
        exec(compile(ours, f"{name}.py", "exec"), program)
    finally:
        program.get("graph", program.get("agent")).checkpointer.close()
    printed = capsys.readouterr().out.splitlines()

    assert 1 == count
    assert 1 == source.count("terzetto.langgraph.Checkpointer(")
    assert SAID[name] == printed[-len(SAID[name]) :]
