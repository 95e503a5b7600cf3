"""Numbers in receipts as they were written: every digit is kept, and those that the engine's reader would pass over are told."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_UNWIELDY = re.compile(r" *[+-]?(?:[0-9]{14,}(?:\.[0-9]*)?[eE][+-]?[0-9]+|[0-9.]+[eE][+-]?[0-9]{4,}) *", re.ASCII)
_EXPONENT = re.compile(rb"(?<=[0-9.])[eE][+-]?[0-9]+\s*[,}\]\"]")
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789E", b"000000000e")
_UNWIELDY_SHAPES = (b"0" * 14, *(b"0" + sign + b"0000" for sign in (b"e", b"e-", b"e+")))


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
    """A number with an exponent that the engine's reader would pass over in silence."""

    written = ""

    def __str__(self) -> str:
        return self.written


def may_have_unwieldy(body: bytes) -> bool:
    """A quick look for such numbers; few receipts have what it looks for."""
    shape = body.translate(_DIGITS_AS_ZERO)
    return b"0e" in shape and any(each in shape for each in _UNWIELDY_SHAPES) and bool(_EXPONENT.search(body))


def integer(digits: str) -> int | Decimal:
    """A number of digits alone."""
    try:
        return int(digits)
    except ValueError:
        # Python refuses to convert thousands of digits.
        return Decimal(digits)
