"""Minor units follow the currency, rounding is half-up, and numbers keep every digit that was written."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tillstream.receipt.amounts import (
    UnreadableNumber,
    may_have_unreadable_number,
    minor_digits,
    minor_unit,
    parse_decimal,
    parse_integer,
    round_amount,
    round_half_up,
)

UNREADABLE = ["24000000000000e-13", "0.01E14", "-0.05e+014", "-12345678901234567.0E-10", f"24{'0' * 5_000}e-5001"]
READABLE = [
    "2.40",
    "0e99",
    "0.1E13",
    "1.234e+01",
    "0E-10",
    "5.551115123125783e-17",
    "3.3600000000000003",
    "12345678901234567.5",
]


@pytest.mark.parametrize("written", UNREADABLE)
def test_an_unreadable_number_is_shown_as_written_and_found_by_the_quick_look(written: str) -> None:
    number = parse_decimal(written)
    assert isinstance(number, UnreadableNumber)
    assert str(number) == written
    # Binary-float noise and an id that looks like a number come first in some bodies.
    for body in (f'{{"a":{written}}}', f'{{"a":"{written}"}}', f'["3e-4", 5.551115123125783e-17, {written} ,1]'):
        assert may_have_unreadable_number(body.encode())


@pytest.mark.parametrize("written", READABLE)
def test_other_numbers_keep_their_value_and_pass_the_quick_look(written: str) -> None:
    assert parse_decimal(written) == Decimal(written)
    assert not isinstance(parse_decimal(written), UnreadableNumber)


@pytest.mark.parametrize(
    "text", ["2.40", "a1b2c3e4-5e01-4e77", "12345678901234", "1e5", "1.5e13", "Especes 12345678901234 e1"]
)
def test_the_quick_look_passes_common_texts(text: str) -> None:
    assert not may_have_unreadable_number(f'{{"a":"{text}"}}'.encode())


def test_a_number_may_have_thousands_of_digits() -> None:
    assert parse_integer("7") == 7
    assert parse_integer("7" * 5_000) == Decimal("7" * 5_000)


def test_minor_units_follow_the_currency() -> None:
    assert [minor_digits(currency) for currency in ("EUR", "JPY", "TND")] == [2, 0, 3]
    assert [str(minor_unit(currency)) for currency in ("EUR", "JPY", "TND")] == ["0.01", "1", "0.001"]


def test_halves_are_rounded_away_from_zero() -> None:
    assert round_half_up(Decimal("0.125"), Decimal("0.01")) == Decimal("0.13")
    assert round_half_up(Decimal("-0.125"), Decimal("0.01")) == Decimal("-0.13")


def test_float_noise_is_removed_before_an_amount_is_rounded() -> None:
    assert round_amount(Decimal("0.12499999999999999"), Decimal("0.01")) == Decimal("0.13")
    assert round_amount(Decimal("0.124999"), Decimal("0.01")) == Decimal("0.12")
