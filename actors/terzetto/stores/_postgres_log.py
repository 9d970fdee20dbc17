"""The write path of a Postgres store: a group of writes becomes few statements, sent together, in one transaction.

Every everyday commit of a group is in one statement, which checks the epochs and the order itself: so a group of
everyday writes, of however many runs, is one statement and one way there and back. What else a group has are a few
statements more, which are sent together with it. If any of it does not apply, nothing of it has happened, and the
group is done again, one by one, with the runs locked and questions asked: slower, and the only place where a write is
judged.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from psycopg import errors

from terzetto_protocol.errors import describe
from terzetto_protocol.records import Applied, Exists, Outcome, Rejected, Write
from terzetto_protocol.threads import UNDER_WAY, overtaken

from . import _postgres_reads as reads
from ._checksums import Damaged
from ._postgres_group import Group, Unusual
from ._postgres_link import REFUSED
from ._postgres_runs import is_nobody_elses, read_run, read_run_by_key, read_runs
from ._postgres_schema import Connected
from ._postgres_statements import Statement
from ._postgres_threads import head, lock
from ._verdict import in_order, misnumbered, nameless, unknown, verdict

_DATA_ERRORS: Final = (*REFUSED, TypeError, ValueError, OverflowError)
"""What is wrong with a write, and would be on every try."""
_TRIES: Final = 5
"""How often a write is judged that another owner's gets in between of."""
_APPLIED: Final = Applied()
_MISSING: Final = """
    select name from unnest(%s::text[]) as new (name)
    where not exists (select from blobs b where b.name = new.name and b.whole)
"""
_LOCK: Final = "select from runs where id = any(%s) order by id for no key update"


def commit(connection: Connected, writes: Sequence[Write], owner: str) -> list[Outcome]:
    """See `Store.commit`."""
    try:
        _send(connection, _group(writes, owner))
    except (Unusual, *_DATA_ERRORS):
        return _one_by_one(connection, writes, owner)
    return [_APPLIED] * len(writes)


def _group(writes: Sequence[Write], owner: str) -> list[Statement]:
    group = Group(owner)
    for write in writes:
        group.add(write)
    return group.statements()


def _send(connection: Connected, statements: Sequence[Statement]) -> None:
    # What is sent in a pipeline is one transaction, which is committed by the end of the pipeline.
    if len(statements) == 1:
        connection.execute(*statements[0], prepare=True)
    elif statements:
        with connection.pipeline():
            for statement, values in statements:
                connection.execute(statement, values, prepare=True)


def _one_by_one(connection: Connected, writes: Sequence[Write], owner: str) -> list[Outcome]:
    threads = [each for write in writes for each in (write.thread, write.header.thread if write.header else "")]
    with connection.transaction():
        connection.execute(*lock(_texts(threads), _texts(write.run_id for write in writes if write.base is not None)))
        connection.execute(_LOCK, (_texts(write.run_id for write in writes),))
        return in_order(writes, lambda write: _settle(connection, write, owner))


def _texts(values: Iterable[str]) -> list[str]:
    """Those that Postgres can hold, once each and in one order for all."""
    return sorted({each for each in values if "\0" not in each and each.encode(errors="ignore").decode() == each})


def _settle(connection: Connected, write: Write, owner: str) -> Outcome:
    try:
        for _ in range(_TRIES):
            try:
                with connection.transaction():
                    return _judged(connection, write, owner)
            except errors.UniqueViolation:
                continue  # somebody has brought the same id or key meanwhile, which the next look finds
        raise errors.SerializationFailure("others bring and delete the same run all the time")
    except Damaged as error:
        text = f"commit {write.seq} cannot be compared with what is stored of run {write.run_id!r}, which is damaged"
        return Rejected(f"{text}: {describe(error)}", final=False)  # nobody knows whether it is there
    except (Unusual, *_DATA_ERRORS) as error:
        return Rejected(f"commit {write.seq} of run {write.run_id!r} cannot be stored: {describe(error)}")


def _judged(connection: Connected, write: Write, owner: str) -> Outcome:
    outcome = _judge(connection, write, owner)
    if outcome is None and write.blobs:
        missing = connection.execute(_MISSING, (list(write.blobs),)).fetchone()
        outcome = None if missing is None else nameless(write, str(missing[0]))
    if outcome is None:
        for statement, values in _group([write], owner):
            connection.execute(statement, values, prepare=True)
    return outcome or _APPLIED


def _judge(connection: Connected, write: Write, owner: str) -> Outcome | None:
    run = read_run(connection, write.run_id)
    stored = reads.commit(connection, write.run_id, write.seq)
    if write.header is None:
        is_ours = write.epoch == write.expect or is_nobody_elses(connection, write.run_id, owner)
        found = unknown(write) if run is None else verdict(write, run.epoch, run.seq, stored, is_ours=is_ours)
    elif run is not None and run.header == write.header and stored == (write.epoch, write.body):
        return _APPLIED
    else:
        taken = run or (read_run_by_key(connection, write.header.key) if write.header.key else None)
        found = misnumbered(write) if taken is None else Exists(taken)
    header = write.header or (run.header if run is not None and write.base is not None else None)
    return found if found is not None or header is None else _overtaken(connection, write, header.thread)


def _overtaken(connection: Connected, write: Write, thread: str) -> Outcome | None:
    at = head(connection, thread)
    line = read_runs(connection, UNDER_WAY, None, None, thread)
    return overtaken(write, thread, "" if at is None else at.run_id, line)
