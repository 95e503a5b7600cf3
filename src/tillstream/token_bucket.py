"""Token buckets, which limit how often something may happen."""

from __future__ import annotations


class TokenBuckets:
    """One bucket for each key. A bucket starts full, holds up to `capacity` tokens and refills at an even rate.

    Times are seconds of the caller's clock. Up to `keys_limit` buckets are stored; full ones are forgotten first.
    """

    def __init__(self, rate_per_s: float, capacity: float, keys_limit: int) -> None:
        self._rate_per_s = rate_per_s
        self._capacity = capacity
        self._keys_limit = keys_limit
        # The tokens of each bucket and the time at which they were counted.
        self._levels: dict[str, tuple[float, float]] = {}

    def wait_s(self, key: str, now_s: float, tokens: float = 0) -> float:
        """How long until the bucket holds this many tokens; 0 if it does now."""
        return max(0.0, (tokens - self._refill(key, now_s)) / self._rate_per_s)

    def take(self, key: str, now_s: float, tokens: float = 1) -> None:
        """Remove tokens. More than the bucket holds leave a debt, which refilling pays off."""
        level = self._refill(key, now_s) - tokens
        if key not in self._levels and len(self._levels) >= self._keys_limit:
            for known in list(self._levels):
                if self._refill(known, now_s) >= self._capacity:
                    del self._levels[known]
            if len(self._levels) >= self._keys_limit:
                return
        self._levels[key] = level, now_s

    def put_back(self, key: str, tokens: float = 1) -> None:
        """Return tokens that were taken."""
        if key in self._levels:
            level, at_s = self._levels[key]
            self._levels[key] = min(self._capacity, level + tokens), at_s

    def fill(self, key: str) -> None:
        """Make the bucket full."""
        self._levels.pop(key, None)

    def _refill(self, key: str, now_s: float) -> float:
        if key not in self._levels:
            return self._capacity
        level, at_s = self._levels[key]
        # A clock may be set back. The bucket then refills from the new time on.
        level = min(self._capacity, level + max(0.0, now_s - at_s) * self._rate_per_s)
        self._levels[key] = level, now_s
        return level
