"""The histogram of delays. Its buckets are fixed, so counts of different days and machines can be added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

NOT_MEASURED = -1
"""Bucket of an unknown delay."""


def bucket(milliseconds: str) -> str:
    """SQL of a delay's bucket. The upper bound of a bucket is 2^(bucket/4) ms. Bucket 0 is up to 1 ms."""
    return (
        f"CASE WHEN {milliseconds} IS NULL THEN {NOT_MEASURED} WHEN {milliseconds} <= 1 THEN 0 "
        f"ELSE CAST(ceil(4 * log2({milliseconds})) AS INTEGER) END"
    )


def bound_ms(number: float) -> float:
    """Upper bound of a bucket, in milliseconds."""
    return float(2 ** (number / 4))


def average_ms(rows: Sequence[Mapping[str, Any]], column: str) -> float:
    """Average in milliseconds, from rows with `receipts` by bucket. The middle of a bucket represents its delays.

    Unknown delays are excluded. 0 if there are no others.
    """
    measured = [row for row in rows if row[column] != NOT_MEASURED]
    total = sum(int(row["receipts"]) for row in measured)
    weighted = sum(bound_ms(row[column] - 0.5) * int(row["receipts"]) for row in measured)
    return weighted / total if total else 0.0


def percentiles(rows: Sequence[Mapping[str, Any]], column: str) -> dict[str, float | None]:
    """p50 and p99 in milliseconds, from rows with `receipts` by bucket: the upper bounds of their buckets.

    Unknown delays are excluded. None if there are no others.
    """
    counts: Counter[int] = Counter()
    for row in rows:
        if row[column] != NOT_MEASURED:
            counts[row[column]] += int(row["receipts"])
    numbers = sorted(counts)
    cumulative = list(zip(numbers, accumulate(counts[number] for number in numbers), strict=True))

    def percentile(percent: int) -> float | None:
        return next((bound_ms(number) for number, seen in cumulative if seen * 100 >= counts.total() * percent), None)

    return {"p50": percentile(50), "p99": percentile(99)}
