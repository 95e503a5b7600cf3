"""Reconciliation of a POSLog's lines with its totals: tax included or added, discounts that count, tax per line.

POSLog leaves open whether the amount of a line is before a discount that is given beside it, and dialects differ in
whether amounts include tax. So every interpretation is tried, and the one whose lines add up to the total is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from tillstream.formats.canonical import spread

ZERO = Decimal(0)


@dataclass(slots=True)
class Line:
    """A line of a POSLog: its canonical fields without amounts, its amount, and its own tax."""

    fields: dict[str, Any]
    amount: Decimal
    tax: Decimal = ZERO
    taxable: bool = True
    price_change: Decimal = ZERO
    """A discount, which is negative, or a surcharge. Depending on the dialect, `amount` is before or after it."""
    is_discount: bool = False
    """Whether the line is itself a reward or a discount."""


@dataclass(slots=True)
class ReceiptTax:
    """A tax of the whole receipt: its amount, its rate, and the amount that is taxed. None if not given."""

    amount: Decimal
    percent: Decimal | None
    base: Decimal | None


@dataclass(slots=True)
class Totals:
    """The totals of a transaction, None if not given, and whether it says that prices include tax."""

    gross: Decimal | None = None
    tax: Decimal | None = None
    included: bool = False


class _Interpretation(NamedTuple):
    """Whether discount lines count, whether price changes count, whether amounts include tax, and the signed totals."""

    discount_lines: bool
    price_changes: bool
    included: bool
    gross: Decimal
    tax: Decimal


def reconcile(
    lines: Sequence[Line], totals: Totals, taxes: Sequence[ReceiptTax], minor_unit: Decimal
) -> tuple[list[dict[str, Any]], dict[str, Decimal]]:
    """Compute the canonical lines and totals.

    If no interpretation adds up to the total, the standard's own is used, which adds tax to the amounts.
    """
    tax = totals.tax
    if tax is None:
        tax = sum((each.amount for each in taxes), ZERO) if taxes else sum((line.tax for line in lines), ZERO)
    chosen = _interpret(lines, totals, tax, minor_unit)
    counted = [each for line in lines for each in _counted_lines(line, chosen)]
    shares = _tax_shares(chosen.tax, counted, minor_unit)
    rate = _common_rate(counted, taxes, chosen.tax if chosen.included else ZERO, minor_unit) if taxes else None
    for line, share in zip(counted, shares, strict=True):
        net = line.amount - share if chosen.included else line.amount
        line.fields["creditAmount"] = net
        line.fields["settlementAmount"] = net + share
        if rate is not None:
            line.fields.setdefault("taxPercentage", rate)
    total = {"grossTotal": chosen.gross, "netTotal": chosen.gross - chosen.tax, "taxPayable": chosen.tax}
    return [line.fields for line in counted], total


def _interpret(lines: Sequence[Line], totals: Totals, tax: Decimal, minor_unit: Decimal) -> _Interpretation:
    """Choose the interpretation whose lines come closest to the total, or the standard's if none comes close."""
    plain = sum((line.amount for line in lines if not line.is_discount), ZERO)
    discount_lines = sum((line.amount for line in lines if line.is_discount), ZERO)
    price_changes = sum((line.price_change for line in lines), ZERO)
    sums = [(True, False, plain + discount_lines)]
    if price_changes:
        sums += [(True, True, plain + discount_lines + price_changes), (False, True, plain + price_changes)]
    if discount_lines:
        sums.append((False, False, plain))
    if totals.gross is None:
        amount = plain + discount_lines
        return _Interpretation(True, False, totals.included, amount if totals.included else amount + tax, tax)
    best = _Interpretation(True, False, totals.included, totals.gross, tax)
    closest = minor_unit * max(len(lines), 1)
    # Some tills write refunds, or the tax of refunds, without a sign.
    signs = [(gross, owed) for gross in (totals.gross, -abs(totals.gross)) for owed in (tax, -abs(tax))]
    for included in (totals.included, not totals.included):
        for with_discount_lines, with_price_changes, amount in sums:
            for gross, owed in signs if amount < 0 else signs[:1]:
                gap = abs(gross - (amount if included else amount + owed))
                if gap < closest:
                    closest = gap
                    best = _Interpretation(with_discount_lines, with_price_changes, included, gross, owed)
        if not closest:
            break
    if best.gross < 0 and best.included:
        return best._replace(tax=-abs(tax))
    return best


def _counted_lines(line: Line, chosen: _Interpretation) -> Iterator[Line]:
    """The line if it counts, and another one for its price change if that counts."""
    if line.is_discount and not chosen.discount_lines:
        return
    yield line
    if chosen.price_changes and line.price_change:
        names = ("lineNumber", "productCode", "productDescription", "productCategoryCode", "productCategoryName")
        fields = {name: line.fields[name] for name in names if name in line.fields}
        yield Line(fields | {"quantity": ZERO}, line.price_change, taxable=line.taxable)


def _tax_shares(tax: Decimal, lines: Sequence[Line], minor_unit: Decimal) -> list[Decimal]:
    """Split the tax among the lines, in proportion to their own taxes, or else to their amounts."""
    if not tax:
        return [ZERO] * len(lines)
    weights = [line.tax for line in lines]
    if not any(weights):
        weights = [line.amount if line.taxable else ZERO for line in lines]
    if not any(weights):
        weights = [line.amount for line in lines]
    if len({weight > 0 for weight in weights if weight}) < 2:
        return spread(tax, weights, minor_unit)
    return _signed_tax_shares(tax, weights, minor_unit)


def _signed_tax_shares(tax: Decimal, weights: Sequence[Decimal], minor_unit: Decimal) -> list[Decimal]:
    """Split the tax among lines with both signs. Negative lines get negative tax."""
    positive = [weight for weight in weights if weight > 0]
    whole, positive_sum = sum(weights, ZERO), sum(positive, ZERO)
    positive_tax = (tax * positive_sum / whole / minor_unit).to_integral_value() * minor_unit if whole else ZERO
    if not whole or abs(positive_tax) > positive_sum:
        return spread(tax, weights, minor_unit)
    up = iter(spread(positive_tax, positive, minor_unit))
    down = iter(spread(tax - positive_tax, [weight for weight in weights if weight < 0], minor_unit))
    return [next(up) if weight > 0 else next(down) if weight < 0 else ZERO for weight in weights]


def _common_rate(
    lines: Sequence[Line], taxes: Sequence[ReceiptTax], included_tax: Decimal, minor_unit: Decimal
) -> Decimal | None:
    """The sum of the receipt's tax rates if all of them apply to all lines, else None."""
    rates = [each for each in taxes if each.percent is not None]
    if not rates:
        return None
    net = sum((line.amount for line in lines), ZERO) - included_tax
    for each in rates:
        if each.base is None:
            if len(rates) > 1:
                return None
        elif abs(abs(each.base) - abs(net)) > minor_unit * len(lines):
            return None
    return sum((each.percent for each in rates if each.percent is not None), ZERO)
