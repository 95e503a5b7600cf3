"""How a POSLog's lines come to its totals: whether prices hold the tax, which discounts count, which line bears what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tillstream.formats.canonical import spread

ZERO = Decimal(0)


@dataclass(slots=True)
class Line:
    """A line as the POSLog has it: what is told of it, its amount, and the tax told with it."""

    told: dict[str, Any]
    amount: Decimal
    tax: Decimal = ZERO
    taxable: bool = True
    reduction: Decimal = ZERO
    """What the till took off; in some dialects `amount` is the one before that."""
    itemised: bool = False
    """A reward or a discount that stands on a line of its own."""


@dataclass(slots=True)
class ReceiptTax:
    """A tax that stands on the receipt: its amount, its rate, and what it is a tax on (None: not told)."""

    amount: Decimal
    percent: Decimal | None
    base: Decimal | None


@dataclass(slots=True)
class Totals:
    """What a transaction tells of its totals (None: nothing), and `included`: that prices hold the tax."""

    gross: Decimal | None = None
    tax: Decimal | None = None
    included: bool = False


def balance(
    lines: Sequence[Line], totals: Totals, taxes: Sequence[ReceiptTax], least: Decimal
) -> tuple[list[dict[str, Any]], dict[str, Decimal]]:
    """The canonical lines and the canonical totals; `least` is the currency's minor unit.

    POSLog leaves open whether amounts are before a discount that stands beside them, and dialects differ in whether
    they hold the tax. So the reading counts whose lines add up to the total: the standard's own, US style, where it
    does or where none does.
    """
    tax = totals.tax
    if tax is None:
        tax = sum((each.amount for each in taxes), ZERO) if taxes else sum((line.tax for line in lines), ZERO)
    reading = _reading(lines, totals, tax, least)
    gross, tax = reading.gross, reading.tax
    rows = [row for line in lines for row in _rows(line, reading)]
    shares = _shares(tax, rows, least)
    rate = _rate(rows, taxes, tax if reading.included else ZERO, least) if taxes else None
    told = []
    for row, share in zip(rows, shares, strict=True):
        net = row.amount - share if reading.included else row.amount
        row.told["creditAmount"] = net
        row.told["settlementAmount"] = net + share
        if rate is not None:
            row.told.setdefault("taxPercentage", rate)
        told.append(row.told)
    return told, {"grossTotal": gross, "netTotal": gross - tax, "taxPayable": tax}


class _Reading(NamedTuple):
    """What is to be made of the lines' amounts: whether discounts on their own lines count, and those beside an
    amount, and whether amounts hold the tax; and the totals with their signs."""

    itemised: bool
    reductions: bool
    included: bool
    gross: Decimal
    tax: Decimal


def _reading(lines: Sequence[Line], totals: Totals, tax: Decimal, least: Decimal) -> _Reading:
    """The reading whose lines come closest to the total; the usual one where none comes close."""
    plain = sum((line.amount for line in lines if not line.itemised), ZERO)
    itemised = sum((line.amount for line in lines if line.itemised), ZERO)
    reduced = sum((line.reduction for line in lines), ZERO)
    sums = [(True, False, plain + itemised)]
    if reduced:
        sums += [(True, True, plain + itemised + reduced), (False, True, plain + reduced)]
    if itemised:
        sums.append((False, False, plain))
    if totals.gross is None:
        amount = plain + itemised
        return _Reading(True, False, totals.included, amount if totals.included else amount + tax, tax)
    best = _Reading(True, False, totals.included, totals.gross, tax)
    closest = least * max(len(lines), 1)
    # Some tills write what they pay back, or its tax, without its sign.
    signs = [(gross, owed) for gross in (totals.gross, -abs(totals.gross)) for owed in (tax, -abs(tax))]
    for included in (totals.included, not totals.included):
        for with_itemised, with_reductions, amount in sums:
            for gross, owed in signs if amount < 0 else signs[:1]:
                gap = abs(gross - (amount if included else amount + owed))
                if gap < closest:
                    closest = gap
                    best = _Reading(with_itemised, with_reductions, included, gross, owed)
        if not closest:
            break
    if best.gross < 0 and best.included:
        return best._replace(tax=-abs(tax))
    return best


def _rows(line: Line, reading: _Reading) -> Iterator[Line]:
    if line.itemised and not reading.itemised:
        return
    yield line
    if reading.reductions and line.reduction:
        names = ("lineNumber", "productCode", "productDescription", "productCategoryCode", "productCategoryName")
        told = {name: line.told[name] for name in names if name in line.told}
        yield Line(told | {"quantity": ZERO}, line.reduction, taxable=line.taxable)


def _shares(tax: Decimal, rows: Sequence[Line], least: Decimal) -> list[Decimal]:
    """The tax of each line: in proportion to the taxes told with the lines, or else to their amounts."""
    if not tax:
        return [ZERO] * len(rows)
    weights = [row.tax for row in rows]
    if not any(weights):
        weights = [row.amount if row.taxable else ZERO for row in rows]
    if not any(weights):
        weights = [row.amount for row in rows]
    signs = {weight > 0 for weight in weights if weight}
    if len(signs) < 2:
        return spread(tax, weights, least)
    return signed(tax, weights, least)


def signed(tax: Decimal, weights: Sequence[Decimal], least: Decimal) -> list[Decimal]:
    """The same where some lines are negative: they take tax away."""
    rising = [weight for weight in weights if weight > 0]
    whole, risen = sum(weights, ZERO), sum(rising, ZERO)
    raised = (tax * risen / whole / least).to_integral_value() * least if whole else ZERO
    if not whole or abs(raised) > risen:
        return spread(tax, weights, least)
    up = iter(spread(raised, rising, least))
    down = iter(spread(tax - raised, [weight for weight in weights if weight < 0], least))
    return [next(up) if weight > 0 else next(down) if weight < 0 else ZERO for weight in weights]


def _rate(rows: Sequence[Line], taxes: Sequence[ReceiptTax], held: Decimal, least: Decimal) -> Decimal | None:
    """The rate of the receipt's taxes where they are surely on all of its lines, else None."""
    rates = [each for each in taxes if each.percent is not None]
    if not rates:
        return None
    whole = sum((row.amount for row in rows), ZERO) - held
    for each in rates:
        if (each.base is None and len(rates) > 1) or (
            each.base is not None and abs(abs(each.base) - abs(whole)) > least * len(rows)
        ):
            return None
    return sum((each.percent for each in rates if each.percent is not None), ZERO)
