"""What every kind of graph has in common once it is declared: it is built, looked at and drawn."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final, Generic, Self

from typing_extensions import TypeVar

from .blueprint import Blueprint
from .checkpoints import CheckpointPolicy, check_policy
from .errors import GraphError
from .migrations import Migration
from .places import Edge, Place
from .state import Mutation

if TYPE_CHECKING:
    from .analysis import Analysis
    from .shown import Shown
    from .wiring import Wiring

S = TypeVar("S")
D = TypeVar("D", default=None)


class Declaration(ABC, Generic[S, D]):
    """A graph of either kind, `Graph` or `Dataflow`: whatever a runtime can carry."""

    def __init__(
        self,
        name: str,
        *,
        state: type[S],
        mutations: Sequence[type[Mutation[S]]],
        deps: type[D] | None,
        version: str,
        max_steps: int,
        restore: Callable[[S], None] | None,
        migrations: Sequence[Migration],
        checkpoints: CheckpointPolicy | None,
    ) -> None:
        self.name: Final = name
        self.version: Final = version
        self.state: Final = state
        self.mutations: Final = mutations
        self.deps: Final = deps
        self.max_steps: Final = max_steps
        self.restore: Final = restore
        self.migrations: Final = tuple(migrations)
        self.checkpoints: Final = check_policy(checkpoints)
        self.places: Final[list[Place[S]]] = []
        self.edges: Final[list[Edge[S]]] = []
        self.starts: Final[list[str]] = []
        """Where runs begin: exactly one, if it was declared well."""
        self.building = False
        """Whether somebody looks for its mistakes: a graph inside that leads back here has one."""
        self._built = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} {self.name} {self.version}: {len(self.places)} places>"

    @property
    def wiring(self) -> "Wiring | None":
        """Its links, if it is a dataflow."""
        return None

    def first(self, state: S) -> tuple[bytes, S]:
        """A copy of the state that a run is to begin with, and its encoding; raises `InvalidRequest`, `NotStorable`."""
        return self.build().state.copy(state)

    def again(self, state: S) -> S:
        """What a run begins with that is to do again what another has done, which ended with this state."""
        return state

    def from_json(self, data: bytes) -> S:
        """What a run is to begin with, from JSON; raises `Malformed` with the path of the mistake."""
        return self.build().state.from_json(data)

    def build(self) -> Blueprint[S]:
        """Freeze the graph and return what runs share; raises `GraphError` with every mistake at once."""
        return self._blueprint

    def analyze(self) -> "Analysis":
        """What is worth knowing before it runs: cycles, what nothing reaches, where it can end, and warnings."""
        from .analysis import analyze

        return analyze(self)

    def mermaid(self) -> str:
        """The graph as a Mermaid flowchart."""
        from .drawing import mermaid

        return mermaid(self)

    def dot(self) -> str:
        """The graph as Graphviz DOT."""
        from .drawing import dot

        return dot(self)

    def svg(self, shown: "Mapping[str, Shown] | None" = None, title: str = "") -> str:
        """The graph as a picture in SVG, with what has happened at each place of it, if that is said."""
        from .picture import svg

        return svg(self, shown, title)

    def html(self, shown: "Mapping[str, Shown] | None" = None, title: str = "") -> str:
        """The same picture as a page of its own, which needs no network."""
        from .picture import html

        return html(self, shown, title)

    @abstractmethod
    def mistakes(self) -> list[str]:
        """Everything that is wrong with it, with paths; empty means that it can run."""

    @cached_property
    def _blueprint(self) -> Blueprint[S]:
        self.building = True
        try:
            mistakes = self.mistakes()
        finally:
            self.building = False
        if mistakes:
            raise GraphError(self.name, mistakes)
        self.freeze()
        return Blueprint(self)

    def freeze(self) -> None:
        """Let nothing more be declared."""
        self._built = True

    def _open(self) -> Self:
        if self._built:
            raise GraphError(self.name, ["it is frozen since its first build: declare everything before"])
        return self
