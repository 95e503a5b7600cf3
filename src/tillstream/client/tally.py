"""Counts of receipts by outcome, and their latencies."""

from __future__ import annotations

from dataclasses import dataclass, field

STEPS = 16
"""Buckets per octave, so that a latency is known to about 6 %."""


class Latency:
    """A histogram of latencies in microseconds with logarithmic buckets, in constant memory."""

    def __init__(self) -> None:
        self._counts = [0] * (64 * STEPS)
        self.count = 0
        self.max_us = 0

    def add(self, microseconds: int) -> None:
        octave = microseconds.bit_length()
        step = (microseconds >> (octave - 5)) & 15 if octave > 5 else (microseconds << (5 - octave)) & 15
        self._counts[octave * STEPS + step] += 1
        self.count += 1
        if microseconds > self.max_us:
            self.max_us = microseconds

    def percentile_us(self, percent: float) -> int:
        """The upper bound of the bucket that contains the percentile; 0 if the histogram is empty."""
        left = self.count * percent / 100
        for bucket, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                octave, step = divmod(bucket, STEPS)
                return min(self.max_us, ((STEPS + step + 1) << octave >> 5))
        return self.max_us


@dataclass
class Tally:
    """Receipts by outcome. `retried` counts the receipts of all attempts after the first."""

    expected: int | None = None
    phase: str = ""
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    retried: int = 0
    problem: str = ""
    refusal: str = ""
    latency: Latency = field(default_factory=Latency)

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.accepted - self.refused
