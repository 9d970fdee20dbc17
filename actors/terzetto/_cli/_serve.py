"""`terzetto serve`: own a store, carry its runs, and show them on a console."""

import os
import ssl
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Final

import trio
from msgspec import Struct

from .._runtime import Runtime
from ._exits import Exit, Stop
from ._graphs import DEMO, find_graph
from ._output import Output
from ._owner import owning
from ._stores import store_url

TOKEN: Final = "TERZETTO_TOKEN"  # noqa: S105 - the name of the variable
"""The variable that has the token, for servers and clients alike."""


class Served(Struct, frozen=True):
    """The JSON document of `serve`, as soon as it listens."""

    url: str
    socket_url: str
    """What `--url` takes."""
    token: bool
    """Whether a token is asked for."""


async def serve(args: Namespace, output: Output) -> int:
    """Carry the runs of a store and show them, until Ctrl-C or SIGTERM. A checkpoint."""
    graphs = [find_graph(spec) for spec in args.graphs or [DEMO]]
    await owning(store_url(args), graphs, output, partial(_serve, args, output))
    return Exit.FINE


async def _serve(args: Namespace, output: Output, runtime: Runtime) -> None:
    from .. import console

    secret = token_of(args.token_file)
    options = {
        "host": args.host,
        "port": args.port,
        "tokens": [console.Token(secret, who=args.by)] if secret else [],
        "tls": _tls(args.tls_cert, args.tls_key),
        "hosts": args.allow_host,
        "origins": args.allow_origin,
    }
    async with trio.open_nursery() as nursery:
        try:
            serving: console.Serving = await nursery.start(partial(console.serve, runtime, **options))
        except OSError as error:
            reason = error.strerror or str(error)
            raise Stop(
                f"cannot listen at {args.host}:{args.port}: {reason} (--port 0 takes any that is free)"
            ) from error
        output.document(Served(serving.url, serving.socket_url, bool(secret)))
        output.line(f"the console is at {serving.url} (Ctrl-C ends it)")
        if not secret:
            output.line(f"every program of this machine may steer it; with {TOKEN} set it asks for that token", "dim")


def token_of(file: str | None) -> str:
    """The token of `--token-file`, else of the environment; empty for none."""
    if file is None:
        return os.environ.get(TOKEN, "")
    text = Path(file).read_text(encoding="utf-8").strip()
    if not text:
        raise Stop(f"{file} is empty: it has to have the token in it")
    return text


def _tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None:
            raise Stop("--tls-key goes with --tls-cert")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        raise Stop(f"{cert}: no certificate with its key ({error.reason or error})") from error
    return context
