"""Token buckets, which limit the rate of requests or receipts."""

from __future__ import annotations


class TokenBuckets:
    """A token bucket for each key, such as a store.

    A bucket is full at first. It gets `rate_per_s` tokens per second, up to `capacity`. The caller provides the time in
    seconds. At most `keys_limit` buckets are stored. A bucket that is not stored counts as full, so full buckets are
    removed to make room for new keys. If none is full, new keys are not limited.
    """

    def __init__(self, rate_per_s: float, capacity: float, keys_limit: int) -> None:
        self._rate_per_s = rate_per_s
        self._capacity = capacity
        self._keys_limit = keys_limit
        # The number of tokens in each bucket, and the time at which the bucket had this number.
        self._levels: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, now_s: float, tokens: float = 0) -> float:
        """Return the seconds until the bucket holds at least `tokens` tokens, or 0 if it already does."""
        return max(0.0, (tokens - self._refill(key, now_s)) / self._rate_per_s)

    def take(self, key: str, now_s: float, tokens: float = 1) -> None:
        """Remove tokens from a bucket, or add tokens if `tokens` is negative. A bucket may hold fewer than 0 tokens."""
        level = min(self._capacity, self._refill(key, now_s) - tokens)
        if key not in self._levels and len(self._levels) >= self._keys_limit:
            for known in list(self._levels):
                if self._refill(known, now_s) >= self._capacity:
                    del self._levels[known]
            if len(self._levels) >= self._keys_limit:
                return
        self._levels[key] = level, now_s

    def fill(self, key: str) -> None:
        """Make the bucket full."""
        self._levels.pop(key, None)

    def _refill(self, key: str, now_s: float) -> float:
        if key not in self._levels:
            return self._capacity
        level, at_s = self._levels[key]
        # If the clock was set back, treat this as if no time had passed.
        level = min(self._capacity, level + max(0.0, now_s - at_s) * self._rate_per_s)
        self._levels[key] = level, now_s
        return level
