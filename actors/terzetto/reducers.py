"""How values that several writers give to one field of a `KeyedState` come together.

`Annotated[list[str], reducers.append]` on a field: in sequence, and from parallel branches in order of declaration.
"""

from terzetto_protocol.reducers import Reducer, add, append, error, maximum, merge, minimum, replace

__all__ = ["Reducer", "add", "append", "error", "maximum", "merge", "minimum", "replace"]
