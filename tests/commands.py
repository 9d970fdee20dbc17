"""Commands in processes of their own, and a module of graphs for them."""

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager

LIMIT = 60
"""Seconds that any one command may take."""

SHOP = """
import os
import signal
from pathlib import Path

import terzetto
import trio
from attrs import define, frozen


@define
class Order:
    item: str = "tea"
    amount: int = 1
    paid: int = 0


@frozen
class Paid:
    sum: int

    def apply(self, order):
        order.paid += self.sum


def declare(name, **options):
    return terzetto.Graph(name, state=Order, mutations=[Paid], **options)


good = declare("good")


@good.node
async def pay(ctx):
    ctx.emit_text("counting ")
    ctx.emit_text("coins")
    ctx.record(Paid(ctx.state.amount))


good.start(pay)

bad = declare("bad")


@bad.node
async def explode(ctx):
    raise RuntimeError("the till is \\x1b[31mempty")


bad.start(explode)

asking = declare("asking")


@asking.node
async def price(ctx):
    ctx.record(Paid(ctx.state.amount))


release = asking.barrier("release", payload=lambda order: {"item": order.item})
asking.start(price)
asking.edge(price, release)

choosing = declare("choosing")
way = choosing.barrier("way", exits=["post", "pickup"])
choosing.start(way)

pausing = declare("pausing")


@pausing.node
async def rest(ctx):
    ctx.record(Paid(1))
    ctx.pause()


@pausing.node
async def after(ctx):
    ctx.record(Paid(1))


pausing.start(rest)
pausing.edge(rest, after)

slow = declare("slow")


@slow.node
async def tick(ctx):
    ctx.record(Paid(1))


@slow.node
async def hold(ctx):
    while not Path("go").exists():
        await trio.sleep(0.01)


slow.start(tick)
slow.edge(tick, tick, when=lambda order: order.paid < 5)
slow.edge(tick, hold)

once = declare("once")


@once.node(effects="once")
async def charge(ctx):
    if not Path("charged").exists():
        Path("charged").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    ctx.record(Paid(7))


once.start(charge)


class Clients:
    pass


needy = terzetto.Graph("needy", state=Order, mutations=[Paid], deps=Clients)


@needy.node
async def use(ctx):
    ctx.record(Paid(9))


needy.start(use)
bound = terzetto.bind(needy, Clients())

broken = declare("broken")
broken.start("nowhere")
number = 3
"""


def run(folder, *words, stdin="", **environ):
    done = subprocess.run(
        [sys.executable, "-m", "terzetto", *words],
        cwd=folder, env=os.environ | environ, input=stdin, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


class Started:
    """A command in a process of its own, which lives `LIMIT` seconds at most."""

    def __init__(self, process):
        self.process = process
        self.lines = []

    def until(self, text):
        """Read lines up to one that has this text in it, and return that one."""
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} never came: {''.join(self.lines)}{self.process.stderr.read()}")

    def end(self):
        """The exit code, and what came on standard output (since the last look) and standard error."""
        output, errors = self.process.communicate()
        return self.process.returncode, output, errors


@contextmanager
def started(folder, *words, **environ):
    with subprocess.Popen(
        [sys.executable, "-m", "terzetto", *words],
        cwd=folder, env=os.environ | environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        alarm = threading.Timer(LIMIT, process.kill)
        alarm.start()
        try:
            yield Started(process)
        finally:
            alarm.cancel()
            process.kill()


def events(output):
    return [json.loads(line) for line in output.splitlines()]
