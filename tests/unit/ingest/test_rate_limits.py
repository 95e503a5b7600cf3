"""Each store may send so much a second, and pays off what it sent at once."""

from __future__ import annotations

from tillstream.ingest import rate_limits
from tillstream.ingest.rate_limits import Over, StoreRates


def test_a_store_within_its_rate_always_passes() -> None:
    stores = StoreRates(10)
    assert all(stores.over({"1": 1}, tenth / 10) is None for tenth in range(1_000))


def test_a_second_of_receipts_may_come_at_once_and_one_more_request_leaves_a_debt() -> None:
    stores = StoreRates(10)
    passed = [stores.over({"1": 1}, 0.0) for _ in range(12)]
    assert passed == [None] * 11 + [Over("1", 1)]
    assert stores.over({"1": 1}, 0.2) is None


def test_a_large_batch_passes_once_and_is_paid_off_by_waiting() -> None:
    stores = StoreRates(10)
    assert stores.over({"1": 500}, 0.0) is None
    assert stores.over({"1": 1}, 1.0) == Over("1", 48)
    assert stores.over({"1": 1}, 49.1) is None


def test_one_store_in_debt_holds_back_the_whole_request_and_no_other_store() -> None:
    stores = StoreRates(1)
    assert stores.over({"1": 5}, 0.0) is None
    assert stores.over({"2": 1, "1": 1}, 0.0) == Over("1", 4)
    assert stores.over({"2": 1}, 0.0) is None


def test_stores_that_are_quiet_are_forgotten(monkeypatch: object) -> None:
    stores = StoreRates(1)
    for number in range(rate_limits.STORES_KEPT):
        stores.over({str(number): 1}, 0.0)
    stores.over({"late": 1}, 5.0)
    assert len(stores._full_at) == 1
