"""Token buckets allow a burst, refill at an even rate, and stay bounded in number."""

from __future__ import annotations

from tillstream.token_bucket import TokenBuckets


def test_a_key_within_its_rate_never_waits() -> None:
    buckets = TokenBuckets(10, 10, 100)
    for tenth in range(1_000):
        assert buckets.wait_s("1", tenth / 10) == 0
        buckets.take("1", tenth / 10)


def test_a_full_bucket_allows_its_capacity_at_once_and_then_refills() -> None:
    buckets = TokenBuckets(10, 10, 100)
    for _ in range(10):
        assert buckets.wait_s("1", 0, 1) == 0
        buckets.take("1", 0)
    assert buckets.wait_s("1", 0, 1) == 0.1
    assert buckets.wait_s("1", 0.05, 1) == 0.05
    assert buckets.wait_s("1", 0.1, 1) == 0
    assert buckets.wait_s("1", 1_000, 10) == 0
    assert buckets.wait_s("1", 1_000, 11) == 0.1


def test_more_tokens_than_there_are_leave_a_debt() -> None:
    buckets = TokenBuckets(10, 10, 100)
    buckets.take("1", 0, 500)
    assert buckets.wait_s("1", 1) == 48
    assert buckets.wait_s("1", 49) == 0
    assert buckets.wait_s("1", 49, 1) > 0


def test_keys_have_buckets_of_their_own() -> None:
    buckets = TokenBuckets(1, 1, 100)
    buckets.take("1", 0, 5)
    assert buckets.wait_s("1", 0) == 4
    assert buckets.wait_s("2", 0, 1) == 0


def test_tokens_can_be_put_back() -> None:
    buckets = TokenBuckets(1, 3, 100)
    buckets.take("1", 0, 3)
    buckets.take("1", 0, -1)
    assert (buckets.wait_s("1", 0, 1), buckets.wait_s("1", 0, 2)) == (0, 1)
    buckets.take("1", 0, -5)
    assert (buckets.wait_s("1", 0, 3), buckets.wait_s("1", 0, 4)) == (0, 1)
    buckets.take("1", 0, 3)
    buckets.fill("1")
    assert buckets.wait_s("1", 0, 3) == 0


def test_the_number_of_buckets_is_bounded_and_full_ones_are_forgotten() -> None:
    buckets = TokenBuckets(1, 1, 3)
    for number in range(10):
        buckets.take(str(number), 0)
    assert list(buckets._levels) == ["0", "1", "2"]
    assert buckets.wait_s("9", 0, 1) == 0
    buckets.take("late", 5)
    assert list(buckets._levels) == ["late"]


def test_a_clock_that_is_set_back_delays_a_refill_by_no_more_than_its_time() -> None:
    buckets = TokenBuckets(1, 1, 100)
    buckets.take("1", 86_400)
    assert buckets.wait_s("1", 0, 1) == 1
    assert buckets.wait_s("1", 1, 1) == 0
