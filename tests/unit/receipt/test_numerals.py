"""Numbers keep every digit, and those that the engine's reader would pass over are known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tillstream.receipt.numerals import Unwieldy, decimal, integer, may_have_unwieldy

UNWIELDY = ["24000000000000e-13", "-12345678901234567.0E-10", f"24{'0' * 5_000}e-5001"]
PLAIN = ["2.40", "1.234e+01", "0E-10", "5.551115123125783e-17", "3.3600000000000003", "12345678901234567.5"]


@pytest.mark.parametrize("written", UNWIELDY)
def test_an_unwieldy_number_is_shown_as_it_was_written_and_seen_by_the_quick_look(written: str) -> None:
    number = decimal(written)
    assert isinstance(number, Unwieldy)
    assert str(number) == written
    # Float noise, and an id that looks like a number, stand before it.
    for body in (f'{{"a":{written}}}', f'{{"a":"{written}"}}', f'["3e-4", 5.551115123125783e-17, {written} ,1]'):
        assert may_have_unwieldy(body.encode())


@pytest.mark.parametrize("written", PLAIN)
def test_other_numbers_are_what_they_say_and_pass_the_quick_look(written: str) -> None:
    assert decimal(written) == Decimal(written)
    assert not isinstance(decimal(written), Unwieldy)


@pytest.mark.parametrize("text", ["2.40", "a1b2c3e4-5e01-4e77", "12345678901234", "1e5", "Especes 12345678901234 e1"])
def test_the_quick_look_passes_what_is_common(text: str) -> None:
    assert not may_have_unwieldy(f'{{"a":"{text}"}}'.encode())


def test_thousands_of_digits_are_a_number_too() -> None:
    assert integer("7") == 7
    assert integer("7" * 5_000) == Decimal("7" * 5_000)
