"""Amounts: limits, minor units of currencies, rounding, and exact parsing of JSON numbers."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

AMOUNT_LIMIT = Decimal(10) ** 13
"""The absolute value of an amount or a quantity must be below this limit."""

NOISE_UNIT = Decimal("0.000001")
"""Amounts and quantities are rounded to this unit when they are read.

Further decimals are noise of binary floats, as in 0.30000000000000004.
"""

# Currencies by number of decimals, from ISO 4217 (list one, 2024). All other currencies have two decimals.
_CURRENCIES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_MINOR_DIGITS = {currency: digits for digits, names in _CURRENCIES.items() for currency in names.split()}

_LONG_WITH_EXPONENT = re.compile(r" *[+-]?[0-9]{14,}(?:\.[0-9]*)?[eE][+-]?[0-9]+ *", re.ASCII)
_LARGE_EXPONENT = re.compile(r".*[eE]\+?0*(?:1[4-9]|[2-9][0-9]|[1-9][0-9]{2,}) *", re.ASCII)

# The three patterns below find numbers in a JSON body that DuckDB cannot read, although they are below `AMOUNT_LIMIT`.
# If such a number has an exponent of 14 or more, it begins with 0.0, as in 0.01e14. The first two patterns begin with
# literal characters, so a search for them is fast.
_LARGE_EXPONENT_INSIDE = re.compile(rb"0\.0[0-9]*+[eE]\+?0*+(?:1[4-9]|[2-9][0-9]|[1-9][0-9]{2})")
_NEGATIVE_EXPONENT_INSIDE = re.compile(rb"-(?<=[0-9.]{14}[eE]-)")
# A search for this pattern is slow, so it runs only if the pattern above is found.
_LONG_WITH_EXPONENT_INSIDE = re.compile(rb"[0-9]{14,}+(?:\.[0-9]*+)?[eE]-[0-9]")


def minor_digits(currency: str) -> int:
    """Return the number of decimals of a currency: 2 for EUR, 0 for JPY, 3 for TND."""
    return _MINOR_DIGITS.get(currency, 2)


def minor_unit(currency: str) -> Decimal:
    """Return the smallest amount of a currency: 0.01 for EUR."""
    return Decimal(1).scaleb(-minor_digits(currency))


def round_half_up(amount: Decimal, unit: Decimal) -> Decimal:
    """Round to the unit. Halves are rounded away from zero: 0.125 becomes 0.13 if the unit is 0.01."""
    return amount.quantize(unit, ROUND_HALF_UP)


def round_amount(amount: Decimal, unit: Decimal) -> Decimal:
    """Round an amount as the engine does: remove the noise of binary floats, then round to the minor unit."""
    return round_half_up(round_half_up(amount, NOISE_UNIT), unit)


class UnreadableNumber(Decimal):
    """A JSON number that DuckDB reads as null, without an error.

    Such a number has an exponent. Either the number begins with 14 or more digits, as in `24000000000000e-13`, or the
    exponent is 14 or more, as in `0.01e14`.
    """

    written = ""

    def __str__(self) -> str:
        return self.written


def parse_decimal(digits: str) -> Decimal:
    """Parse a JSON number that has decimals or an exponent."""
    try:
        number = Decimal(digits)
    except InvalidOperation:
        # The exponent is out of Decimal's range, so the value is zero or infinite.
        number = Decimal(float(digits))
    if _LONG_WITH_EXPONENT.fullmatch(digits) or (number and _LARGE_EXPONENT.fullmatch(digits)):
        number = UnreadableNumber(number)
        number.written = digits
    return number


def parse_integer(digits: str) -> int | Decimal:
    """Parse a JSON number that has neither decimals nor an exponent."""
    try:
        return int(digits)
    except ValueError:
        # Python refuses to convert thousands of digits to an int.
        return Decimal(digits)


def may_have_unreadable_number(body: bytes) -> bool:
    """Return whether a JSON body may contain an `UnreadableNumber` below `AMOUNT_LIMIT`.

    Numbers over the limit are not searched, because the validation rejects them anyway.
    """
    if _LARGE_EXPONENT_INSIDE.search(body):
        return True
    # A number that begins with 14 or more digits is below the limit only if its exponent is negative.
    return _NEGATIVE_EXPONENT_INSIDE.search(body) is not None and _LONG_WITH_EXPONENT_INSIDE.search(body) is not None
