"""Amounts: their limits, the minor units of currencies, rounding, and exact parsing of the numbers in a receipt."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

AMOUNT_LIMIT = Decimal(10) ** 13
"""Every amount and quantity is smaller than this in absolute value."""

NOISE_DIGITS = 6
"""Decimals of prices and quantities. Further decimals are noise of binary floats."""

NOISE_UNIT = Decimal(1).scaleb(-NOISE_DIGITS)

# ISO 4217 (list one, 2024). Every other currency has two decimals.
_WITHOUT_DECIMALS = [
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
]
_WITH_THREE_DECIMALS = ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]
_MINOR_DIGITS = dict.fromkeys(_WITHOUT_DECIMALS, 0) | dict.fromkeys(_WITH_THREE_DECIMALS, 3)

_UNREADABLE = re.compile(r" *[+-]?[0-9]{14,}(?:\.[0-9]*)?[eE][+-]?[0-9]+ *", re.ASCII)
_UNREADABLE_INSIDE = re.compile(rb"[0-9]{14,}+(?:\.[0-9]*+)?[eE]-[0-9]")


def minor_digits(currency: str) -> int:
    """Decimals of the currency's minor unit: 2 for EUR, 0 for JPY, 3 for TND."""
    return _MINOR_DIGITS.get(currency, 2)


def minor_unit(currency: str) -> Decimal:
    """Minor unit of the currency: 0.01 for EUR."""
    return Decimal(1).scaleb(-minor_digits(currency))


def round_half_up(amount: Decimal, unit: Decimal) -> Decimal:
    """Round to the unit, half away from zero: 0.125 is 0.13 in units of 0.01."""
    return amount.quantize(unit, ROUND_HALF_UP)


def round_amount(amount: Decimal, unit: Decimal) -> Decimal:
    """Round an amount as the engine does: remove the noise of binary floats, then round to the minor unit."""
    return round_half_up(round_half_up(amount, NOISE_UNIT), unit)


class UnreadableNumber(Decimal):
    """A number such as `24000000000000e-13`, with 14 or more digits before its point and an exponent.

    DuckDB reads such a number in JSON as null, without an error.
    """

    written = ""

    def __str__(self) -> str:
        return self.written


def parse_decimal(digits: str) -> Decimal:
    """Parse a JSON number that has decimals or an exponent."""
    kind = UnreadableNumber if _UNREADABLE.fullmatch(digits) else Decimal
    try:
        number = kind(digits)
    except InvalidOperation:
        # The exponent is out of Decimal's range, so the value is zero or infinite.
        number = kind(float(digits))
    if isinstance(number, UnreadableNumber):
        number.written = digits
    return number


def parse_integer(digits: str) -> int | Decimal:
    """Parse a JSON number of digits only."""
    try:
        return int(digits)
    except ValueError:
        # Python refuses to convert thousands of digits.
        return Decimal(digits)


def may_have_unreadable_number(body: bytes) -> bool:
    """Look quickly for an `UnreadableNumber` below the limit of amounts. Its exponent must be negative."""
    at = body.find(b"-")
    while at >= 0:
        if body[at - 1] in b"eE" and body[max(at - 15, 0) : at - 1].replace(b".", b"").isdigit():
            return _UNREADABLE_INSIDE.search(body) is not None
        at = body.find(b"-", at + 1)
    return False
