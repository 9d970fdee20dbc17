"""Whether a run can go on in its graph as it is declared now."""

from collections.abc import Iterator
from typing import Any

from .composites import as_map
from .errors import NotStorable
from .fold import Fold
from .pending import Pending, label_of
from .wiring import OTHER_LINKS


def misfits(fold: Fold[Any], *, anew: bool = False) -> list[str]:
    """Why a run cannot go on from here, in words; empty when it can.

    Args:
        fold: the run as its log makes it, upcast if an older version wrote it.
        anew: whether it goes on under other numbers of visits or as another run, so that no key is known anywhere.

    Raises:
        Malformed: the graph cannot read what branches have recorded, or what they work on.
    """
    pending = fold.image.frontier.values()
    gone = [label_of(entry) for entry in pending if entry.place not in fold.frame(entry.path).blueprint.places]
    found = [f"it has no node {', '.join(gone)} any more"] if gone else []
    found.extend(_rewired(fold))
    if not gone and not anew:
        found.extend(text for entry in pending for text in _other_kind(fold, entry))
        found.extend(_renamed(fold))
    if fold.is_old:
        _revive(fold)
        found.extend(_unstorable(fold))
    return found


def _rewired(fold: Fold[Any]) -> Iterator[str]:
    """Dataflows whose links have changed: what waits in them was sorted by others."""
    for frame in (fold, *fold.branches.values()):
        flow = frame.blueprint.flow
        if flow is not None and not flow.fits(frame.state):
            yield f"{frame.path}: {OTHER_LINKS}" if frame.path else OTHER_LINKS


def _other_kind(fold: Fold[Any], entry: Pending) -> Iterator[str]:
    blueprint = fold.frame(entry.path).blueprint
    asks_itself = entry.opening is not None and not entry.opening.reconcile
    if asks_itself and blueprint.barrier(entry.place) is None:
        yield f"{entry.barrier} waits for a decision, and {entry.place!r} is no barrier any more"
    elif not asks_itself and entry.open_barriers and blueprint.node(entry.place) is None:
        yield f"{entry.open_barriers[0][0]} waits for a decision, and {entry.place!r} is no node any more"


def _renamed(fold: Fold[Any]) -> Iterator[str]:
    """Branches whose visits would get other keys, under which nobody outside knows their effects."""
    for path in dict.fromkeys(entry.path for entry in fold.image.frontier.values() if entry.path in fold.moved):
        text = f"visits in {fold.moved[path]!r} are pending, which is {path!r} now"
        yield f"{text}, and branches keep their names to their end"


def _revive(fold: Fold[Any]) -> None:
    """Decode what is decoded only when somebody needs it; raises `Malformed`."""
    for branch in fold.branches.values():
        for entry in branch.entries:
            branch.blueprint.vocabulary.revive(entry)
    for path, fork in fold.image.forks.items():
        found = as_map(fold.composite_of(path))
        for item in fork.items if found is not None else ():
            assert found is not None, "the loop looked"
            found.revive(item)


def _unstorable(fold: Fold[Any]) -> Iterator[str]:
    try:
        fold.origin()
    except NotStorable as error:
        yield str(error)
