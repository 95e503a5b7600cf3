"""Given somebody who guesses; when it goes on; then it becomes slow, and others hardly notice."""

from __future__ import annotations

import pytest

from tillstream.access import login_attempts as attempts_module
from tillstream.access.login_attempts import (
    ADDRESS_BURST,
    ADDRESS_PAUSE_S,
    TOGETHER_BURST,
    TOGETHER_PAUSE_S,
    LoginAttempts,
)
from tillstream.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_795_435_200_000_000)


@pytest.fixture
def attempts(clock: ManualClock) -> LoginAttempts:
    return LoginAttempts(clock)


def tries(attempts: LoginAttempts, address: str, most: int = 1_000) -> int:
    """How often it may be tried at once."""
    return next((count for count in range(most) if attempts.wait_s(address)), most)


def test_an_address_tries_some_times_then_once_in_a_while(attempts: LoginAttempts, clock: ManualClock) -> None:
    assert tries(attempts, "192.0.2.1") == ADDRESS_BURST
    assert 0 < attempts.wait_s("192.0.2.1") <= ADDRESS_PAUSE_S + 1
    clock.advance(ADDRESS_PAUSE_S)
    assert tries(attempts, "192.0.2.1") == 1
    clock.advance(ADDRESS_PAUSE_S * ADDRESS_BURST)
    assert tries(attempts, "192.0.2.1") == ADDRESS_BURST


def test_another_address_is_not_held_back(attempts: LoginAttempts) -> None:
    tries(attempts, "192.0.2.1")
    assert attempts.wait_s("192.0.2.2") == 0


def test_who_waits_as_long_as_told_may_try_again(attempts: LoginAttempts, clock: ManualClock) -> None:
    tries(attempts, "192.0.2.1")
    clock.advance(attempts.wait_s("192.0.2.1"))
    assert attempts.wait_s("192.0.2.1") == 0


def test_one_network_of_ipv6_is_one_address(attempts: LoginAttempts) -> None:
    counted = sum(attempts.wait_s(f"2001:db8:1:2::{number:x}") == 0 for number in range(100))
    assert counted == ADDRESS_BURST
    assert attempts.wait_s("2001:db8:1:3::1") == 0


def test_an_address_of_ipv4_is_one_address_however_it_is_written(attempts: LoginAttempts) -> None:
    tries(attempts, "::ffff:192.0.2.1")
    assert attempts.wait_s("192.0.2.1") > 0
    assert attempts.wait_s("::ffff:192.0.2.2") == 0


def test_what_is_no_address_counts_as_one(attempts: LoginAttempts) -> None:
    assert sum(attempts.wait_s(f"spoofed {number}") == 0 for number in range(100)) == ADDRESS_BURST


def test_all_together_try_only_so_often(attempts: LoginAttempts, clock: ManualClock) -> None:
    assert sum(attempts.wait_s(f"198.51.100.{number}") == 0 for number in range(200)) == TOGETHER_BURST
    assert 0 < attempts.wait_s("192.0.2.1") <= TOGETHER_PAUSE_S + 1
    clock.advance(TOGETHER_PAUSE_S)
    assert attempts.wait_s("192.0.2.1") == 0


def test_the_right_password_is_forgiven_all_tries_before(attempts: LoginAttempts) -> None:
    for _ in range(5 * TOGETHER_BURST):
        assert attempts.wait_s("192.0.2.1") == 0
        attempts.forgive("192.0.2.1")
    assert tries(attempts, "192.0.2.1") == ADDRESS_BURST


def test_few_addresses_are_remembered_and_the_rest_shares_what_all_may(
    attempts: LoginAttempts, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts_module, "ADDRESSES_KEPT", 3)
    for number in range(10):
        attempts.wait_s(f"198.51.100.{number}")
    assert len(attempts._addresses) == 3
    clock.advance(3_600)
    attempts.wait_s("192.0.2.1")
    assert len(attempts._addresses) == 1


def test_a_clock_that_is_set_back_locks_nobody_out_for_long(attempts: LoginAttempts, clock: ManualClock) -> None:
    tries(attempts, "192.0.2.1")
    clock.advance(-86_400)
    assert attempts.wait_s("192.0.2.1") <= ADDRESS_PAUSE_S + 1
