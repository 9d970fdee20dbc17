"""Dataflows on the command line: run, show, history, decide, graph."""

import json
import re

import pytest

FLOWS = """
import terzetto


async def split(ctx: terzetto.FlowContext, text: str):
    for word in text.split():
        yield "word", word


async def measure(ctx: terzetto.FlowContext, word: str) -> dict[str, int]:
    if word == "bad":
        raise ValueError("no bad words")
    return {"n": len(word)}


words = terzetto.Dataflow("words", limit=1)
splitting = words.node(outputs={"word": str})(split)
measuring = words.node(outputs={"n": int})(measure)
words.link(words.input("text", str), splitting, "text")
words.link(splitting.out("word"), measuring, "word")
words.output("n", measuring.out("n"), int)

lost = terzetto.Dataflow("lost")


@lost.node(effects="once", outputs="paid")
async def pay(ctx: terzetto.FlowContext) -> None:
    raise terzetto.NodeTimeout("run_timeout", 1.0)


lost.output("paid", pay.out("paid"))
"""


@pytest.fixture
def flows(shop):
    """The module `shop` is another one here."""
    (shop / "shop.py").write_text(FLOWS)
    return shop


def without_times(output):
    return [re.sub(r"^\d\d:\d\d:\d\d  ", "", line) for line in output.splitlines()]


def test_run_takes_the_inputs_and_tells_what_is_sent(flows, call):
    code, output, errors = call("run", "shop:words", "--run-id", "r-1", "--input", '{"text": "on bad"}')

    assert (0, "") == (code, errors)
    assert without_times(output) == [
        "run r-1 of graph words",
        "queued",
        "claimed (epoch 1)",
        "inputs@1 started",
        "inputs@1 finished, 1 mutation (commit 3)",
        "split@2 started",
        'split@2 sent word: "on"',
        'split@2 sent word: "bad"',
        "split@2 finished, 1 mutation (commit 6)",
        "measure@3 started",
        "measure@3 sent n: 2",
        "measure@3 finished, 1 mutation (commit 8)",
        "measure@4 started",
        "measure@4 failed: node 'measure': ValueError: no bad words",
        "run r-1 SUCCEEDED",
        (
            'state {"given":{"text":"on bad"},"masks":{},"sent":[["n",2]],"waiting":{},"lasting":{},'
            '"tasks":{},"issued":3,"wiring":"6342b6b279fdd9e5-e1dea97ec31ed55e"}'
        ),
    ]


@pytest.mark.parametrize(
    "given, said",
    [
        ('{"txt": 1}', "terzetto: node 'words': input 'txt': there is no such input; there are text\n"),
        ('{"text": 1}', "terzetto: input 'text' is malformed: Expected `str`, got `int`\n"),
        ("{}", "terzetto: node 'words': input 'text': it was not given, and has no default\n"),
        ("[]", "terzetto: input is malformed: Expected `object`, got `array`\n"),
    ],
)
def test_inputs_that_do_not_fit_are_said(flows, call, given, said):
    assert (2, "", said) == call("run", "shop:words", "--input", given)


def test_show_and_history_name_what_was_sent(flows, call, told):
    call("run", "shop:words", "--run-id", "r-1", "--input", '{"text": "one bad"}')
    shown = call("show", "r-1")[1]
    assert re.search(r"4 +\S+ +1 +send split@2 +split.word +OutputSent \"one\"", shown)
    assert re.search(r"9 .*visit measure@4 FAILED +measure.error +NodeFailed node 'measure': ValueError", shown)
    history = call("history", "r-1")[1]
    assert re.search(r"split@2 sent word +RUNNING +split.word", history)
    (sent, *_) = [commit for commit in told("show", "r-1")["commits"] if commit["kind"] == "send"]
    assert [each["data"] for each in sent["mutations"]] == [[1, "split", "word", "one"]]


def test_graph_tells_of_its_nodes_and_draws_its_links(flows, call):
    code, output, _ = call("graph", "shop:words")
    assert (0, "graph words 1: 3 nodes, 0 barriers") == (code, output.splitlines()[0])
    assert "warning" not in output
    assert '"word"' in call("graph", "shop:words", "--mermaid")[1]
    call("run", "shop:words", "--run-id", "r-1", "--input", '{"text": "one two"}')
    assert "measure, succeeded, 2 visits" in call("graph", "shop:words", "--run", "r-1", "--svg")[1]


def test_what_became_of_an_effect_is_confirmed_with_what_it_sent(flows, call):
    code, output, _ = call("run", "shop:lost", "--run-id", "r-1")
    assert "pay@2 asks what became of its effect" in output
    confirmed = json.dumps([{"name": "paid", "data": 7}])
    assert 0 == call("decide", "r-1", "pay@2", "--confirm", confirmed)[0]
    code, output, _ = call("resume", "r-1", "shop:lost")

    assert 0 == code
    assert '"sent":[["paid",7]]' in output
