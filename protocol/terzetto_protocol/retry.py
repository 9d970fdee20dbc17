"""Whether a failed attempt is made again, and when: a policy as a value, asked without a clock and without dice."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, cast

from msgspec import Struct

from .errors import InvalidInput, NonDeterministicOutput, RetryAfter

USER_ERRORS: Final[tuple[type[BaseException], ...]] = (
    ValueError,
    TypeError,
    AttributeError,
    NameError,
    ImportError,
    SyntaxError,
    NotImplementedError,
    AssertionError,
)
"""What the next attempt would raise again: the input or the code is wrong. (A `KeyError` may be the world's doing.)"""
HOPELESS: Final[tuple[type[BaseException], ...]] = (InvalidInput, NonDeterministicOutput)
"""What no policy tries again: the next attempt would meet the same durable values."""
LONGEST: Final = 60.0
"""Seconds that the policy itself lets pass between two attempts at most."""
PATIENCE: Final = 600.0
"""Seconds; who is asked to wait longer than that gives up instead."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often a node is attempted, after which errors, and how long it rests in between."""

    max_attempts: int = 3
    """All attempts, the first one included; 1 means that nothing is tried again."""
    initial: float = 1.0
    """Seconds before the second attempt."""
    factor: float = 2.0
    """How many times longer each delay is than the one before it."""
    longest: float = LONGEST
    """Seconds; delays grow up to this."""
    jitter: float = 0.0
    """Share of a delay that is left to chance, 0 to 1: of 10 s with 0.3, between 7 and 10 s remain. It never adds."""
    patience: float = PATIENCE
    """Seconds; when a server asks for more, no further attempt is made: an earlier one would be turned away."""
    retry_on: tuple[type[BaseException], ...] = (Exception,)
    """Errors after which there is another attempt; `RetryAfter` is always one, unless `never_on` has it."""
    never_on: tuple[type[BaseException], ...] = USER_ERRORS
    """Errors that end the attempts. What is said here replaces `USER_ERRORS`: add them to keep them."""

    def retries(self, error: BaseException) -> bool:
        """Whether this error may be followed by another attempt; a group only if all of its leaves may.

        Of all classes in `retry_on` and `never_on`, the one nearest to the error's own (in the order in which
        Python looks for methods) decides; where both have it, `never_on` wins. What neither has is not retried, nor
        is what comes of a value that is durable (`HOPELESS`), whatever they say.

        Args:
            error: what the node raised. Cancellation is not an error; nobody asks about it.
        """
        if isinstance(error, BaseExceptionGroup):
            group = cast("BaseExceptionGroup[BaseException]", error)
            return all(self.retries(inner) for inner in group.exceptions)
        if isinstance(error, HOPELESS):
            return False
        for cls in type(error).__mro__:
            if cls in self.never_on:
                return False
            if cls in self.retry_on or cls is RetryAfter:
                return True
        return False

    def delay(self, attempt: int, chance: float, asked: float | None = None) -> float | None:
        """Seconds until the next attempt, never below 0 nor above `longest` or what was asked; None: there is none.

        Args:
            attempt: the one that has just failed, from 1.
            chance: a random number, at least 0 and below 1.
            asked: seconds that the server asked for (see `asked_by`), kept as a minimum.
        """
        if attempt >= self.max_attempts or (asked is not None and asked > self.patience):
            return None
        own = self._grown(attempt - 1) * (1.0 - self.jitter * chance)
        return own if asked is None else max(own, asked)

    def _grown(self, steps: int) -> float:
        if not self.initial:
            return 0.0  # however often it is multiplied
        try:
            return min(self.longest, self.initial * float(self.factor) ** steps)
        except OverflowError:
            return self.longest

    def mistakes(self, path: str) -> Iterator[str]:
        """Everything that makes no sense in this policy, each with its path.

        Args:
            path: of the policy in its graph, as `nodes.fetch.retry`.
        """
        yield from self._wrong_numbers(path)
        wrong = [name for name in ("retry_on", "never_on") if not _are_errors(getattr(self, name))]
        for name in wrong:
            yield f"{path}.{name}: {getattr(self, name)!r} is not a tuple of exception classes"
        for cls in () if wrong else self.retry_on:
            if cls in self.never_on:
                yield f"{path}.retry_on: {cls.__name__} is in never_on too, which wins (take it out of one of them)"

    def _wrong_numbers(self, path: str) -> Iterator[str]:
        if not isinstance(self.max_attempts, int) or isinstance(self.max_attempts, bool):
            yield f"{path}.max_attempts: {self.max_attempts!r} is not a whole number"
        elif self.max_attempts < 1:
            yield f"{path}.max_attempts: {self.max_attempts} would never run it"
        for name in ("initial", "longest", "patience"):
            if not _within(getattr(self, name), 0.0):
                yield f"{path}.{name}: {getattr(self, name)!r} is not a number of seconds from 0"
        if not _within(self.factor, 1.0):
            yield f"{path}.factor: {self.factor!r} is not a number from 1 (1 keeps the delays equal, 2 doubles them)"
        if not _within(self.jitter, 0.0, 1.0):
            yield f"{path}.jitter: {self.jitter!r} is not a share (from 0, no chance, to 1, nothing but chance)"
        if _within(self.longest, 0.0) and _within(self.initial, 0.0) and self.initial > self.longest:
            yield f"{path}.initial: {self.initial} s is more than longest, {self.longest} s"


def _within(value: Any, least: float, most: float = math.nextafter(math.inf, 0.0)) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _are_errors(classes: Any) -> bool:
    if not isinstance(classes, tuple):
        return False
    return all(isinstance(cls, type) and issubclass(cls, BaseException) for cls in cast("tuple[object, ...]", classes))


def asked_by(error: BaseException) -> float | None:
    """Seconds that somebody asked to be left alone for: the largest `retry_after` in an error, its causes and leaves.

    None when nobody asked. `RetryAfter` and `QueueFull` have that attribute, and so have errors of many clients.
    """
    return max(filter(_is_wish, map(_retry_after, _family(error))), default=None)


def _family(error: BaseException) -> list[BaseException]:
    found: dict[int, BaseException] = {}  # by identity: causes may go in a circle
    to_see = [error]
    while to_see:
        each = to_see.pop()
        if id(each) in found:
            continue
        found[id(each)] = each
        if isinstance(each, BaseExceptionGroup):
            to_see += cast("BaseExceptionGroup[BaseException]", each).exceptions
        if each.__cause__ is not None:
            to_see.append(each.__cause__)
    return list(found.values())


def _retry_after(error: BaseException) -> Any:
    try:
        return getattr(error, "retry_after", None)
    except Exception:  # noqa: BLE001 - a property of somebody's error may raise anything, and the error matters more
        return None


def _is_wish(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0  # which NaN is not


_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_TIME: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-5][0-9]|60)"
_DATES: Final = tuple(
    re.compile(form)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<day>[0-9]{{2}}) (?P<month>[A-Z][a-z]{{2}}) (?P<year>[0-9]{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>[0-9]{{2}})-(?P<month>[A-Z][a-z]{{2}})-(?P<year>[0-9]{{2}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})",
    )
)
"""How HTTP writes a moment: as it should, and in the two old ways that a reader must know."""
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FAR: Final = 50  # years ahead; a two-digit year that would be further is one of the past


def retry_after_of(header: str, now: float) -> float | None:
    """Seconds that a `Retry-After` header asks for, 0 if its date has passed; None if it cannot be read.

    Args:
        header: the value: seconds, or a date of HTTP.
        now: UNIX time, seconds.
    """
    text = header.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    for date in _DATES:
        if match := date.fullmatch(text):
            moment = _moment(match.groupdict(), now)
            return None if moment is None else max(0.0, moment - now)
    return None


def _moment(parts: dict[str, str], now: float) -> float | None:
    try:
        year = int(parts["year"]) if len(parts["year"]) > 2 else _full_year(int(parts["year"]), now)
        month = _MONTHS.index(parts["month"]) + 1
        minute = datetime(year, month, int(parts["day"]), int(parts["hour"]), int(parts["minute"]), tzinfo=UTC)
    except ValueError:
        return None
    return minute.timestamp() + int(parts["second"])  # added, for a leap second is number 60


def _full_year(digits: int, now: float) -> int:
    furthest = datetime.fromtimestamp(now, UTC).year + _FAR
    return furthest - (furthest - digits) % 100
