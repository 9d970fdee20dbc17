"""The inbox of a Postgres store: commands that other processes leave, each for one owner."""

from typing import Any, Final

from terzetto_protocol.records import Posted

from ._checksums import Damaged, checksum, fits, sum_blob
from ._postgres_owners import living
from ._postgres_runs import limited, rows_of
from ._postgres_schema import Connected

_POST: Final = """
    with said as (
        insert into inbox (command, run, body, at, receipt, crc) values (%s, %s, %s, %s, %s, %s)
        on conflict (command) do nothing returning 1
    )
    select pg_notify(%s, '') from said
"""
_FOR_ME: Final = f"""
    from inbox i left join runs r on r.id = i.run {living("o", "r.owner")} {living("t", "i.taker")}
    where i.receipt is null
    and (o.name = %(me)s or o.name is null and (t.name is null or t.name = %(me)s))
    and not exists (
        select from declined d where d.owner = %(me)s and d.command = i.command and d.until > clock_timestamp()
    )
    order by i.n limit %(limit)s
"""
# Somebody else may take the same at the same time: the first one changes who has it, and the other then finds that
# it is no longer as it was looked at.
_TAKE: Final = f"""
    with mine as materialized (select i.n, i.taker, o.name is null as free {_FOR_ME}),
    taken as (
        update inbox i set taker = %(me)s from mine m
        where i.n = m.n and m.free and m.taker <> %(me)s and i.taker = m.taker and i.receipt is null returning i.n
    )
    select i.command, i.run, i.body, i.at, i.crc from inbox i join mine m on m.n = i.n
    where not m.free or m.taker = %(me)s or i.n in (select n from taken) order by i.n
"""  # noqa: S608 - our own words only, here and below
# What it has declined for long enough is forgotten on the way, so that there is no more of it than waits.
_DECLINE: Final = """
    with over as (
        delete from declined where owner = %(me)s and until <= clock_timestamp() and command <> %(command)s
    ),
    noted as (
        insert into declined (owner, command, until)
        select %(me)s, command, clock_timestamp() + %(pause)s * interval '1 second' from inbox
        where command = %(command)s and receipt is null
        on conflict (owner, command) do update set until = excluded.until
    )
    update inbox set taker = '' where command = %(command)s and taker = %(me)s and receipt is null
"""
_LOOK: Final = """
    select command, run, body, at, crc from inbox where receipt is null order by n limit %(limit)s
"""
_ANSWER: Final = """
    update inbox set receipt = %(receipt)s, crc = ((crc >> 32) << 32) | %(crc)s
    where command = %(command)s and receipt is null
"""
_RECEIPT: Final = "select command, run, at, body, receipt, crc from inbox where command = %(command)s"


def post(connection: Connected, command: Posted, channel: str) -> None:
    """See `Store.post`; whoever listens is told when it is there."""
    crc = checksum(command.receipt or b"", command.command_id, command.run_id, float(command.at), command.body)
    said = (command.command_id, command.run_id, command.body, float(command.at), command.receipt, crc)
    connection.execute(_POST, (*said, channel))


def posted(connection: Connected, limit: int, me: str) -> list[Posted]:
    """See `Store.posted`; a guest, who has no name, is given nothing, and sees all of them."""
    values: dict[str, Any] = {"limit": limited(limit), "me": me}
    return [
        Posted(command, run_id, body, at)
        for command, run_id, body, at, crc in rows_of(connection, _TAKE if me else _LOOK, values)
        if fits(crc, b"", command, run_id, at, body)
    ]


def decline(connection: Connected, command_id: str, me: str, pause: float) -> None:
    """See `Store.decline`; so many seconds are a lease."""
    connection.execute(_DECLINE, {"command": command_id, "me": me, "pause": pause})


def answer(connection: Connected, command_id: str, receipt: bytes) -> None:
    """See `Store.answer`."""
    connection.execute(_ANSWER, {"receipt": receipt, "crc": sum_blob(receipt), "command": command_id})


def receipt(connection: Connected, command_id: str) -> bytes | None:
    """See `Store.receipt`."""
    for command, run_id, at, body, found, crc in rows_of(connection, _RECEIPT, {"command": command_id}):
        if not fits(crc, found or b"", command, run_id, at, body):
            raise Damaged(run_id, f"command {command!r}")
        return None if found is None else bytes(found)
    return None
