"""How often somebody may ask: a bucket of tokens that fills again with time."""

from typing import Final


class TokenBucket:
    """Lets `burst` requests through at once, and `rate` a second in the long run.

    Args:
        rate: tokens that it gets each second.
        burst: tokens that it holds at most, and begins with.
    """

    __slots__ = ("_at", "_burst", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._tokens = float(burst)
        self._at: float | None = None

    def take(self, at: float) -> float:
        """Take a token and return 0.0, or take none and return after how many seconds there will be one.

        Args:
            at: seconds on any clock; one that goes back gives nothing.
        """
        if self._at is not None and at > self._at:
            self._tokens = min(self._burst, self._tokens + (at - self._at) * self._rate)
        self._at = at if self._at is None else max(at, self._at)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


class TokenBuckets:
    """A bucket for each of many askers; whoever was silent for longest is forgotten, and begins anew.

    Args:
        rate: tokens that each gets each second.
        burst: tokens that each holds at most, and begins with.
        limit: how many askers are remembered.
    """

    __slots__ = ("_buckets", "_burst", "_limit", "_rate")

    def __init__(self, rate: float, burst: float, limit: int) -> None:
        self._rate: Final = rate
        self._burst: Final = burst
        self._limit: Final = limit
        self._buckets: Final[dict[str, TokenBucket]] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, asker: str, at: float) -> float:
        """As `TokenBucket.take`, for one of them."""
        bucket = self._buckets.pop(asker, None) or TokenBucket(self._rate, self._burst)
        while len(self._buckets) >= self._limit:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[asker] = bucket  # behind all others
        return bucket.take(at)
