"""Numbers in receipts as they were written: every digit is kept, and those that the engine's reader would pass over are told."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_UNWIELDY = re.compile(r" *[+-]?[0-9]{14,}(?:\.[0-9]*)?[eE][+-]?[0-9]+ *", re.ASCII)
_UNWIELDY_INSIDE = re.compile(rb"[0-9]{14,}+(?:\.[0-9]*+)?[eE]-[0-9]")


def decimal(digits: str) -> Decimal:
    """A number with decimals or an exponent."""
    kind = Unwieldy if _UNWIELDY.fullmatch(digits) else Decimal
    try:
        made = kind(digits)
    except InvalidOperation:
        # The exponent is beyond all reason: this is zero or infinite.
        made = kind(float(digits))
    if isinstance(made, Unwieldy):
        made.written = digits
    return made


class Unwieldy(Decimal):
    """A number of fourteen digits or more before its point, and an exponent, such as `24000000000000e-13`: the engine's
    reader would pass over it in silence."""

    written = ""

    def __str__(self) -> str:
        return self.written


def may_have_unwieldy(body: bytes) -> bool:
    """A quick look for such numbers that are no larger than an amount may be: those whose exponent is below zero."""
    at = body.find(b"-")
    while at >= 0:
        if body[at - 1] in b"eE" and body[max(at - 15, 0) : at - 1].replace(b".", b"").isdigit():
            return _UNWIELDY_INSIDE.search(body) is not None
        at = body.find(b"-", at + 1)
    return False


def integer(digits: str) -> int | Decimal:
    """A number of digits alone."""
    try:
        return int(digits)
    except ValueError:
        # Python refuses to convert thousands of digits.
        return Decimal(digits)
