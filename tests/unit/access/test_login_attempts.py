"""Password attempts are limited per address and in total."""

from __future__ import annotations

import pytest

from tests.inprocess.clock import ManualClock
from tillstream.access.login_attempts import (
    ADDRESS_BURST,
    ADDRESS_PAUSE_S,
    TOTAL_BURST,
    TOTAL_PAUSE_S,
    LoginAttempts,
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_795_435_200_000_000)


@pytest.fixture
def attempts(clock: ManualClock) -> LoginAttempts:
    return LoginAttempts(clock)


def allowed(attempts: LoginAttempts, address: str, limit: int = 1_000) -> int:
    """The number of attempts before the first wait."""
    return next((count for count in range(limit) if attempts.wait_s(address)), limit)


def test_an_address_has_a_burst_of_attempts_and_then_one_after_each_pause(
    attempts: LoginAttempts, clock: ManualClock
) -> None:
    assert allowed(attempts, "192.0.2.1") == ADDRESS_BURST
    assert 0 < attempts.wait_s("192.0.2.1") <= ADDRESS_PAUSE_S + 1
    clock.advance(ADDRESS_PAUSE_S)
    assert allowed(attempts, "192.0.2.1") == 1
    clock.advance(ADDRESS_PAUSE_S * ADDRESS_BURST)
    assert allowed(attempts, "192.0.2.1") == ADDRESS_BURST


def test_another_address_does_not_wait(attempts: LoginAttempts) -> None:
    allowed(attempts, "192.0.2.1")
    assert attempts.wait_s("192.0.2.2") == 0


def test_after_the_wait_another_attempt_is_allowed(attempts: LoginAttempts, clock: ManualClock) -> None:
    allowed(attempts, "192.0.2.1")
    clock.advance(attempts.wait_s("192.0.2.1"))
    assert attempts.wait_s("192.0.2.1") == 0


def test_an_ipv6_network_counts_as_one_address(attempts: LoginAttempts) -> None:
    counted = sum(attempts.wait_s(f"2001:db8:1:2::{number:x}") == 0 for number in range(100))
    assert counted == ADDRESS_BURST
    assert attempts.wait_s("2001:db8:1:3::1") == 0


def test_an_ipv4_address_is_the_same_in_both_notations(attempts: LoginAttempts) -> None:
    allowed(attempts, "::ffff:192.0.2.1")
    assert attempts.wait_s("192.0.2.1") > 0
    assert attempts.wait_s("::ffff:192.0.2.2") == 0


def test_invalid_addresses_count_as_one_address(attempts: LoginAttempts) -> None:
    assert sum(attempts.wait_s(f"spoofed {number}") == 0 for number in range(100)) == ADDRESS_BURST


def test_all_addresses_share_a_total_limit(attempts: LoginAttempts, clock: ManualClock) -> None:
    assert sum(attempts.wait_s(f"198.51.100.{number}") == 0 for number in range(200)) == TOTAL_BURST
    assert 0 < attempts.wait_s("192.0.2.1") <= TOTAL_PAUSE_S + 1
    clock.advance(TOTAL_PAUSE_S)
    assert attempts.wait_s("192.0.2.1") == 0


def test_the_right_password_resets_the_attempts_of_its_address(attempts: LoginAttempts) -> None:
    for _ in range(5 * TOTAL_BURST):
        assert attempts.wait_s("192.0.2.1") == 0
        attempts.forgive("192.0.2.1")
    assert allowed(attempts, "192.0.2.1") == ADDRESS_BURST


def test_after_the_clock_was_set_back_the_wait_is_as_short_as_before(
    attempts: LoginAttempts, clock: ManualClock
) -> None:
    allowed(attempts, "192.0.2.1")
    clock.advance(-86_400)
    assert attempts.wait_s("192.0.2.1") <= ADDRESS_PAUSE_S + 1
