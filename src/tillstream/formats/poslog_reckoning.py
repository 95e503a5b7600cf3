"""The totals of POSLog transactions whose parts are known by their forms, in integers: what `balance` does, only faster.

Amounts are whole minor units here. What is open to more than one reading is left to `balance`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from itertools import repeat
from operator import add, sub
from typing import NamedTuple

from tillstream.formats.canonical import apportion
from tillstream.formats.poslog_totals import ZERO, signed

# Amounts come again and again, and are quicker found than made.
_KEPT = 10_000


class Rest(NamedTuple):
    """What few items have: the tax told with the line, taxes of the receipt with their rates as members of a line.

    `untaxed` is its tax where that is zero, with its decimals; `rated` and `based`: whether the line, and whether a
    tax of the receipt, says what its rate is, or is on; the other flags are those of `Line`.
    """

    line_tax: int = 0
    taxes: Sequence[int] = ()
    rates: Sequence[bytes] = ()
    untaxed: Decimal = ZERO
    taxable: bool = True
    itemised: bool = False
    rated: bool = False
    based: bool = False


class Item(NamedTuple):
    """A line item: the line up to its net amount (None: it is no line), its gross or net amount, also as it came
    (empty: zero); settlements; whether it says that prices hold the tax.
    """

    line: bytes | None = None
    told: bytes = b""
    amount: int = 0
    settlements: bytes = b""
    included: bool = False
    rest: Rest | None = None


_NONE = Rest()


def reckon(gross: int, told_tax: int | None, untaxed: bytes, items: Sequence[Item], digits: int) -> bytes | None:
    """The receipt's lines and totals as JSON, as `balance` finds them; None where the amounts want a closer look.

    `told_tax` is the total's; `untaxed` is how that is written where it is zero.
    """
    shown = writer(digits)
    lines, amounts, nets, plain = [], [], [], True
    for line, told, amount, _, _, rest in items:
        if line is not None:
            lines.append(line)
            amounts.append(amount)
            nets.append(told or shown(0))
        plain = plain and rest is None
    rests = () if plain else [item.rest or _NONE for item in items if item.line is not None]
    total, tax = sum(amounts), told_tax
    if tax is None:
        tax, untaxed = _tax(items, rests)
    included = total + tax != gross
    if not lines or (included and total != gross):
        return None
    # What is paid back has its tax below zero as well.
    if (total < 0 or tax < 0) if gross > 0 else (total > 0 or tax > 0):
        return None
    if not plain and any(rest.itemised for rest in rests) and (included or any(item.included for item in items)):
        return None
    grosses = nets
    if tax:
        shares = _shares(tax, amounts, rests)
        if included:
            nets = list(map(shown, map(sub, amounts, shares)))
        else:
            grosses = list(map(shown, map(add, amounts, shares)))
        untaxed = shown(tax) if shares else b""
    ends = repeat(b"}") if plain else _ends(items, rests)
    if not untaxed or ends is None:
        return None
    written = [b'%b%b,"settlementAmount":%b%b' % each for each in zip(lines, nets, grosses, ends, strict=False)]
    return b'"lines":[%b],"documentTotal":{"grossTotal":%b,"netTotal":%b,"taxPayable":%b}' % (
        b",".join(written),
        shown(gross),
        shown(gross - tax),
        untaxed,
    )


def _tax(items: Sequence[Item], lines: Sequence[Rest]) -> tuple[int, bytes]:
    """The tax where no total tells it, and how it is written if it is zero; empty: that is open."""
    taxed = [item.rest for item in items if item.rest and item.rest.taxes]
    taxes = [tax for rest in taxed for tax in rest.taxes] if taxed else [rest.line_tax for rest in lines]
    if any(taxes):
        return sum(taxes), b""
    return 0, str(sum((rest.untaxed for rest in taxed or lines), ZERO)).encode()


def _shares(tax: int, amounts: Sequence[int], rests: Sequence[Rest]) -> Sequence[int]:
    """The tax of each line, in proportion to the taxes told with the lines, or else to their amounts.

    None at all where they are zero.
    """
    weights = amounts
    if rests:
        taxes = [rest.line_tax for rest in rests]
        taxable = (amount if rest.taxable else 0 for amount, rest in zip(amounts, rests, strict=True))
        weights = taxes if any(taxes) else list(taxable)
    if min(weights) < 0 < max(weights):
        return [int(share) for share in signed(Decimal(tax), list(map(Decimal, weights)), Decimal(1))]
    return apportion(tax, weights) if any(weights) else ()


def _ends(items: Sequence[Item], lines: Sequence[Rest]) -> Sequence[bytes] | None:
    """The ends of the lines: those without a rate of their own have the receipt's, as `balance` finds it.

    None where that hangs on the amounts.
    """
    told = [item.rest for item in items if item.rest]
    rates = [rate for rest in told for rate in rest.rates]
    if any(rest.based for rest in told) and not all(rest.rated for rest in lines):
        return None
    rate = b"," + rates[0] if len(rates) == 1 else b""
    return [b"}" if rest.rated else rate + b"}" for rest in lines]


@cache
def writer(digits: int) -> Callable[[int], bytes]:
    """Writes minor units of a currency with so many decimals."""
    unit = 10**digits
    pattern = b"%%d.%%0%dd" % digits

    @lru_cache(maxsize=_KEPT)
    def write(amount: int) -> bytes:
        if not digits:
            return b"%d" % amount
        written: bytes = pattern % divmod(abs(amount), unit)
        return written if amount >= 0 else b"-" + written

    return write
