"""Mutations as they are said on the command line, the same that `show --json` prints."""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from terzetto_protocol.codec import check_json, pack
from terzetto_protocol.decisions import Recorded

from ._exits import Stop


class _Mutation(Struct, forbid_unknown_fields=True):
    name: str
    data: Any


def mutations_of(given: str, option: str) -> tuple[Recorded, ...]:
    """`[{"name": "Published", "data": {}}]`; empty for none. Raises `Stop`, which names the option."""
    text = (given or "[]").encode("utf-8", "surrogateescape")
    check_json(text, option)
    try:
        mutations = msgspec.json.decode(text, type=list[_Mutation])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Stop(f'{option} takes a list like [{{"name": "Published", "data": {{}}}}]: {error}') from error
    return tuple(Recorded(each.name, Raw(pack(each.data, each.name))) for each in mutations)
