"""The commands and their options."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from typing import Final

from terzetto_protocol.threads import BUSY

RECEIPT_WAIT: Final = 10.0
"""How long a command waits for the owner's receipt, seconds."""
PORT: Final = 7333
"""Where `serve` listens."""
_LISTED: Final = 20
"""Runs that `runs` lists, and commits that `history` does."""
_DIGITS: Final = 18
"""Digits of a number that every store can hold."""


def _demo(parser: ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="what to audit (default: the installed trio)")
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument("--approve", action="store_true", help="sign the summary off without asking")
    answer.add_argument("--reject", nargs="?", const="", metavar="REASON", help="reject it: no report is written")
    parser.add_argument("--out", metavar="FOLDER", help="where audit.html and audit.json go (default: this folder)")
    parser.add_argument("--fresh", action="store_true", help="audit anew what was audited before")
    parser.add_argument("--no-wait", action="store_true", help="leave with 3 where nobody here can decide")


def _run(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="MODULE:GRAPH", help="a graph at the top level of a module")
    text = "the state: JSON, @FILE, or @- for standard input (default: {}, or with --thread what its head ended with)"
    parser.add_argument("--input", metavar="JSON", help=text)
    parser.add_argument("--run-id", metavar="ID", help="the same id and input again is the same run, and goes on")
    parser.add_argument("--key", default="", help="idempotency key: the same key and input is the same run")
    parser.add_argument("--auto-approve", action="store_true", help="approve every barrier of this run")
    parser.add_argument("--thread", metavar="THREAD", help="the conversation that it continues")
    text = "while a run is under way on the thread (default: reject)"
    parser.add_argument("--busy", choices=BUSY, default="reject", help=text)
    text = "what is new: applied to the state that it begins with; as `show --json` has them"
    parser.add_argument("--record", default="", metavar="MUTATIONS", help=text)
    _add_stay(parser)


def _add_stay(parser: ArgumentParser) -> None:
    text = "without a terminal: wait for decisions from elsewhere, instead of leaving with 3"
    parser.add_argument("--stay", action="store_true", help=text)


def _serve(parser: ArgumentParser) -> None:
    text = "graphs whose runs are carried and may be started (default: the demo's)"
    parser.add_argument("graphs", nargs="*", metavar="MODULE:GRAPH", help=text)
    text = "address to listen at; one that others can reach needs a token and --tls-cert (default: 127.0.0.1)"
    parser.add_argument("--host", default="127.0.0.1", help=text)
    text = f"0 for any that is free (default: {PORT})"
    parser.add_argument("--port", type=_number, default=PORT, metavar="N", help=text)
    text = "a file with the token that clients have to show (default: the variable TERZETTO_TOKEN)"
    parser.add_argument("--token-file", metavar="FILE", help=text)
    parser.add_argument("--by", metavar="NAME", default="", help="whose token it is, as decisions are signed")
    parser.add_argument("--tls-cert", metavar="FILE", help="the server's certificate: it speaks TLS then")
    parser.add_argument("--tls-key", metavar="FILE", help="its key, if that is in another file")
    text = "a name by which the server is called besides, such as that of a proxy (repeated: several)"
    parser.add_argument("--allow-host", action="append", default=[], metavar="HOST", help=text)
    text = "another page that may open the websocket, such as https://example.com (repeated: several)"
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=text)


def _console(parser: ArgumentParser) -> None:
    default = f"ws://127.0.0.1:{PORT}/ws"
    text = f"the console (default: {default}, where `serve` listens)"
    parser.add_argument("--url", default=default, metavar="URL", help=text)
    text = "a file with the token that the server asks for (default: the variable TERZETTO_TOKEN)"
    parser.add_argument("--token-file", metavar="FILE", help=text)
    parser.add_argument("--by", metavar="NAME", default="", help="who decides (default: your login name)")


def _runs(parser: ArgumentParser) -> None:
    _add_url(parser)
    parser.add_argument("--status", action="append", default=[], metavar="S", help="only these (a list, or repeated)")
    parser.add_argument("--limit", type=_limit, default=_LISTED, metavar="N", help=f"default {_LISTED}; `all` for all")
    parser.add_argument("--before", metavar="ID", help="older than this run")
    parser.add_argument("--thread", metavar="THREAD", help="only on this thread")


def _show(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    shown = parser.add_mutually_exclusive_group()
    text = "the last N commits, or `all` (default: 20; with --json all)"
    shown.add_argument("--commits", type=_commits, metavar="N", help=text)
    shown.add_argument("--at", type=_number, metavar="SEQ", help="only this commit, and the state as of it")
    _add_graph(parser)


def _history(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--limit", type=_limit, default=_LISTED, metavar="N", help=f"default {_LISTED}; `all` for all")
    parser.add_argument("--before", type=_number, metavar="SEQ", help="older than this commit")
    parser.add_argument("--state", action="store_true", help="the state as of each commit too")
    _add_graph(parser)


def _diff(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("before", type=_number, metavar="A", help="a commit")
    text = "a later one (default: the newest)"
    parser.add_argument("after", nargs="?", type=_number, metavar="B", help=text)
    _add_graph(parser)


def _replay(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_graph(parser)


def _watch(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    text = "only events after this one (default: from the beginning)"
    parser.add_argument("--from", dest="from_event", type=_number, default=0, metavar="EVENT_ID", help=text)


def _decide(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    parser.add_argument("barrier", nargs="?", default="", metavar="BARRIER", help="its id or name, if several are open")
    answer = parser.add_mutually_exclusive_group(required=True)
    answer.add_argument("--approve", action="store_true")
    answer.add_argument("--reject", nargs="?", const="", metavar="REASON")
    answer.add_argument("--choose", metavar="EXIT", help="leave by an exit that the barrier declares")
    text = "the effect happened; MUTATIONS as `show --json` has them"
    answer.add_argument("--confirm", nargs="?", const="", metavar="MUTATIONS", help=text)
    answer.add_argument("--retry", action="store_true", help="the effect may happen (again)")
    answer.add_argument("--fail", nargs="?", const="", metavar="REASON", help="the effect is given up")
    parser.add_argument("--by", metavar="NAME", default="", help="who decides (default: your login name)")
    _add_wait(parser)


def _withdraw(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    parser.add_argument("barrier", metavar="BARRIER", help="its id or name, or `*`, as the decision was kept for")
    _add_wait(parser)


def _cancel(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    parser.add_argument("--reason", default="")
    text = "put the run's thread back to where it was before the run, also when it has SUCCEEDED"
    parser.add_argument("--rollback", action="store_true", help=text)
    text = "with --rollback: also where effects of `once` nodes are forgotten"
    parser.add_argument("--repeat-effects", action="store_true", help=text)
    _add_wait(parser)


def _pause(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    _add_wait(parser)


def _resume(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    text = "carry it in this process, if none owns the store"
    parser.add_argument("graph", nargs="?", default="", metavar="MODULE:GRAPH", help=text)
    _add_stay(parser)
    _add_wait(parser)


def _undo(parser: ArgumentParser) -> None:
    _add_run(parser)
    text = "how many visits, decisions and joins (default 1)"
    parser.add_argument("count", nargs="?", type=_positive, default=1, metavar="N", help=text)
    _add_carrying(parser)


def _fork(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--at", type=_number, metavar="SEQ", help="the commit to go on from (default: the newest)")
    _add_id(parser)
    _add_carrying(parser)


def _retry(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_id(parser)
    _add_carrying(parser)


def _rerun(parser: ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("place", metavar="PLACE", help="the node or barrier to begin at")
    text = "another state to begin with: JSON, @FILE, or @- for standard input"
    parser.add_argument("--state", metavar="JSON", help=text)
    _add_id(parser)
    _add_carrying(parser)


def _truncate(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    parser.add_argument("seq", type=_positive, metavar="SEQ", help="the first commit that is to stay")
    _add_wait(parser)


def _delete(parser: ArgumentParser) -> None:
    _add_run(parser)
    _add_url(parser)
    _add_wait(parser)


def _graph(parser: ArgumentParser) -> None:
    parser.add_argument("graph", metavar="MODULE:GRAPH")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--mermaid", action="store_true", help="draw it as a Mermaid flowchart")
    form.add_argument("--dot", action="store_true", help="draw it for Graphviz")
    form.add_argument("--svg", action="store_true", help="draw it as a picture")
    form.add_argument("--html", action="store_true", help="the same picture as a page of its own")
    form.add_argument("--check", action="store_true", help="mistakes, warnings, cycles, ends (the default)")
    text = "with --svg or --html: show what this run has done"
    parser.add_argument("--run", metavar="RUN", help=text)


def _schema(parser: ArgumentParser) -> None:
    text = "of this graph's state and mutations instead"
    parser.add_argument("--graph", default="", metavar="MODULE:GRAPH", help=text)


def _doctor(parser: ArgumentParser) -> None:
    parser.add_argument("--deep", action="store_true", help="check the integrity of everything that is stored")
    text = "look whether this graph can go on with its runs (repeated: other versions and graphs)"
    parser.add_argument("--graph", action="append", default=[], metavar="MODULE:GRAPH", help=text)


def _add_url(parser: ArgumentParser) -> None:
    text = "a console instead of a store, such as ws://127.0.0.1:7333/ws (its token: the variable TERZETTO_TOKEN)"
    parser.add_argument("--url", default="", metavar="URL", help=text)


def _add_run(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id")


def _add_wait(parser: ArgumentParser) -> None:
    text = f"how long to wait for the owner's answer (default {RECEIPT_WAIT:g})"
    parser.add_argument("--wait", type=_seconds, default=RECEIPT_WAIT, metavar="SECONDS", help=text)


def _add_id(parser: ArgumentParser) -> None:
    text = "the new run's id (default: the old one's with a few letters more)"
    parser.add_argument("--id", metavar="NEW", help=text)


def _add_graph(parser: ArgumentParser) -> None:
    text = "the run's graph, whose code makes its states (default: the demo's, for an audit)"
    parser.add_argument("--graph", default="", metavar="MODULE:GRAPH", help=text)


def _add_carrying(parser: ArgumentParser) -> None:
    """What the commands take after which a run goes on."""
    text = "effects of `once` nodes may happen again"
    parser.add_argument("--repeat-effects", action="store_true", help=text)
    text = "carry the run in this process, if none owns the store (default: the demo's, for an audit)"
    parser.add_argument("--graph", default="", metavar="MODULE:GRAPH", help=text)
    _add_stay(parser)
    _add_wait(parser)


def _limit(text: str) -> int | None:
    return None if text == "all" else _number(text)


def _commits(text: str) -> int:
    return -1 if text == "all" else _number(text)


def _number(text: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    if len(text) > _DIGITS:
        raise ArgumentTypeError(f"{text:.20}... is larger than anything that is counted here")
    if int(text) < least:
        raise ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return int(text)


def _positive(text: str) -> int:
    return _number(text, 1)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


COMMANDS: Final[Mapping[str, tuple[str, Callable[[ArgumentParser], None]]]] = {
    "demo": ("audit a tree of Python source: a job to kill, and to see go on", _demo),
    "run": ("submit a run of your graph and carry it", _run),
    "serve": ("carry runs, and show them on a console", _serve),
    "console": ("watch and steer the runs of a server, on this terminal", _console),
    "runs": ("list runs", _runs),
    "show": ("show one run: status, commits, events, state", _show),
    "history": ("list what a run has committed, newest first", _history),
    "diff": ("what changed in a run's state between two commits", _diff),
    "replay": ("fold a run's whole log anew, and compare it with what is stored", _replay),
    "watch": ("follow a run's events until it ends", _watch),
    "decide": ("answer a barrier that a run waits at", _decide),
    "withdraw": ("forget decisions that are kept for a barrier", _withdraw),
    "cancel": ("end a run", _cancel),
    "pause": ("stop a run at its next commit, until it is resumed", _pause),
    "resume": ("let a paused run go on, or carry an unfinished one here", _resume),
    "undo": ("take the last steps of a run back, and go on from there", _undo),
    "fork": ("a new run that goes on from a commit of another", _fork),
    "retry": ("a new run from before the visit with which another failed", _retry),
    "rerun": ("a new run that begins at a place of another's graph", _rerun),
    "truncate": ("forget the first commits of a run", _truncate),
    "delete": ("forget a run that has ended", _delete),
    "graph": ("draw a graph, also with what a run has done, or check it", _graph),
    "schema": ("print the JSON Schema of the console's protocol, or of a graph", _schema),
    "doctor": ("versions, store health, what waits and what to do", _doctor),
}
"""Every command: what it is for, and what adds its options."""
