"""Options lead to the right phases."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.support.decimal_receipts import parse_receipt
from tillstream.clock import ManualClock
from tillstream.generator.plan import Options, Phase, phases

NOON_US = 1_772_449_200_000_000  # Monday 2026-03-02 12:00:00 in Paris
SMALL = {"seed": 1, "stores": 3, "tills": (2, 2)}


def plan(**asked: object) -> list[Phase]:
    return list(phases(Options(**{**SMALL, **asked}), ManualClock(NOON_US)))  # type: ignore[arg-type]


def receipts(phase: Phase) -> list[bytes]:
    return [phase.receipt_at(local_s) for _, local_s in phase.moments]


def dates(phase: Phase) -> list[str]:
    return [parse_receipt(receipt)["date"] for receipt in receipts(phase)]


def test_without_a_mode_the_rate_is_slow() -> None:
    (phase,) = plan(count=1500)

    assert phase.paced
    assert max(due for due, _ in phase.moments) == pytest.approx(1000, rel=0.05)


def test_a_burst_is_not_paced_and_has_the_current_date() -> None:
    (phase,) = plan(burst=50)

    assert not phase.paced
    assert not phase.simulated
    assert dates(phase) == ["2026-03-02 12:00:00"] * 50


def test_a_burst_ends_at_the_smaller_count() -> None:
    (phase,) = plan(burst=50, count=20)

    assert phase.expected == len(receipts(phase)) == 20


@pytest.mark.parametrize("mode", [{"rate": 5.0, "count": 40}, {"burst": 40}, {"day": True}])
def test_with_a_start_date_a_seed_gives_the_same_simulated_receipts(mode: dict[str, object]) -> None:
    start = datetime(2026, 1, 5, 8, 0)

    (first,), (second,) = plan(start=start, **mode), plan(start=start, **mode)

    assert first.simulated
    sent = receipts(first)
    assert sent == receipts(second)
    assert parse_receipt(sent[0])["date"].startswith("2026-01-05 08:")


def test_a_day_without_a_start_runs_from_this_morning_to_the_evening() -> None:
    (phase,) = plan(day=True, speed=60.0)

    moments = list(phase.moments)
    sold = [parse_receipt(phase.receipt_at(local_s))["date"] for _, local_s in moments]

    assert phase.simulated
    assert sold[0].startswith("2026-03-02 07:")
    assert sold[-1].startswith("2026-03-02 18:")
    assert moments[-1][0] == pytest.approx(720, abs=30)
    assert len(sold) == pytest.approx(phase.expected, rel=0.3)


def test_a_backfill_sells_the_past_days_and_today_up_to_now() -> None:
    (phase,) = plan(backfill_days=2)

    sold = dates(phase)

    assert (phase.simulated, phase.paced, phase.batch) == (True, False, 1000)
    assert sold[0].startswith("2026-02-28 07:")
    assert {date[:10] for date in sold} == {"2026-02-28", "2026-03-01", "2026-03-02"}
    assert "2026-03-02 11:" < sold[-1] < "2026-03-02 12:00:00"
    assert len(sold) == pytest.approx(phase.expected, rel=0.2)


def test_a_repeated_backfill_sends_the_same_receipts() -> None:
    (phase,) = plan(backfill_days=2)
    (next_day,) = phases(Options(backfill_days=2, **SMALL), ManualClock(NOON_US + 86_400_000_000))  # type: ignore[arg-type]

    earlier, later = set(receipts(phase)), set(receipts(next_day))

    today = {receipt for receipt in earlier if b'"date": "2026-03-02' in receipt}
    assert today
    assert today <= later


def test_past_days_are_followed_by_live_sales_with_the_current_date() -> None:
    past, live = plan(backfill_days=1, live=True, count=5)

    assert past.name == "past days"
    assert (live.paced, live.simulated) == (True, False)
    assert dates(live) == ["2026-03-02 12:00:00"] * 5


def test_batches_use_few_connections() -> None:
    assert plan(burst=1)[0].connections == 64
    assert plan(burst=1, batch=100)[0].connections == 4
    assert plan(burst=1, connections=7)[0].connections == 7
