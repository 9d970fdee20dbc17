"""Upcasting: a stored log as a newer version of its graph would have written it.

What the log tells (events, their ids, times, statuses, numbers of visits) stays as it is. What depends on the graph is
led through its migrations: the state, recorded mutations, names of places and the paths that they make. Edges have no
names: those with a limit are counted anew.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from .blueprint import Blueprint
from .changes import CHANGES
from .codec import pack, readable
from .composites import Subgraph, call_name, exit_name
from .decisions import Recorded
from .errors import MigrationFailed, NotStorable, describe
from .flow_state import Packed
from .frames import BranchImage, Counts, Fork
from .ids import barrier_id
from .image import Snapshot, read_snapshot
from .limits import MESSAGE_BYTES, STATE_BYTES
from .migrations import Migration, inner_versions, renamed
from .pending import Pending
from .records import (
    Answer,
    Called,
    Detail,
    Forked,
    Joined,
    Kept,
    Migrated,
    Opening,
    Record,
    Resolution,
    Returned,
    Rewind,
    Step,
    Taken,
    Withdrawn,
)
from .wiring import Wiring, began_with, same_between

S = TypeVar("S")

Anyone: TypeAlias = "Upcaster[Any] | None"
"""Who upcasts what is in a frame; None where nothing has changed."""


class Upcaster(Generic[S]):
    """Leads what an older version of a graph has stored through all its migrations since.

    Raises `MigrationFailed` when one of them does, and `Malformed` when the graph cannot read what they return.
    """

    def __init__(self, blueprint: Blueprint[S], chain: Sequence[Migration]) -> None:
        self.blueprint: Final = blueprint
        self._chain: Final = chain
        self._versions: Final = inner_versions(chain)

    # -- names -----------------------------------------------------------------------------------------------

    def place(self, name: str) -> str:
        """What a place is called now."""
        return renamed(name, self._chain)

    def inside(self, place: str) -> Anyone:
        """Who upcasts the graph inside of a place, which is named as it is now."""
        first, *rest = place.split(".")
        called = rest and not rest[0].isdecimal()  # else it is the number of a task, as the third part is of a call
        version = self._versions.get(f"{first}.{rest[0]}" if called else first)
        composite = self.blueprint.composite(place)
        if version is None or not isinstance(composite, Subgraph):
            return None
        return composite.lens.blueprint.upcaster(version)

    def at(self, path: str) -> tuple[str, Anyone]:
        """A path as it is called now, and who upcasts what is in its frame."""
        caster: Anyone = self
        done, ahead = list[str](), path.split("/") if path else []
        while ahead and caster is not None:
            done.append(caster.place(ahead.pop(0)))
            if isinstance(caster.blueprint.composite(done[-1]), Subgraph):
                caster = caster.inside(done[-1])
            elif ahead:  # a branch: a place of the same graph, or an item's number
                done.append(caster.place(ahead.pop(0)))
        return "/".join([*done, *ahead]), caster

    def _spot(self, path: str, place: str) -> tuple[str, str, Anyone]:
        path, caster = self.at(path)
        return path, place if caster is None else caster.place(place), caster

    def _label(self, label: str) -> str:
        """`path/place`, and what may follow an `@`."""
        where, sign, rest = label.partition("@")
        path, _, place = where.rpartition("/")
        path, place, _ = self._spot(path, place)
        return f"{path}/{place}{sign}{rest}" if path else f"{place}{sign}{rest}"

    # -- what users declared ---------------------------------------------------------------------------------

    def state(self, data: bytes) -> bytes:
        """An encoded state, in the bytes that the graph itself would write."""
        plain = readable(data)
        for migration in self._chain:
            if migration.state is not None:
                plain = self._call(migration, "the state", migration.state, plain)
            if self.blueprint.flow is not None:
                plain = self._call(migration, "the state", _flow_renamed, plain, migration.places)
        if self.blueprint.flow is not None:
            plain = {**plain, "wiring": self._mark(self.blueprint.flow, plain.get("wiring", ""))}
        form = self.blueprint.state
        try:
            return form.pack(form.unpack(pack(plain, "the state", STATE_BYTES)))
        except NotStorable as error:
            raise self._failed(self._chain[-1], "the state", error.reason) from error

    def entries(self, stored: Iterable[Recorded]) -> tuple[Recorded, ...]:
        """What one visit recorded."""
        return tuple(made for entry in stored for made in self._entry(entry))

    def _entry(self, entry: Recorded) -> list[Recorded]:
        if entry.name == CHANGES or not entry.name.startswith("@"):
            return self._mutations(entry)
        if self.blueprint.flow is not None:
            return [self._move(self.blueprint.flow, entry)]
        place = self.place(entry.name[1:])  # a graph inside has ended
        inner = self.inside(place)
        return [Recorded(exit_name(place), entry.body if inner is None else Raw(inner.state(bytes(entry.body))))]

    def _move(self, flow: Wiring, entry: Recorded) -> Recorded:
        """A move of a dataflow's state."""
        if entry.name == "@passed":
            return _passed(entry, self.place)
        mark = began_with(entry) if entry.name == "@begun" else ""
        return flow.begun(self._mark(flow, mark)) if mark else entry

    def _mark(self, flow: Wiring, mark: str) -> str:
        """The mark of this version's links, if nothing but names and outputs have changed since; else what it was."""
        return flow.mark if mark and same_between(mark, flow.mark_as(self._former)) else mark

    def _former(self, place: str) -> str:
        """What a place was called when it all began."""
        for migration in reversed(self._chain):
            place = next((old for old, new in migration.places.items() if new == place), place)
        return place

    def _mutations(self, entry: Recorded) -> list[Recorded]:
        telling = [migration for migration in self._chain if migration.mutation is not None]
        if not telling:
            return [entry]
        stored = [(entry.name, readable(bytes(entry.body)))]
        for migration in telling:
            stored = [made for name, plain in stored for made in self._moved(migration, name, plain)]
        return [Recorded(name, self._packed(telling[-1], f"mutation {name}", plain)) for name, plain in stored]

    def _moved(self, migration: Migration, name: str, plain: Any) -> list[tuple[str, Any]]:
        assert migration.mutation is not None, "the caller looked"
        made: object = self._call(migration, f"mutation {name}", migration.mutation, name, plain)
        several = [] if made is None else cast("list[object]", made) if isinstance(made, list) else [made]
        for each in several:
            if not _is_named(each):
                raise self._failed(migration, f"mutation {name}", f"it returned {each!r:.80}, and not (name, fields)")
        return cast("list[tuple[str, Any]]", several)

    def _packed(self, migration: Migration, what: str, plain: Any) -> Raw:
        try:
            return Raw(pack(plain, what))
        except NotStorable as error:
            raise self._failed(migration, what, error.reason) from error

    def items(self, place: str, stored: tuple[Raw, ...]) -> tuple[Raw, ...]:
        """The items of a map, which is named as it was then."""
        telling = [migration for migration in self._chain if migration.item is not None]
        return tuple(self._item(place, each) for each in stored) if telling else stored

    def _item(self, place: str, stored: Raw) -> Raw:
        plain, what = readable(bytes(stored)), f"an item of {place}"
        for migration in self._chain:
            if migration.item is not None:
                plain = self._call(migration, what, migration.item, place, plain)
            place = migration.places.get(place, place)
        return self._packed(self._chain[-1], what, plain)

    def _call(self, migration: Migration, what: str, fn: Callable[..., Any], *args: Any) -> Any:
        try:
            return fn(*args)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a user's function may raise anything
            raise self._failed(migration, what, describe(error)) from error

    def _failed(self, migration: Migration, what: str, reason: str) -> MigrationFailed:
        return MigrationFailed(self.blueprint.name, migration.since, what, reason)

    # -- snapshots -------------------------------------------------------------------------------------------

    def snapshot(self, stored: Snapshot) -> Snapshot:
        """A run as it was at a commit."""
        image = stored.image
        upcast = replace(
            image,
            frontier={visit: self._pending(entry) for visit, entry in image.frontier.items()},
            counts=self.counts(image.counts),
            forks=dict(self._fork(path, fork) for path, fork in image.forks.items()),
            branches=dict(self._branch(path, branch) for path, branch in image.branches.items()),
            kept=tuple(replace(each, barrier=self._barrier(each.barrier)) for each in image.kept),
            unknown=tuple(map(self._label, image.unknown)),
        )
        return Snapshot(upcast, self.state(stored.state))

    def _pending(self, entry: Pending) -> Pending:
        path, place, caster = self._spot(entry.path, entry.place)
        moved = (path, place) != (entry.path, entry.place)
        journal = entry.journal
        if caster is not None:
            journal = {key: caster.answer(place, key, answer) for key, answer in journal.items()}
        opening = entry.opening
        if moved and opening is not None:
            opening = replace(opening, known=entry.barrier)
        return replace(entry, path=path, place=place, opening=opening, journal=journal)

    def answer(self, place: str, key: str, answer: Answer) -> Answer:
        """What a body was told under a key; of a graph that it ran, the state at its end."""
        kind, _, name = key.partition(":")
        inner = self.inside(call_name(place, name.partition(".")[0])) if kind == "run" else None
        return answer if inner is None or not answer.value else replace(answer, value=inner.state(answer.value))

    def counts(self, counts: Counts) -> Counts:
        """How often places were visited."""
        places = dict[str, int]()
        for name, count in counts.places.items():
            places[self.place(name)] = places.get(self.place(name), 0) + count
        return replace(counts, edges={}, places=places)

    def _fork(self, path: str, fork: Fork) -> tuple[str, Fork]:
        around, _, place = path.rpartition("/")
        caster = self.at(around)[1] if fork.items else None
        return self.at(path)[0], fork if caster is None else replace(fork, items=caster.items(place, fork.items))

    def _branch(self, path: str, branch: BranchImage) -> tuple[str, BranchImage]:
        path, caster = self.at(path)
        last = self._label(branch.last) if branch.last else ""
        if caster is None:
            return path, replace(branch, last=last)
        base = caster.state(branch.base) if branch.base else b""
        counts = None if branch.counts is None else caster.counts(branch.counts)
        return path, replace(branch, base=base, entries=caster.entries(branch.entries), counts=counts, last=last)

    def _barrier(self, kept: str) -> str:
        """For which barrier a decision is kept: an id, a name, or any."""
        return self._label(kept)

    # -- commits ---------------------------------------------------------------------------------------------

    def record(self, record: Record) -> Record:
        """A commit."""
        path, place, caster = self._spot(record.path, record.place)
        return replace(
            record,
            path=path,
            place=place,
            steps=tuple(map(self._step, record.steps)),
            mutations=record.mutations if caster is None else caster.entries(record.mutations),
            detail=self._detail(record, place, caster),
        )

    def _step(self, step: Step) -> Step:
        path, place, caster = self._spot(step.path, step.place)
        opening = step.opening
        if opening is not None and (path, place) != (step.path, step.place):
            opening = _known(opening, barrier_id(step.path, step.place, step.visit, step.k))
        return replace(step, path=path, place=place, opening=opening, edge=step.edge if caster is None else -1)

    def _detail(self, record: Record, place: str, caster: Anyone) -> Detail | None:
        """What a commit is about; `caster` is in charge where it happened, and calls it `place`."""
        match made := record.detail:
            case Forked(state=state) if state:
                inner = None if caster is None else caster.inside(place)
                return made if inner is None else replace(made, state=inner.state(state))
            case Forked(items=items) if items:
                return made if caster is None else replace(made, items=caster.items(record.place, items))
            case Joined():
                discarded = tuple(self.at(each)[0] for each in made.discarded)
                return replace(made, discarded=discarded, unknown=tuple(map(self._label, made.unknown)))
            case Called():
                path, inner = self.at(made.path)
                return replace(made, path=path, state=made.state if inner is None else inner.state(made.state))
            case Returned():
                answer = made.answer
                if answer is not None and caster is not None:
                    answer = caster.answer(place, made.key, answer)
                unknown = tuple(map(self._label, made.unknown))
                return replace(made, path=self.at(made.path)[0], answer=answer, unknown=unknown)
            case Kept() | Withdrawn():
                return replace(made, barrier=self._barrier(made.barrier))
            case Resolution():
                return replace(made, kept=self._barrier(made.kept))
            case Taken(state=state) if state:
                return replace(made, state=self.state(state))
            case Rewind():
                was = self.snapshot(read_snapshot(made.snapshot))
                return replace(made, snapshot=pack(was, "snapshot", 2 * STATE_BYTES))
            case _:
                return made


def upcast_all(blueprint: Blueprint[Any], since: str, records: Iterable[Record]) -> Iterator[Record]:
    """What a run's log has from the version `since` on as this version would have written it; raises as `Upcaster`."""
    caster = blueprint.upcaster(since)
    for record in records:
        yield record if caster is None else caster.record(record)
        if isinstance(record.detail, Migrated):
            caster = blueprint.upcaster(record.detail.to)


def _known(opening: Opening, barrier: str) -> Opening:
    return replace(opening, known=opening.known or barrier)


def _is_named(made: object) -> bool:
    return isinstance(made, tuple) and len(cast("tuple[object, ...]", made)) == 2 and isinstance(made[0], str)


_read_passed: Final = msgspec.msgpack.Decoder(Packed).decode


def _passed(entry: Recorded, place: Callable[[str], str]) -> Recorded:
    """A value that a node of a dataflow has sent."""
    sent = _read_passed(entry.body)
    return Recorded(entry.name, Raw(pack(replace(sent, node=place(sent.node)), entry.name, MESSAGE_BYTES)))


def _flow_renamed(plain: Any, places: Mapping[str, str]) -> Any:
    """The state of a dataflow, with other names of its nodes."""
    tables = {
        table: {_first_renamed(name, places): pins for name, pins in plain[table].items()}
        for table in ("masks", "waiting", "lasting")
    }
    tasks = {ticket: [places.get(node, node), pins] for ticket, (node, pins) in plain["tasks"].items()}
    return {**plain, **tables, "tasks": tasks}


def _first_renamed(path: str, places: Mapping[str, str]) -> str:
    first, sign, rest = path.partition("/")
    return f"{places.get(first, first)}{sign}{rest}"
