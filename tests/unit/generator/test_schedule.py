"""Options lead to the right phases, and phases keep their rates, dates and order."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tests.inprocess.clock import ManualClock
from tests.support.decimal_receipts import parse_receipt
from tillstream.generator.chain import Chain
from tillstream.generator.sales_and_returns import DAY_S, hour_of
from tillstream.generator.schedule import (
    Options,
    Phase,
    expected_receipts,
    local_second,
    local_second_at,
    phases,
    trading_day,
)

MONDAY_S = 1_772_409_600  # 2026-03-02 00:00:00
CHAIN = Chain(10, (2, 2))
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


@pytest.mark.parametrize("mode", [{"rate": 5.0, "count": 40}, {"burst": 40}, {"profile": "day"}])
def test_with_a_start_date_a_seed_gives_the_same_simulated_receipts(mode: dict[str, object]) -> None:
    start = datetime(2026, 1, 5, 8, 0)

    (first,), (second,) = plan(start=start, **mode), plan(start=start, **mode)

    assert first.simulated
    sent = receipts(first)
    assert sent == receipts(second)
    assert parse_receipt(sent[0])["date"].startswith("2026-01-05 08:")


def test_a_day_without_a_start_runs_from_this_morning_to_the_evening() -> None:
    (phase,) = plan(profile="day", speed=60.0)

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


@pytest.mark.parametrize("rate", [1.5, 7.5])
def test_steady_gaps_are_between_two_and_four_thirds_of_the_mean(rate: float) -> None:
    (phase,) = plan(rate=rate, count=5000)
    dues = [due for due, _ in phase.moments]
    gaps = [(later - earlier) * rate for earlier, later in pairwise(dues)]

    assert min(gaps) >= 0.666
    assert max(gaps) <= 1.334
    assert dues[-1] / 5000 * rate == pytest.approx(1, rel=0.02)


def test_steady_receipts_have_dates_from_the_start_date() -> None:
    (phase,) = plan(rate=2.0, count=100, start=datetime(2026, 3, 2))
    dates = [date for _, date in phase.moments]

    assert dates[0] == MONDAY_S
    assert dates[-1] == pytest.approx(MONDAY_S + 50, abs=5)


def test_live_sales_keep_their_rate_and_have_the_current_date() -> None:
    (phase,) = plan(live=True, rate=4.0, count=5000)
    moments = list(phase.moments)

    assert moments[-1][0] / 5000 * 4 == pytest.approx(1, rel=0.05)
    assert {date for _, date in moments} == {None}


def test_a_burst_is_due_at_once_and_dates_advance_by_a_receipt_per_minute_and_till() -> None:
    assert list(plan(burst=2)[0].moments) == [(0.0, None), (0.0, None)]

    dates = [date for _, date in plan(burst=13, start=datetime(2026, 3, 2))[0].moments]

    assert (dates[0], dates[6], dates[12]) == (MONDAY_S, MONDAY_S + 60, MONDAY_S + 120)


def test_the_expected_number_ends_at_the_count_and_the_duration() -> None:
    assert plan(rate=5.0, duration_s=12)[0].expected == 60
    assert plan(rate=5.0, duration_s=12, count=50)[0].expected == 50
    assert plan(rate=5.0, duration_s=12, count=70)[0].expected == 60
    assert plan(rate=5.0)[0].expected is None


def test_a_trading_day_is_in_order_and_has_about_the_expected_size() -> None:
    seconds = list(trading_day(CHAIN, 1, MONDAY_S, MONDAY_S, MONDAY_S + DAY_S))

    assert seconds == sorted(seconds)
    assert {hour_of(second) for second in seconds} <= set(range(7, 19))
    assert len(seconds) == pytest.approx(expected_receipts(CHAIN, MONDAY_S, MONDAY_S, MONDAY_S + DAY_S), rel=0.25)


def test_a_shorter_day_starts_like_the_full_day() -> None:
    noon = MONDAY_S + 12 * 3600 + 90
    whole = list(trading_day(CHAIN, 1, MONDAY_S, MONDAY_S, MONDAY_S + DAY_S))

    short = list(trading_day(CHAIN, 1, MONDAY_S, MONDAY_S, noon))

    assert short == [second for second in whole if second < noon]


@pytest.mark.parametrize(("hours", "share"), [(0, 1.0), (24, 0.0)])
def test_the_expected_number_is_that_of_the_requested_part(hours: int, share: float) -> None:
    whole = expected_receipts(CHAIN, MONDAY_S, MONDAY_S, MONDAY_S + DAY_S)

    assert expected_receipts(CHAIN, MONDAY_S, MONDAY_S + hours * 3600, MONDAY_S + DAY_S) == round(whole * share)


@pytest.mark.parametrize("start", ["03:00", "07:00", "12:00"])
def test_a_day_starts_when_the_shops_open_and_its_clock_is_faster(start: str) -> None:
    (phase,) = plan(profile="day", speed=60.0, start=datetime.fromisoformat(f"2026-03-02 {start}"))
    opens_s = MONDAY_S + max(7, int(start[:2])) * 3600

    moments = list(phase.moments)

    assert moments
    assert all(date is not None and due == (date - opens_s) / 60 >= 0 for due, date in moments)


def test_local_seconds_follow_daylight_saving_time() -> None:
    before = round(datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC).timestamp())
    paris = ZoneInfo("Europe/Paris")

    assert local_second_at(before, paris) == local_second(datetime(2026, 3, 29, 1, 59, 59))
    assert local_second_at(before + 1, paris) == local_second(datetime(2026, 3, 29, 3, 0, 0))
