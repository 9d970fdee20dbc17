"""Dataflows in short, and what tests of them look at."""

from typing import Any

from terzetto_protocol.context import FlowContext
from terzetto_protocol.dataflow import Dataflow, FlowNode, Output
from terzetto_protocol.flow_state import INPUTS
from terzetto_protocol.fold import Fold
from terzetto_protocol.pins import parse_pin
from terzetto_protocol.wiring import OUTPUTS, Link

from .machines import Driver, image_of, label_of
from .witness import all_of, state_of


def linked(*words: str) -> list[Link]:
    """Links in short: `a.out>b.x`, or `a.out=b.x` for a static one; `.x>` is an input of the whole, `>.x` an output."""
    links = []
    for word in words:
        source, _, sink = word.partition("=" if "=" in word else ">")
        node, _, output = source.partition(".")
        target, _, pin = sink.partition(".")
        name, steps = parse_pin(output)
        links.append(Link(node or INPUTS, name, steps, target or OUTPUTS, pin, "=" in word))
    return links


async def body(ctx: FlowContext[Any], **inputs: Any) -> None:
    """Never run: the driver plays the nodes."""


def flow(*words: str, named: str = "flow", alone: str = "", inside: Any = None, **options: Any) -> Dataflow[Any]:
    """A dataflow of these links, whose nodes take and send anything.

    Args:
        words: links in short.
        named: its name.
        alone: nodes without a link into them, in their order; they come first.
        inside: dataflows by the names of the nodes that run them; `"itself"` is this one.
        options: those of nodes as `node={"effects": "once"}`, and those of the whole.
    """
    links, inner = linked(*words), inside or {}
    names = dict.fromkeys([*alone.split(), *(name for link in links for name in (link.source, link.sink)), *inner])
    nodes = [name for name in names if name not in (INPUTS, OUTPUTS)]
    made: Dataflow[Any] = Dataflow(named, **{key: each for key, each in options.items() if key not in nodes})
    for name in dict.fromkeys(link.output for link in links if link.source == INPUTS):
        made.input(name, default=0)
    for name in nodes:
        if name in inner:
            made.subflow(name, made if inner[name] == "itself" else inner[name])
        else:
            made.node(name=name, **{"outputs": None, **options.get(name, {})})(body)
    for link, word in zip(links, words, strict=True):
        source = Output(link.source, word.partition("=" if link.static else ">")[0].partition(".")[2])
        if link.sink == OUTPUTS:
            made.output(link.pin, source)
        else:
            made.link(source, FlowNode(link.sink, body), link.pin, static=link.static)
    return made


def started(made: Dataflow[Any], inputs: dict[str, Any] | None = None, **options: Any) -> Driver:
    """A run of it whose inputs have gone out."""
    driver = Driver(made, made.begin(inputs), **options).claim()
    driver.ack()
    driver.finish(node=INPUTS)
    driver.ack()
    return driver


def running(driver: Driver) -> list[str]:
    """Bodies that run, by their paths, in the order of their starts."""
    return [label_of(start) for start in driver.running.values()]


def called(driver: Driver, node: str | int = "") -> dict[str, Any]:
    """What a body that runs was called with."""
    start = driver.start_of(node)
    frame = driver.machine.fold.frame(start.path)
    assert frame.blueprint.flow is not None
    return frame.blueprint.flow.arguments(frame.view(), driver.frontier[start.visit].ticket)


def out(driver: Driver) -> dict[str, list[Any]]:
    """What has come out of the whole."""
    return driver.machine.fold.state.outputs


def recover(driver: Driver, keep: int = 0) -> Driver:
    """The process dies, and another goes on."""
    driver.crash(keep)
    driver.claim()
    driver.ack()
    return driver


def reads_the_same(driver: Driver) -> None:
    """Law 1: the log folded from its newest snapshot, as another process would, is the live run."""
    snapshot, bodies = driver.disk.log()
    fold = Fold.load(driver.blueprint, driver.header, snapshot, bodies)
    live = driver.machine.fold
    assert (image_of(fold), all_of(fold), state_of(fold)) == (image_of(live), all_of(live), state_of(live))


class Person:
    """Acts the rule out: every node has a row of visits, and each value goes to the first that lacks it."""

    def __init__(self, links: list[Link]) -> None:
        self.links = links
        self.open: dict[str, list[dict[str, Any]]] = {}
        self.lasting: dict[str, dict[str, Any]] = {}
        self.begun: list[tuple[str, dict[str, Any]]] = []
        self.out: list[tuple[str, Any]] = []

    def send(self, node: str, output: str, value: Any) -> None:
        links = [link for link in self.links if (link.source, link.output) == (node, output)]
        self.out += [(link.pin, value) for link in links if link.sink == OUTPUTS]
        links = [link for link in links if link.sink != OUTPUTS]
        for link in links:
            if link.static:
                self.lasting.setdefault(link.sink, {})[link.pin] = value
            else:
                self._place(self.open.setdefault(link.sink, []), link.pin, value)
        for sink in dict.fromkeys(link.sink for link in links):
            self._begin(sink, fresh=any(link.static for link in links if link.sink == sink))

    def _place(self, visits: list[dict[str, Any]], pin: str, value: Any) -> None:
        lacking = [visit for visit in visits if pin not in visit]
        if not lacking:
            visits.append({})
        (lacking or visits[-1:])[0][pin] = value

    def _begin(self, sink: str, *, fresh: bool) -> None:
        pins = {link.pin for link in self.links if link.sink == sink}
        lasting, visits = self.lasting.get(sink, {}), self.open.get(sink, [])
        if fresh and not visits:
            visits = [{}]
        while visits and pins <= {*visits[0], *lasting}:
            self.begun.append((sink, {**{pin: lasting[pin] for pin in pins & {*lasting}}, **visits.pop(0)}))
