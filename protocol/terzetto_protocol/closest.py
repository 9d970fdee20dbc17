"""Which name was probably meant."""

from collections.abc import Iterable


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name that is most like this one, if any is like it."""
    from difflib import get_close_matches  # only whoever mistypes pays for it

    found = get_close_matches(name, list(names), n=1)
    return found[0] if found else None
