"""Which errors are a person's to read: a sentence and an exit code instead of a traceback."""

from collections.abc import Iterator
from typing import Final, cast

from terzetto_protocol.errors import ActorStopped, GraphError, Malformed, StoreError, TerzettoError

from ._exits import Exit, Stop

_STORED: Final = frozenset({"commit", "snapshot", "a stored commit"})
"""What `Malformed` calls bytes that came from the store: those are nobody's input."""

_EXTRA: Final = "pip install 'terzetto["
"""What an error says that is about an extra, and no bug."""


def explain(error: BaseException) -> Stop | None:
    """What to say about an error, or None for a bug, which may show where it is.

    An exception group is told by its first leaf that has something to say; one that holds a bug is a bug.
    """
    stops = [_explain_leaf(leaf) for leaf in _leaves(error)]
    told = [stop for stop in stops if stop is not None]
    return told[0] if told and len(told) == len(stops) else None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _explain_leaf(error: BaseException) -> Stop | None:
    match error:
        case Stop():
            return error
        case ImportError() if _EXTRA in str(error):
            return Stop(str(error))
        case KeyboardInterrupt():
            return Stop("interrupted", Exit.INTERRUPTED)
        case BrokenPipeError():
            return Stop("", Exit.UNREAD)
        case Malformed(what=what) if what in _STORED:
            return Stop(f"the store is damaged: {error} (`terzetto doctor --deep` looks at all of it)", Exit.STORE)
        case StoreError() | ActorStopped():
            return Stop(str(error), Exit.STORE)
        case GraphError(graph=graph, mistakes=(mistake,)):
            return Stop(f"graph {graph!r} cannot be used: {mistake}")
        case TerzettoError():
            return Stop(str(error))
        case OSError():
            return Stop(_os_sentence(error))
        case _:
            return None


def _os_sentence(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
