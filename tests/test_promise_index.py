"""Every sentence that SEMANTICS promises in this release is named by a test, so that a lost test is noticed.

A test names a promise by its number and some of its words in the docstring: `5.2: else the fallback edge`.
"""

import ast
import re
from functools import cache

import pytest

from .pages import ROOT

PROMISES = """
1    a graph is a declaration
1    frozen by its first submit
1    the hash covers structure
1    never by import
1    several versions may be live
1    pinned to one
1    a run has an id
1    else refused
1    never reused in a run
1    epoch
1    refused names
1    a run on a thread with a head starts from the head's final state
1    SUCCEEDED moves the head in its terminal transaction
2    (none) -> QUEUED
2    there are no other statuses
2    terminal and immutable
2    a code
2    QUEUED
2    waits for a slot
2    goes before new work
2    the decision was the last step
2    a restart leaves AWAITING_INPUT untouched
2    AWAITING_INPUT -> CANCELLED
2    PAUSED -> QUEUED
2    CANCELLING -> CANCELLED only
2    starts no node
2    INTERRUPTED -> RUNNING
2    INTERRUPTED -> CANCELLED
2    recovery_exhausted: 3 claims
2    durable before its user code
2    raises `IllegalTransition`
2    writes nothing
2    first durable writer wins
2    does not know
2    stays as it is with a reason
2    every pending node and open barrier
2    otherwise a declared migration
2    names of other systems
2    store_rejected
D1   `submit` returns
D2   its intent is durable, in a write of its own
D2   the commit before it is durable
D3   before their predecessors are durable
D3   bounded window
D3   (a receipt)
D3   no event before its commit
D4   means the same bytes
D4   ids rise strictly
D4   never reused
D4   in the order in which the machine made them
D5   durable and its barrier closed, in one transaction
D5   exactly one wins
D6   no commit and no intent
D7   one transaction
D7   END is last, exactly once
D8   cancels its run scope and publishes nothing
3    no visit with a durable commit runs again
3    a `once` body is started once, plus once per explicit retry
3    rollback across a `once` visit needs `repeat_effects=True`
3    keeps commits in memory until a barrier or the end
3    events shown before that are marked `durable=False`
3    says so in every receipt
3    synchronous=FULL
3    ?synchronous=normal
4.1  attrs class, a dataclass or a msgspec Struct
4.1  a frozen class
4.1  registered name
4.1  the fix in the message
4.1  keyed state with reducers (error, replace, append, merge, sum, min, max, custom)
4.1  type mismatches name the key
4.2  nothing shows before
4.2  order of record = order of apply
4.3  leaves no trace in the state
4.3  rebuilt from the log
4.4  folding the log from the initial state gives the live state
4.5  no aliasing
4.5  reports a node that mutates its input
4.5  a mutation that is not deterministic
4.6  fails the run at the previous commit, naming run, node, mutation
4.7  stored once by digest
4.7  in chunks
4.7  read as a stream
4.7  transient are left out
4.7  hook
4.7  NaN to null
4.7  lone surrogates
4.7  undeclared types
4.7  typed error of *that node*
4.7  no fallback codec
4.7  no pickle
5.1  exactly one start
5.1  the last one set wins
5.1  `pause` is independent
5.1  takes the node object
5.1  needs no edge
5.2  first conditional edge whose predicate holds, in order of declaration
5.2  plain edge
5.2  fallback edge
5.2  without out-edges ends the run
5.2  FAILED(unrouted) naming the predicates tried
5.2  declared `on_error=True`
5.2  fails the run and names the edge
5.3  N allows exactly N visits
5.3  the run may set it
5.3  `max_visits` on an edge
5.3  max_visits on an edge or node
5.4  every mistake at once
5.4  did you mean
5.4  cycles without a guard
5.4  unreachable nodes
5.4  end nodes
5.5  each branch starts from the same state
5.5  under the branch's path
5.5  in order of declaration, never of completion
5.5  two branches changed the same top-level field
5.5  its encoding differs from the base
5.5  `Annotated[..., terzetto.replayed]` or reduced
5.5  `MergeConflict` naming field and branches
5.5  `merge="replay"` applies all commands in order
5.5  or a registered merge function
5.5  `fail_fast` (default) cancels the siblings
5.5  waits for their cleanup
5.5  drops what they committed (`BranchDiscarded`)
5.5  `collect` folds the successes, then raises `BranchesFailed`
5.5  `on_error` edges of the place lead on
5.5  a limit per fan-out
5.5  never held while waiting for children
5.5  `map` over items of the state has the same rules
5.5  the items of a map are stored when it is entered
5.5  plain `def` branches that run in one turn share one transaction
5.5  each branch sees its own item
5.6  through a lens
5.6  own namespace
5.6  own step limit
5.6  barriers are inherited
5.6  streams are inherited
5.6  checkpoints are inherited
5.6  cancellation is inherited
5.6  resumable from inside
5.6  a failed subgraph leaves the outer state untouched
5.6  its success is one outer commit
5.6  a composite node may run one by `await ctx.run(inner, ...)`
5.7  nodes with named inputs and outputs joined by links
5.7  compiled onto the same run machine
5.7  named, typed inputs and outputs
5.7  numbered (visit, k), each a commit that flows on at once
5.7  a re-run skips the k that are durable
5.7  another value there is `NonDeterministicOutput`
5.7  async generators are accepted through an adapter
5.7  a visit starts when its inputs are complete
5.7  the earliest incomplete visit gets the next value
5.7  static links keep their last value
5.7  defaults, then what came in, then the run's masks
5.7  per-run input masks, also for nested paths
5.7  validation before the node runs
5.7  every node has an `error` output
5.7  an invalid visit commits its error
5.7  with links leaving it the run goes on
5.7  `on_node_error` decides (continue | fail)
5.7  `limit` visits are under way at once
5.7  the outputs of a dataflow inside come out when it has ended well
5.8  sync functions run in a worker thread
5.8  the abandon policy is declared
5.8  reads a copy of the state
5.8  one that waits for a thread has not begun
5.8  right on the event loop
5.8  noticed within 1 s
5.8  the stack written (a C timer)
5.8  holds the interpreter lock
6.1  Id = (run, path, visit, name, k)
6.1  the barrier opens in one transaction
6.1  BarrierResolved{decision, source}
6.1  nothing before the barrier runs again
6.2  taken at the commit boundary
6.2  stays RUNNING and owned
6.2  re-runs as any uncommitted node
6.2  earlier answers are returned at once
6.2  refused in a `once` node
6.3  edges start from
6.3  becomes mutations
6.3  keeps waiting
6.3  declared exits
6.3  Modify is checked against the state type at decide time
6.3  Reroute skips the edges
6.3  an unknown target is refused at decide time
6.4  Reject unless said otherwise
6.4  or `Fail()`
6.4  `source=timeout`
6.4  absolute deadline is stored
6.4  cancel > decision > timeout
6.4  with the winner
6.5  an early decision waits for its barrier
6.5  for later occurrences until withdrawn
6.5  an exact one beats it
6.5  one for an id goes before one for a name
6.5  never disturbs a wait
6.5  a decision without an id is refused when more than one barrier is open
6.5  duplicate command id => the same receipt
6.6  no slot and no task
6.6  its memory is its row
6.7  the barrier waits and is listed
6.7  `auto_approve=True` on the run approves
6.7  refuses a graph with barriers
7    `"repeatable"` is the default
7    has_side_effects=True
7    key = hash(run, path, visit)
7    every attempt, epoch and
7    same idempotency key later = one run
7    node start, no intent durable: runs
7    pure / repeatable run again
7    intent durable, body began
7    confirm(result), retry, fail
7    `probe(key)` decides
7    commit durable => not re-run
7    no gap, no duplicate
7    finished siblings never re-run
7    ended by a timeout
7    ended by a cancel
7    ended by a fail-fast sibling
7    appears after a restart
7    listed in the run's result
7    recovery is a loop
7    the crash table
8.1  nobody's slowness reaches the run
8.1  256 events
8.1  10 MiB
8.1  durable events
8.1  token chunks live in the window only
8.1  epoch << 32 | n
8.2  evicted
8.2  exact inside an epoch, else unknown
8.2  `strict` ends instead
8.2  never a silent jump
8.2  reaches the run
8.3  exactly one terminal event
8.3  always kept
8.3  returns the first id
8.3  publishing after it raises
8.3  gives END at once
8.3  creates nothing
8.4  `on_disconnect`: continue (default)
8.4  only the last reader counts
8.4  only when idle
8.4  without an id
8.4  `awaiting_input` is visible
8.4  closing the hub is not cancelling the runs
8.5  never dropped by a flood of chunks
8.5  chunks are typed
8.6  dead letter after 600 s
8.6  7,200 s awaiting input
8.6  300 s after the end
8.6  60 s without readers
8.6  the delay can be cancelled
9.1  durable command with receipts
9.1  before the first claim: no node ever runs
9.1  never swallowed
9.1  late results
9.1  past its grace (5 s) it is stuck
9.1  CANCELLED with a note
9.1  FAILED(stuck_node) where a timeout ended it
9.1  named with its stack until it returns
9.2  the head goes back
9.2  or refuses
9.3  the caller's own cancellation raises
9.3  never raises for an outcome
9.3  raises `RunFailed`
9.4  SystemExit and GeneratorExit
9.4  re-raised and the run INTERRUPTED
9.4  leaves
9.4  never counts as a failure
9.5  rest-for-one
9.5  3 restarts in 5 s, then orderly stop
9.5  every mailbox is bounded
9.5  answers everyone
9.6  refuse new work
9.6  reach its commits until the deadline, then INTERRUPTED
9.6  parked runs untouched
9.6  streams end
9.6  the store closes last
9.6  SIGTERM
9.6  a second signal is at once
9.6  go on when it is back
9.6  refused meanwhile
9.7  run deadline
9.7  says whether parked time counts; default it does not
9.7  `run_timeout` (never refreshed)
9.7  refreshed by record, emit, heartbeat
9.7  per attempt
9.7  waiting at a barrier does not count
9.7  a `once` body that was cut off is unknown
9.8  max_attempts (total)
9.8  initial, factor, max
9.8  jitter
9.8  retry_on / never_on
9.8  user errors (ValueError by default)
9.8  `once` nodes are not retried
9.8  backoff ends at once on cancel
9.8  a failed attempt's mutations are gone
9.8  Retry-After is kept as a minimum
9.8  the moment at which the next attempt begins
10   pool size (changeable live)
10   typed `QueueFull` with retry-after
10   nothing accepted is ever lost
10   `reused=True`
10   same id + other input = conflict
11   one owner per file
11   others may read
11   within 250 ms
11   the next owner goes on
11   says what to do
12   1 MiB
12   JSON depth 64
12   checked before decoding
12   ids 128 characters
12   metadata keys
12   named constants
12   `limit=0` means none, `None` means all
"""
"""A number of SEMANTICS (D1 to D8 are section 3), and the words by which a docstring names this sentence."""

OPEN = """
"""
"""Promised, and not kept yet."""


def rows(table: str) -> list[tuple[str, str]]:
    return [(number, plain(words)) for number, words in re.findall(r"^(\S+) +(.+)$", table, re.MULTILINE)]


def plain(text: str) -> str:
    return " ".join(text.replace("*", "").lower().split())


@cache
def docstrings() -> list[str]:
    """Of every test but those of this file."""
    paths = [path for path in sorted((ROOT / "tests").glob("test_*.py")) if path.name != "test_promise_index.py"]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    tests = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [plain(ast.get_docstring(test) or "") for test in tests if test.name.startswith("test_")]


def is_named(number: str, words: str) -> bool:
    """Whether one test has both in its docstring."""
    cite = re.compile(rf"(?<![\w.]){re.escape(number.lower())}(?!\w|\.\d)")
    return any(words in text and cite.search(text) for text in docstrings())


@pytest.mark.parametrize("number", dict.fromkeys(number for number, _ in rows(PROMISES)))
def test_every_promise_is_named_by_a_test(number):
    assert [] == [words for each, words in rows(PROMISES) if each == number and not is_named(each, words)]


def test_the_sections_of_this_release_are_all_there():
    numbers = {number for number, _ in rows(PROMISES)}
    sections = {4: "1234567", 5: "1234568", 6: "1234567", 8: "12345", 9: "1345678"}

    assert {f"{section}.{part}" for section, parts in sections.items() for part in parts} <= numbers
    assert {"1", "2", "3", "7", "10", "11", "12", *(f"D{number}" for number in range(1, 9))} <= numbers


def test_what_is_open_is_not_kept_unnoticed():
    assert [] == [row for row in rows(OPEN) if is_named(*row)]
