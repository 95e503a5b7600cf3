"""The report at the end of a run, and the error of a run whose server stayed silent."""

from __future__ import annotations

from msgspec import Struct

from tillstream.client.tally import Tally
from tillstream.errors import OperationalError


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


class NoAnswer(OperationalError):
    """The server acknowledged nothing for as long as the run was told to wait."""

    report: Report | None = None
