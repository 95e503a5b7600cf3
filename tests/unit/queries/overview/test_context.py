"""The context of an overview: the change between two figures, and the cache of earlier days."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.inprocess.pipeline import Pipeline
from tests.inprocess.pipeline_receipts import process_receipts
from tests.support.receipts import body
from tillstream.queries.overview.context import Comparison, Sales, VersionedCache, version
from tillstream.queries.overview.scope import Period


@pytest.mark.parametrize(
    ("now", "before", "change"),
    [
        (Decimal("106.25"), Decimal(100), "6.3"),
        (Decimal("106.24"), Decimal(100), "6.2"),
        (Decimal("93.75"), Decimal(100), "-6.3"),
        (Decimal("99.99"), Decimal(100), "0.0"),
        (Decimal(0), Decimal(3), "-100.0"),
        (Decimal(3), Decimal(0), "new"),
        (Decimal(-3), Decimal(0), "new"),
        (Decimal(0), Decimal(0), None),
        (Decimal(50), Decimal(-100), "150.0"),
        (Fraction(2, 3), Fraction(1, 3), "100.0"),
        (10**15 + 1, 10**15, "0.0"),
        (5, None, "new"),
        (None, None, None),
    ],
)
def test_given_two_figures_when_compared_then_the_change_is_rounded_half_up(
    now: Decimal | None, before: Decimal | None, change: str | None
) -> None:
    assert Comparison(Sales(), Sales(), 1).change(now, before) == change


def test_given_days_without_receipts_when_compared_then_there_is_no_change() -> None:
    nothing = Comparison(Sales(), Sales(), 0)
    assert nothing.change(Decimal(5), Decimal(0)) is None
    assert nothing.unless_empty("0.00") is None


def test_given_a_cached_value_when_read_again_then_it_stays_until_its_version_changes() -> None:
    cache, computed = VersionedCache(), []

    def compute() -> int:
        computed.append(1)
        return len(computed)

    assert [cache.get("q", version, compute) for version in (1, 1, 2, 2, 1)] == [1, 1, 2, 2, 3]
    assert cache.get("other", 1, compute) == 4


def test_given_more_keys_than_the_limit_when_cached_then_the_least_recently_used_is_dropped() -> None:
    cache = VersionedCache(limit=2)
    for key in ("a", "b", "a", "c"):
        cache.get(key, 1, key.upper)
    assert cache.get("a", 1, lambda: "computed again") == "A"
    assert cache.get("b", 1, lambda: "computed again") == "computed again"


def test_given_days_when_receipts_are_added_to_them_then_their_version_changes(pipeline: Pipeline) -> None:
    period = Period(date(2026, 11, 16), date(2026, 11, 17))

    def now() -> int:
        with pipeline.database.snapshot() as reader:
            return version(reader, period)

    assert now() == 0
    process_receipts(pipeline, body(date="2026-11-16 10:00:00"), body(date="2026-11-17 10:00:00"))
    assert now() == 2
    process_receipts(pipeline, body(date="2026-11-18 10:00:00"))
    assert now() == 2
    process_receipts(pipeline, body(date="2026-11-16 10:00:01", documentTotal={"grossTotal": 0}, lines=[]))
    assert now() == 3
