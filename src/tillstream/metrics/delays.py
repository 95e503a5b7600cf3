"""The histogram of delays. Its buckets are fixed, so the counts of several days and machines can be added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

NOT_MEASURED = -1
"""The bucket of an unknown delay."""


def bucket(milliseconds: str) -> str:
    """Return the SQL that computes the bucket of a delay. `milliseconds` is an SQL expression that may be null.

    The upper bound of bucket `n` is 2^(n/4) ms. Bucket 0 contains all delays up to 1 ms.
    """
    return (
        f"CASE WHEN {milliseconds} IS NULL THEN {NOT_MEASURED} WHEN {milliseconds} <= 1 THEN 0 "
        f"ELSE CAST(ceil(4 * log2({milliseconds})) AS INTEGER) END"
    )


def bound_ms(number: float) -> float:
    """Return the upper bound of a bucket in milliseconds."""
    return float(2 ** (number / 4))


def average_ms(rows: Sequence[Mapping[str, Any]], column: str) -> float:
    """Return the average delay in milliseconds, or 0 if no delay is known.

    Each row has a bucket in `column` and its number of `receipts`. Every delay counts as the middle of its bucket.
    """
    measured = [row for row in rows if row[column] != NOT_MEASURED]
    total = sum(int(row["receipts"]) for row in measured)
    weighted = sum(bound_ms(row[column] - 0.5) * int(row["receipts"]) for row in measured)
    return weighted / total if total else 0.0


def percentiles(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, float | None]:
    """Return `p50` and `p99` in milliseconds, or None for both if no delay is known.

    Each row has a bucket in `column` and its number of `receipts`. A percentile is the upper bound of the bucket in
    which it lies.
    """
    counts = sorted((row[column], int(row["receipts"])) for row in rows if row[column] != NOT_MEASURED)
    cumulative = list(accumulate(count for _, count in counts))
    total = cumulative[-1] if cumulative else 0

    def percentile(percent: int) -> float | None:
        found = (
            number for (number, _), count in zip(counts, cumulative, strict=True) if count * 100 >= total * percent
        )
        return next(map(bound_ms, found), None)

    return {"p50": percentile(50), "p99": percentile(99)}
