"""The limit of the first run in a fresh process, as the text of a program.

Trio, msgspec and attrs are what it is built on, and Trio loads attrs anyway. The user's class and node are there as in
the other program; a copy of the state, a context and a run of Trio are what is left of a run.
"""

from typing import Final

HOW: Final = (
    "import trio, msgspec; the same state class; copy the state (encode and decode), make a context, trio.run the node"
)
PROGRAM: Final = """
import trio, msgspec
from attrs import define

@define
class State:
    count: int = 0

class Context(msgspec.Struct):
    state: State

async def node(ctx: Context) -> None:
    pass

async def run(node, state: State) -> State:
    copy = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=State)
    await node(Context(copy))
    return copy

trio.run(run, node, State())
"""
