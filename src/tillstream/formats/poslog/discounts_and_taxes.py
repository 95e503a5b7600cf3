"""Discounts and taxes of a POSLog: which discounts count, whether amounts include tax, and the tax of each line.

A discount is either a line item of its own or an element inside a sold item. The standard does not say whether the
amount of an item already includes the discount inside it, or whether amounts include tax. So `reconcile` tries every
interpretation and uses the one whose lines add up to the total. A discount that is written in both ways counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from tillstream.formats.base import DecodeError
from tillstream.formats.canonical import amount, spread
from tillstream.formats.xml_records import child_text, element_text
from tillstream.receipt.amounts import AMOUNT_LIMIT
from tillstream.receipt.model import Fault

ZERO = Decimal(0)

_REFUNDS = frozenset({"refund", "return", "change"})
_VOIDED = frozenset({"VoidFlag", "CancelFlag", "DeleteFlag"})
_TRUE = frozenset({"true", "1"})


@dataclass(slots=True)
class Line:
    """A line of a POSLog. `fields` holds the fields of the canonical line. `reconcile` adds the amounts to them."""

    fields: dict[str, Any]
    amount: Decimal
    tax: Decimal = ZERO
    taxable: bool = True
    price_change: Decimal = ZERO
    """The discount (negative) or surcharge (positive) inside the item. `amount` may already include it."""
    is_discount: bool = False
    """Whether the line is a discount or a reward rather than a sold or returned item."""


class Tax(NamedTuple):
    """A tax of a line or of the receipt. `percent` (the rate) and `base` (the taxed amount) may be missing."""

    amount: Decimal
    percent: Decimal | None
    base: Decimal | None


class Totals(NamedTuple):
    """The totals of a sale, if known. `included` is True if the POSLog says that prices include tax."""

    gross: Decimal | None = None
    tax: Decimal | None = None
    included: bool = False


class _Interpretation(NamedTuple):
    """A way to read the lines: which discounts and price changes count, and whether amounts include tax."""

    lines_total: Decimal
    discount_lines: bool
    price_changes: bool
    included: bool
    gross: Decimal
    tax: Decimal

    @property
    def gap(self) -> Decimal:
        """The difference between the gross total and the sum of the lines. Both include tax."""
        return abs(self.gross - self.lines_total - (ZERO if self.included else self.tax))


# -- elements


def parse_amount(name: str, text: str) -> Decimal:
    """Parse the amount of an element with this name. Raises `DecodeError` if the text is not a valid amount."""
    value = amount(text)
    if isinstance(value, Decimal) and abs(value) < AMOUNT_LIMIT:
        return value
    raise DecodeError(Fault(f"$.{name}", f"expected a number, got {text[:60]!r}", "write amounts with a decimal point"))


def is_true(text: str) -> bool:
    """Whether the text of a flag means true."""
    return text.strip().lower() in _TRUE


def is_voided(element: Element) -> bool:
    """Whether a flag of the element says that it is voided, cancelled or deleted."""
    return any(is_true(element.attrib[name]) for name in _VOIDED.intersection(element.attrib))


def is_refund(element: Element) -> bool:
    """Whether an element is a refund. Callers make its amount negative, because some tills write no minus sign."""
    return element.get("TypeCode", "").lower() in _REFUNDS


def read_tax(element: Element) -> Tax:
    """Read a `Tax` element. Raises `DecodeError` if an amount is invalid."""
    value = parse_amount("Tax", child_text(element, "Amount") or "0")
    percent = child_text(element, "Percent")
    base = child_text(element, "TaxableAmount")
    return Tax(
        -abs(value) if is_refund(element) else value,
        parse_amount("Percent", percent) if percent else None,
        parse_amount("TaxableAmount", base) if base else None,
    )


def prices_include_tax(retail: Element) -> bool:
    """Whether a flag in the `RetailTransaction` element says that prices include tax."""
    flags = [each.text or "" for each in retail.iter("TaxIncludedInPriceFlag")]
    flags += [each.get("TaxIncludedInTaxableAmountFlag", "") for each in retail.iter("TaxableAmount")]
    return any(map(is_true, flags))


def price_change(item: Element) -> Decimal:
    """Return the discount (negative) or surcharge (positive) inside an item.

    Raises `DecodeError` if an amount is invalid.
    """
    discount = parse_amount("ExtendedDiscountAmount", child_text(item, "ExtendedDiscountAmount") or "0")
    modifiers = item.findall("RetailPriceModifier")
    if not modifiers:
        return -abs(discount)
    return -(discount or sum((_discount(each) for each in modifiers if not is_voided(each)), ZERO))


def discount_line(element: Element) -> Line | None:
    """Read a `Discount` or `LoyaltyReward` element. Return None if its amount is zero.

    Raises `DecodeError` if the amount is invalid.
    """
    name, value = ("Discount", -_discount(element)) if element.tag == "Discount" else _reward(element)
    return Line({"productDescription": name, "quantity": ZERO}, value, is_discount=True) if value else None


def _reward(reward: Element) -> tuple[str, Decimal]:
    """Return the name and the amount of a reward. The amount is zero for points, messages and summaries.

    Only an extension by NCR, a maker of tills, distinguishes money from points and summaries. So an
    `ExtendedRewardAmount` counts only if the reward has this extension.
    """
    members = {child.tag.rpartition("}")[2]: element_text(child) for child in reward[::-1]}
    promotion = members.get("PromotionID")
    name, value = f"Promotion {promotion}" if promotion else "Reward", ZERO
    is_summary = any(flag.rpartition("}")[2] == "summarizedActivity" and is_true(text) for flag, text in reward.items())
    if is_summary or members.get("RewardCategory", "Monetary") != "Monetary":
        return name, ZERO
    if "ExtendedRewardAmount" not in members:
        value = -_discount(reward)
    elif "RewardCategory" in members:
        value = parse_amount("ExtendedRewardAmount", members["ExtendedRewardAmount"] or "0")
    return name, value


def _discount(element: Element) -> Decimal:
    """Return the amount of a discount or price modifier. It is negative for a surcharge."""
    found = element.find("Amount")
    action = found.get("Action", "").lower() if found is not None else ""
    if found is None or action == "replace":
        return ZERO
    value = abs(parse_amount("RetailPriceModifier", element_text(found) or "0"))
    return -value if action == "add" else value


# -- reconciliation of the lines with the totals


def reconcile(
    lines: Sequence[Line], totals: Totals, taxes: Sequence[Tax], minor_unit: Decimal
) -> tuple[list[dict[str, Any]], dict[str, Decimal]]:
    """Compute the canonical lines and totals.

    If no interpretation adds up to the total, the default applies: discount lines count, price changes do not, and
    amounts exclude tax unless the POSLog says that they include it.
    """
    owed = totals.tax
    if owed is None:
        owed = sum((each.amount for each in taxes), ZERO) if taxes else sum((line.tax for line in lines), ZERO)
    chosen = _interpret(lines, totals, owed, minor_unit)
    counted = [each for line in lines for each in _counted_lines(line, chosen)]
    shares = _tax_shares(chosen.tax, counted, minor_unit)
    rate = _common_rate(counted, taxes, chosen.tax if chosen.included else ZERO, minor_unit)
    for line, share in zip(counted, shares, strict=True):
        net = line.amount - share if chosen.included else line.amount
        line.fields["creditAmount"] = net
        line.fields["settlementAmount"] = net + share
        if rate is not None:
            line.fields.setdefault("taxPercentage", rate)
    total = {"grossTotal": chosen.gross, "netTotal": chosen.gross - chosen.tax, "taxPayable": chosen.tax}
    return [line.fields for line in counted], total


def _interpret(lines: Sequence[Line], totals: Totals, tax: Decimal, minor_unit: Decimal) -> _Interpretation:
    """Return the interpretation with the smallest gap.

    If even this gap is at least one minor unit (such as 0.01) per line, return the default that `reconcile` describes.
    """
    items = sum((line.amount for line in lines if not line.is_discount), ZERO)
    discount_lines = sum((line.amount for line in lines if line.is_discount), ZERO)
    price_changes = sum((line.price_change for line in lines), ZERO)
    readings = [(items + discount_lines, True, False)]
    if price_changes:
        readings += [(items + discount_lines + price_changes, True, True), (items + price_changes, False, True)]
    if discount_lines:
        readings.append((items, False, False))
    gross = totals.gross
    if gross is None:
        gross = items + discount_lines + (ZERO if totals.included else tax)
        return _Interpretation(*readings[0], totals.included, gross, tax)
    # Some tills write the total or the tax of a refund without a minus sign.
    signs = list(product((gross, -abs(gross)), (tax, -abs(tax))))
    candidates = [
        _Interpretation(*reading, included, *signed)
        for included, reading in product((totals.included, not totals.included), readings)
        for signed in (signs if reading[0] < 0 else signs[:1])
    ]
    best = min(candidates, key=attrgetter("gap"))
    if best.gap >= minor_unit * max(len(lines), 1):
        best = _Interpretation(*readings[0], totals.included, gross, tax)
    return best._replace(tax=-abs(tax)) if best.gross < 0 and best.included else best


def _counted_lines(line: Line, chosen: _Interpretation) -> Iterator[Line]:
    """Yield the line if it counts, and then a separate line for its price change if price changes count."""
    if line.is_discount and not chosen.discount_lines:
        return
    yield line
    if chosen.price_changes and line.price_change:
        names = ("lineNumber", "productCode", "productDescription", "productCategoryCode", "productCategoryName")
        fields = {name: line.fields[name] for name in names if name in line.fields}
        yield Line(fields | {"quantity": ZERO}, line.price_change, taxable=line.taxable)


def _tax_shares(tax: Decimal, lines: Sequence[Line], minor_unit: Decimal) -> list[Decimal]:
    """Split the tax in proportion to the taxes of the lines.

    If no line has a tax, split it in proportion to the amounts of the taxable lines. If there are no taxable lines,
    use the amounts of all lines.
    """
    if not tax:
        return [ZERO] * len(lines)
    amounts = [line.amount for line in lines]
    taxable = [line.amount if line.taxable else ZERO for line in lines]
    weights = next((each for each in ([line.tax for line in lines], taxable) if any(each)), amounts)
    if len({weight > 0 for weight in weights if weight}) < 2:
        return spread(tax, weights, minor_unit)
    return _signed_tax_shares(tax, weights, minor_unit)


def _signed_tax_shares(tax: Decimal, weights: Sequence[Decimal], minor_unit: Decimal) -> list[Decimal]:
    """Split the tax by weights with different signs, so that a negative line gets a negative tax.

    The signs are ignored if the weights add up to zero or almost zero, because the shares would be far too large: for a
    tax of 20 and the weights 100 and -99, the shares would be 2000 and -1980.
    """
    positive = [weight for weight in weights if weight > 0]
    weight_sum, positive_sum = sum(weights, ZERO), sum(positive, ZERO)
    positive_tax = (
        (tax * positive_sum / weight_sum / minor_unit).to_integral_value() * minor_unit if weight_sum else ZERO
    )
    if not weight_sum or abs(positive_tax) > positive_sum:
        return spread(tax, weights, minor_unit)
    up = iter(spread(positive_tax, positive, minor_unit))
    down = iter(spread(tax - positive_tax, [weight for weight in weights if weight < 0], minor_unit))
    return [next(up) if weight > 0 else next(down) if weight < 0 else ZERO for weight in weights]


def _common_rate(
    lines: Sequence[Line], taxes: Sequence[Tax], included_tax: Decimal, minor_unit: Decimal
) -> Decimal | None:
    """Return the sum of the tax rates if every tax applies to all lines. Otherwise return None."""
    rates = [each for each in taxes if each.percent is not None]
    net = sum((line.amount for line in lines), ZERO) - included_tax
    bases = [each.base for each in rates if each.base is not None]
    fits = all(abs(abs(base) - abs(net)) <= minor_unit * len(lines) for base in bases)
    if not rates or not fits or len(bases) < len(rates) > 1:
        return None
    return sum((each.percent for each in rates if each.percent is not None), ZERO)
