"""`terzetto_protocol.agents`: agents as AutoGPT's builder exports them load and run (SEMANTICS 5.7)."""

import json
from pathlib import Path

import msgspec
import pytest

import terzetto
from terzetto.stores import MemoryStore
from terzetto_protocol.errors import GraphError, InvalidInput

from .runtimes import SUCCEEDED, both, opened

FOLDER = Path(__file__).parent / "agents"
INPUT, TEXT_INPUT, OUTPUT = (
    "c0a8e994-ebf1-4a9c-a4d8-89d09c86741b",
    "7fcd3bcb-8e1b-4e69-903d-32d3d4a92158",
    "363ae599-353e-4804-937e-b2ee3cef3da4",
)
TEMPLATE, MODEL = "db7d8f02-2f44-4c55-ab7a-eae0941f0c30", "1f292d4a-41a4-4977-9684-7c8d560b9f91"


def stand_ins() -> terzetto.Blocks:
    """Blocks that do without the world what those of the three agents do."""
    blocks = terzetto.Blocks()

    async def give(ctx: terzetto.FlowContext, value: object = None):
        if value is not None:
            yield "result", value

    for block in INPUT, TEXT_INPUT:
        blocks.add(block, name="input", outputs=["result"], kind="input")(give)

    @blocks.add(OUTPUT, name="output", outputs=["output", "name"], kind="output")
    async def show(ctx: terzetto.FlowContext, name: str, value: object, format: str = ""):
        yield "output", format.replace(f"{{{{ {name} }}}}", str(value)) if format else value

    @blocks.add(TEMPLATE, name="fill", outputs=["output"])
    async def fill(ctx: terzetto.FlowContext, format: str, values: dict[str, object]):
        text = format
        for key, value in values.items():
            text = text.replace(f"{{{{ {key} }}}}", str(value))
        return {"output": text}

    @blocks.add(MODEL, name="model", outputs=["response"])
    async def answer(ctx: terzetto.FlowContext, prompt: str, sys_prompt: str = "", prompt_values: dict[str, str] = {}):  # noqa: B006
        for key, value in prompt_values.items():
            prompt = prompt.replace(f"{{{{ {key} }}}}", value)
        if "nothing" in prompt:
            raise ValueError("there is nothing to say")
        yield "response", f"<{prompt}>"

    @blocks.add("f66a3543-28d3-4ab5-8945-9b336371e2ce", name="step", outputs=["item", "key"])
    async def step(ctx: terzetto.FlowContext, items: list[object]):
        for number, item in enumerate(items):
            yield "item", item
            yield "key", number

    @blocks.add("1ff065e9-88e8-4358-9d82-8dc91f622ba9", name="store", outputs=["output"])
    async def keep(ctx: terzetto.FlowContext, input: object):
        return {"output": input}

    @blocks.add("a912d5c7-6e00-4542-b2a9-8034136930e4", name="list", outputs=["list"])
    async def make_list(ctx: terzetto.FlowContext, values: list[object]):
        return {"list": [", ".join(map(str, values))]}

    @blocks.add("aeb08fc1-2fc1-4141-bc8e-f758f183a822", name="add", outputs=["updated_list"])
    async def add(ctx: terzetto.FlowContext, list: list[object], entry: object):
        return {"updated_list": [*list, entry]}

    @blocks.add("3c9c2f42-b0c3-435f-ba35-05f7a25c772a", name="count", outputs=["count"])
    async def count(ctx: terzetto.FlowContext, collection: list[object]):
        return {"count": len(collection)}

    @blocks.add("715696a0-e1da-45c8-b209-c2fa9c3b0be6", name="condition", outputs=["result", "yes_output", "no_output"])
    async def compare(ctx: terzetto.FlowContext, value1: int, operator: str, value2: int, yes_value: object = None):
        assert operator == ">="
        yield "result", value1 >= value2
        if value1 >= value2:
            yield "yes_output", yes_value

    @blocks.add("cc10ff7b-7753-4ff2-9af6-9399b1a7eddc", name="note", kind="note")
    async def note(ctx: terzetto.FlowContext, text: str):
        raise AssertionError("notes are only read")

    @blocks.add("6595ae1f-b924-42cb-9a41-551a0611c4b4", name="fetch", outputs=["response"])
    async def fetch(ctx: terzetto.FlowContext, url: str, method: str = "GET"):
        if "broken" in url:
            raise ValueError(f"{method} {url}: no answer")
        yield "response", {"pages": [{"body": url.rpartition("/")[2]}]}

    return blocks


def agent(name: str) -> terzetto.Agent:
    return terzetto.load_agent((FOLDER / f"{name}.json").read_bytes(), stand_ins())


async def outputs_of(loaded: terzetto.Agent, dispatch: str, state: terzetto.FlowState) -> dict[str, list[object]]:
    async with opened(MemoryStore(), loaded.flow, dispatch=dispatch) as runtime:
        result = await (await runtime.submit(loaded.flow, state)).result()
    assert result.status is SUCCEEDED
    return result.state.outputs


# -- the three ---------------------------------------------------------------------------------------------------


@both
async def test_one_that_goes_straight_on(autojump_clock, dispatch):
    """`_#_` fills the keys of a template; an input has the builder's value unless the run gives another."""
    loaded = agent("linear")
    found = await outputs_of(loaded, dispatch, loaded.begin({"Guest": "Ann"}))
    assert {"Note": ["<A note for Ann, on the occasion of a quiet evening.>"]} == found


@both
async def test_one_that_goes_round(autojump_clock, dispatch):
    """A list grows until it is long enough: static links, items of items, `_$_` on both ends of links."""
    loaded = agent("loop")
    found = await outputs_of(loaded, dispatch, loaded.begin())
    lines = [
        "Towns by the water, dry",
        "<One dry line about Graz on the Mur.>",
        "<One dry line about Linz on the Donau.>",
    ]
    assert {} == found  # two towns and a heading are three lines, and it waits for four
    more = {"Towns": [{"name": name, "river": "Mur"} for name in ("Graz", "Leoben", "Bruck")]}
    found = await outputs_of(loaded, dispatch, loaded.begin(more))
    assert {"Lines", "Heading"} == set(found)
    assert (1, lines[:2]) == (len(found["Lines"]), found["Lines"][0][:2])  # type: ignore[index]
    assert [lines[0]] == found["Heading"]


@both
@pytest.mark.parametrize(
    "address, outputs",
    [
        ("https://example.org/news", {"Gist": ["<Say in one sentence what this is about: news>"]}),
        ("https://example.org/nothing", {"Problem": ["It did not work: ValueError: there is nothing to say"]}),
        ("broken", {"Problem": ["It did not work: ValueError: GET broken: no answer"]}),
    ],
)
async def test_one_that_runs_another(autojump_clock, dispatch, address, outputs):
    """A sub-agent's outputs come out of its node, and `error` pins take what went wrong, inside and outside."""
    loaded = agent("sub_agent")
    assert outputs == await outputs_of(loaded, dispatch, loaded.begin({"Address": address}))


# -- masks -------------------------------------------------------------------------------------------------------


async def test_masks_by_the_ids_of_nodes(autojump_clock):
    """`nodes_input_masks`: a run puts its own values in the place of what comes in, also inside a sub-agent."""
    loaded = agent("sub_agent")
    runs, model = loaded.graph.nodes[2].id, loaded.graph.sub_graphs[0].nodes[1].id
    state = loaded.begin({"Address": "x/y"}, nodes_input_masks={f"{runs}/{model}": {"prompt": "About {{ text }}?"}})
    assert {"Gist": ["<About y?>"]} == await outputs_of(loaded, "direct", state)


def test_a_mask_for_nobody_is_refused():
    loaded = agent("linear")
    with pytest.raises(InvalidInput, match="no such node"):
        loaded.begin(nodes_input_masks={"nowhere": {"prompt": "?"}})


# -- loading -----------------------------------------------------------------------------------------------------


def test_names_are_readable_and_the_same_in_every_process():
    loaded = agent("linear")
    assert ["input-465f89a6", "input-33284bbc", "fill-73771d5a", "model-8d129527", "output-a46c3c7a"] == list(
        loaded.names.values()
    )
    assert ("table-note", "2") == (loaded.flow.name, loaded.flow.version)


def test_unknown_blocks_are_listed_at_once():
    with pytest.raises(GraphError) as caught:
        terzetto.load_agent((FOLDER / "linear.json").read_bytes(), terzetto.Blocks())
    assert 5 == len(caught.value.mistakes)
    assert all("is unknown" in mistake for mistake in caught.value.mistakes)


def test_a_link_to_a_pin_that_the_block_has_not():
    graph = json.loads((FOLDER / "linear.json").read_bytes())
    graph["links"][0]["sink_name"] = "nowhere"
    with pytest.raises(GraphError, match="has no input 'nowhere'"):
        terzetto.load_agent(json.dumps(graph).encode(), stand_ins())


def test_what_is_given_in_another_way_is_said():
    """5.7: an agent comes as the bytes of its file, and a block under its id."""
    with pytest.raises(TypeError, match=r"takes the bytes of the exported JSON, not 'linear.json'"):
        terzetto.load_agent("linear.json", stand_ins())
    with pytest.raises(TypeError, match="say for which block id"):
        terzetto.Blocks().add(terzetto.load_agent)


async def test_an_agent_may_run_itself(autojump_clock):
    """A countdown: what is left goes into the same agent again, until nothing is."""
    blocks = stand_ins()

    @blocks.add("less", outputs=["left", "zero"])
    async def less(ctx: terzetto.FlowContext, number: int):
        yield ("left", number - 1) if number else ("zero", "done")

    def node(id_: str, block: str, **default: object) -> dict[str, object]:
        return {"id": id_, "block_id": block, "input_default": default}

    def link(source: str, output: str, sink: str, pin: str) -> dict[str, str]:
        return {"source_id": source, "source_name": output, "sink_id": sink, "sink_name": pin}

    again = node("again", "e189baac-8c20-45a1-94a7-55177ea42565", graph_id="g", graph_version=1)
    exported = {
        "id": "g",
        "name": "Countdown",
        "nodes": [node("in", INPUT, name="n"), node("less", "less"), again, node("out", OUTPUT, name="end")],
        "links": [
            link("in", "result", "less", "number"),
            link("less", "left", "again", "n"),
            link("less", "zero", "out", "value"),
            link("again", "end", "out", "value"),
        ],
    }
    loaded = terzetto.load_agent(msgspec.json.encode(exported), blocks)
    assert {"end": ["done"]} == await outputs_of(loaded, "direct", loaded.begin({"n": 5}))


def test_an_exported_mask_for_a_node_that_is_not_there_is_told():
    plain = msgspec.json.decode((FOLDER / "sub_agent.json").read_bytes())
    executor = next(node for node in plain["nodes"] if "graph_id" in node["input_default"])
    executor["input_default"]["nodes_input_masks"] = {"nowhere": {"prompt": "?"}}

    with pytest.raises(
        GraphError, match=r"masks: node 'nowhere': a mask is for a node, and dataflow .* has none of this"
    ):
        terzetto.load_agent(msgspec.json.encode(plain), stand_ins())
