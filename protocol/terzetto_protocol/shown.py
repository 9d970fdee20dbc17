"""What has happened at a place of a graph, as a drawing shows it."""

from attrs import frozen

from .statuses import VisitStatus


@frozen
class Shown:
    """What happened at a place."""

    status: VisitStatus | None = None
    """Of its last visit; None if it had none."""
    visits: int = 0
    note: str = ""
    """A line more, such as what it waits for or why it failed."""
