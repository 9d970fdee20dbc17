"""Audit a folder of Python source: `python examples/audit.py [FOLDER]`.

Kill it at any moment, and start it again: it goes on where it was, and writes the report once. While it waits for
the sign-off, anybody may answer: `terzetto decide audit-1 sign-off --approve --store sqlite:audit.db`.
"""

import sys
from pathlib import Path

import trio

import terzetto
from terzetto.demo import Audit, audit


async def sign_off(run: terzetto.Run[Audit]) -> None:
    """Show every barrier that opens to whoever sits here, and pass on what they say."""
    async with run.events() as events:
        async for event in events:
            if isinstance(event, terzetto.BarrierOpened):
                print("summary:", terzetto.payload_of(event))
                print(f"{event.barrier}: sign off? [y/n] ", end="", flush=True)
                # Abandoned when the run ends another way, by a decision from elsewhere.
                answer = await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
                yes = answer.strip().lower().startswith("y")
                await run.decide(event.barrier, terzetto.Approve() if yes else terzetto.Reject("not good enough"))


async def main(folder: Path) -> None:
    """Carry the audit to its end, through however many processes that takes."""
    state = Audit(root=str(folder), out=str(Path.cwd()), title=folder.name)
    async with terzetto.open_runtime("sqlite:audit.db", [audit], signals=True) as runtime:
        run = await runtime.submit(audit, state, run_id="audit-1")  # the same id and input again is the same run
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sign_off, run)
            result = await run.result()
            nursery.cancel_scope.cancel()
        print(f"{result.status}: {len(result.state.rows)} files, {result.state.verdict}, see audit.html")


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1] if len(sys.argv) > 1 else Path(trio.__file__).parent).resolve())
