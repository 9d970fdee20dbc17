"""Every sentence that SEMANTICS promises in this release is named by a test, so that a lost test is noticed.

A test names a promise by its number and some of its words in the docstring: `5.2: else the fallback edge`.
"""

import ast
import re
from functools import cache

import pytest

from .pages import ROOT

PROMISES = {
    "1": [
        "a graph is a declaration", "frozen by its first submit", "the hash covers structure", "never by import",
        "several versions may be live", "pinned to one", "a run has an id", "else refused", "stored under", "epoch",
        "refused names",
    ],
    "2": [
        "(none) -> QUEUED", "there are no other statuses", "terminal and immutable", "a code", "QUEUED", "waits for a slot",
        "goes before new work", "the decision was the last step", "a restart leaves AWAITING_INPUT untouched",
        "AWAITING_INPUT -> CANCELLED", "PAUSED -> QUEUED", "CANCELLING -> CANCELLED only", "starts no node",
        "INTERRUPTED -> RUNNING", "INTERRUPTED -> CANCELLED", "recovery_exhausted: 3 claims", "durable before its user code",
        "raises `IllegalTransition`", "writes nothing", "first durable writer wins", "does not know",
        "stays as it is with a reason", "every pending node and open barrier", "names of other systems", "store_rejected",
    ],
    "D1": ["`submit` returns"], "D2": ["its intent is durable, in a write of its own", "the commit before it is durable"],
    "D3": ["before their predecessors are durable", "bounded window", "(a receipt)", "no event before its commit"],
    "D4": ["means the same bytes", "ids rise strictly", "never reused", "in the order in which the machine made them"],
    "D5": ["durable and its barrier closed, in one transaction", "exactly one wins"],
    "D6": ["no commit and no intent"], "D7": ["one transaction", "END is last, exactly once"],
    "D8": ["cancels its run scope and publishes nothing"],
    "3": [
        "no visit with a durable commit runs again", "a `once` body is started once, plus once per explicit retry",
        "says so in every receipt", "synchronous=FULL", "?synchronous=normal",
    ],
    "4.1": ["attrs class, a dataclass or a msgspec Struct", "a frozen class", "registered name", "the fix in the message"],
    "4.2": ["nothing shows before", "order of record = order of apply"],
    "4.3": ["leaves no trace in the state", "rebuilt from the log"],
    "4.4": ["folding the log from the initial state gives the live state"],
    "4.6": ["fails the run at the previous commit, naming run, node, mutation"],
    "4.7": [
        "transient are left out", "hook", "NaN to null", "lone surrogates", "undeclared types", "typed error of *that node*",
        "no fallback codec", "no pickle",
    ],
    "5.1": ["exactly one start", "the last one set wins", "`pause` is independent", "takes the node object", "needs no edge"],
    "5.2": [
        "first conditional edge whose predicate holds, in order of declaration", "plain edge", "fallback edge",
        "without out-edges ends the run", "FAILED(unrouted) naming the predicates tried", "declared `on_error=True`",
        "fails the run and names the edge",
    ],
    "5.3": ["N allows exactly N visits", "the run may set it", "`max_visits` on an edge", "max_visits on an edge or node"],
    "5.4": ["every mistake at once", "did you mean", "cycles without a guard", "unreachable nodes", "end nodes"],
    "6.1": [
        "Id = (run, path, visit, name, k)", "the barrier opens in one transaction", "BarrierResolved{decision, source}",
        "nothing before the barrier runs again",
    ],
    "6.2": ["taken at the commit boundary"],
    "6.3": ["edges start from", "becomes mutations", "keeps waiting", "declared exits"],
    "6.4": [
        "Reject unless said otherwise", "or `Fail()`", "`source=timeout`", "absolute deadline is stored",
        "cancel > decision > timeout", "with the winner",
    ],
    "6.6": ["no slot and no task", "its memory is its row"],
    "6.7": ["the barrier waits and is listed", "`auto_approve=True` on the run approves", "refuses a graph with barriers"],
    "7": [
        "`\"repeatable\"` is the default", "has_side_effects=True", "key = hash(run, path, visit)", "every attempt, epoch and",
        "same idempotency key later = one run", "node start, no intent durable: runs", "pure / repeatable run again",
        "intent durable, body began", "confirm(result), retry, fail", "`probe(key)` decides", "commit durable => not re-run",
        "no gap, no duplicate", "appears after a restart", "listed in the run's result", "recovery is a loop",
        "the crash table",
    ],
    "8.1": [
        "publishing never waits for a reader", "256 events", "10 MiB", "durable events", "token chunks live in the window only",
        "epoch << 32 | n",
    ],
    "8.2": ["evicted", "exact inside an epoch, else unknown", "`strict` ends instead", "never a silent jump", "reaches the run"],
    "8.3": [
        "exactly one terminal event", "always kept", "returns the first id", "publishing after it raises",
        "gives END at once", "creates nothing",
    ],
    "8.4": ["only when idle", "without an id", "`awaiting_input` is visible", "closing the hub is not cancelling the runs"],
    "8.5": ["never dropped by a flood of chunks", "chunks are typed"],
    "9.1": ["durable command with receipts", "before the first claim: no node ever runs", "never swallowed", "late results"],
    "9.3": ["the caller's own cancellation raises", "never raises for an outcome", "raises `RunFailed`"],
    "9.4": ["SystemExit and GeneratorExit", "re-raised and the run INTERRUPTED", "leaves", "never counts as a failure"],
    "9.5": ["rest-for-one", "3 restarts in 5 s, then orderly stop", "every mailbox is bounded", "answers everyone"],
    "9.6": [
        "refuse new work", "reach its commits until the deadline, then INTERRUPTED", "parked runs untouched", "streams end",
        "the store closes last", "SIGTERM", "a second signal is at once", "go on when it is back", "refused meanwhile",
    ],
    "10": [
        "pool size (changeable live)", "typed `QueueFull` with retry-after", "nothing accepted is ever lost",
        "`reused=True`", "same id + other input = conflict",
    ],
    "11": [
        "one owner per file", "others may read", "within 250 ms", "the next owner goes on", "says what to do",
    ],
    "12": [
        "1 MiB", "JSON depth 64", "checked before decoding", "ids 128 characters", "metadata keys", "named constants",
        "`limit=0` means none, `None` means all",
    ],
}  # fmt: skip
"""Numbers of SEMANTICS (D1 to D8 are section 3), and words by which a docstring names each of its sentences."""

OPEN = {
    "8.4": ["`on_disconnect`"],
}
"""What this release does not keep yet."""


@cache
def docstrings() -> tuple[str, ...]:
    """Of every test, in one line each."""
    found = []
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        if path.name == "test_promise_index.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.append(plain(ast.get_docstring(node) or ""))
    return tuple(found)


def plain(text: str) -> str:
    return " ".join(text.replace("*", "").lower().split())


def named(number: str, words: str) -> bool:
    """Whether a test has the number and the words."""
    cite = re.compile(rf"(?<![\w.]){re.escape(number.lower())}(?!\w|\.\d)")
    return any(plain(words) in text and cite.search(text) for text in docstrings())


@pytest.mark.parametrize("number", PROMISES)
def test_every_promise_is_named_by_a_test(number):
    assert [] == [words for words in PROMISES[number] if not named(number, words)]


def test_what_is_open_is_not_kept_unnoticed():
    assert [] == [words for number, open_ones in OPEN.items() for words in open_ones if named(number, words)]
