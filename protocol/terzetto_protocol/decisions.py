"""What a person (or a timeout, or a program) can say at a barrier."""

from typing import Any, ClassVar, TypeAlias, cast, get_args

from msgspec import Raw, Struct

from .errors import InvalidRequest


class Approve(Struct, frozen=True, tag="approve", forbid_unknown_fields=True):
    """Leave through the exit `approved`."""

    exit: ClassVar[str] = "approved"


class Reject(Struct, frozen=True, tag="reject", forbid_unknown_fields=True):
    """Leave through the exit `rejected`."""

    reason: str = ""
    exit: ClassVar[str] = "rejected"


class Choose(Struct, frozen=True, tag="choose", forbid_unknown_fields=True):
    """Leave through an exit that the barrier declared."""

    exit: str
    note: str = ""


class Modify(Struct, frozen=True, tag="modify", forbid_unknown_fields=True):
    """Change fields of the state, checked against its type, and leave through the exit `approved`.

    Where a body asks, change parts of what it showed, each to a value of the same kind: the body is given them.
    """

    changes: dict[str, Any]
    """New values by field (or part), as plain data."""
    note: str = ""
    exit: ClassVar[str] = "approved"


class Reroute(Struct, frozen=True, tag="reroute", forbid_unknown_fields=True):
    """Go on at this node or barrier, whatever the edges say."""

    target: str
    note: str = ""


class Recorded(Struct, frozen=True, array_like=True, gc=False):
    """One mutation as it is stored: its registered name and its encoded fields."""

    name: str
    body: Raw


class Proved(Recorded, frozen=True, array_like=True, gc=False):
    """As `Recorded`, with the mutation itself, which cannot change and would come back as it is; never stored so."""

    value: Any


class Confirm(Struct, frozen=True, tag="confirm", forbid_unknown_fields=True):
    """At a reconcile barrier: the effect did happen; these mutations are what the visit would have recorded."""

    mutations: tuple[Recorded, ...] = ()
    note: str = ""


class Retry(Struct, frozen=True, tag="retry", forbid_unknown_fields=True):
    """At a reconcile barrier: the effect did not happen (or may happen twice); start the visit again."""

    note: str = ""


class Fail(Struct, frozen=True, tag="fail", forbid_unknown_fields=True):
    """As `on_timeout=`: the run fails with `barrier_timeout`. At a reconcile barrier: the visit failed."""

    reason: str = ""


Decision: TypeAlias = Approve | Reject | Choose | Modify | Reroute | Confirm | Retry | Fail
Exiting: TypeAlias = Approve | Reject | Choose
Answering: TypeAlias = Approve | Reject | Choose | Modify
Reconciling: TypeAlias = Confirm | Retry | Fail


def check_decision(decision: object) -> None:
    """Raise `InvalidRequest` for what is no decision, or one that nobody could carry out."""
    if not isinstance(decision, Decision):
        known = ", ".join(cls.__name__ for cls in get_args(Decision))
        raise InvalidRequest(f"{decision!r:.80} is no decision: they are {known}")
    if isinstance(decision, Reroute) and not isinstance(cast("object", decision.target), str):
        raise InvalidRequest(f"a Reroute names its target, as Reroute(node.name) does, not {decision.target!r:.80}")


def name_of(decision: Decision) -> str:
    """The decision's short name, as events and the command line show it."""
    return str(decision.__struct_config__.tag)
