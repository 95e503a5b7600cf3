"""What a run counts while it sends, and the report at its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

STEPS = 16
"""Buckets within an octave: a latency is known to about 6 %."""


class Latency:
    """Latencies in microseconds, in buckets whose width grows with them: constant memory, cheap to add to."""

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
        """The upper bound of the bucket below which that percentage lies; 0 where nothing was added."""
        left = self.count * percent / 100
        for bucket, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                octave, step = divmod(bucket, STEPS)
                return min(self.max_us, ((STEPS + step + 1) << octave >> 5))
        return self.max_us


@dataclass
class Tally:
    """Receipts by their fate so far. `retried` counts sendings beyond the first, in receipts."""

    expected: int | None = None
    phase: str = ""
    sent: int = 0
    accepted: int = 0
    refused: int = 0
    retried: int = 0
    trouble: str = ""
    refusal: str = ""
    latency: Latency = field(default_factory=Latency)

    @property
    def unacknowledged(self) -> int:
        return self.sent - self.accepted - self.refused


class Report(Struct, frozen=True, kw_only=True):
    """How a run went. Latencies run from when a request was ready to go to its answer, retries included."""

    seed: int
    sent: int
    accepted: int
    refused: int
    unacknowledged: int
    retried: int
    seconds: float
    receipts_per_second: float
    latency_p50_ms: float
    latency_p99_ms: float
    latency_max_ms: float
    refusal: str = ""
    """The first refusal's status and answer."""
    trouble: str = ""
    """What last stood in the way of an answer."""

    @property
    def clean(self) -> bool:
        """Everything that was sent was accepted."""
        return not self.refused and not self.unacknowledged


def report(tally: Tally, seed: int, seconds: float) -> Report:
    def milliseconds(microseconds: int) -> float:
        return round(microseconds / 1000, 3)

    return Report(
        seed=seed,
        sent=tally.sent,
        accepted=tally.accepted,
        refused=tally.refused,
        unacknowledged=tally.unacknowledged,
        retried=tally.retried,
        seconds=round(seconds, 3),
        receipts_per_second=round(tally.accepted / seconds, 1) if seconds else 0.0,
        latency_p50_ms=milliseconds(tally.latency.percentile_us(50)),
        latency_p99_ms=milliseconds(tally.latency.percentile_us(99)),
        latency_max_ms=milliseconds(tally.latency.max_us),
        refusal=tally.refusal,
        trouble=tally.trouble,
    )
